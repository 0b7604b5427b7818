"""The concurrency gate by itself: room, queue, order, deadlines, yards; and the classes of all routes."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from server.errors import Overloaded
from server.gate import FEWEST, SWEEP, Gate, Place, Waiter
from server.http.gated import Refusals
from server.http.parse import UUID_PATTERN
from server.pressure import Pressure
from server.routes import table
from server.rules import load
from server.rules.load import OUTSIDE, STANDS_AFTER, Kind, Sizes, kind_of, order, sizes
from server.rules.pressure import SHED, Held, Reading, Standing

pytestmark = pytest.mark.usefixtures("as_served")
GIB = 2**30


class Clock:
    """Stands until it is put forward."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def small(slots: int = 2, queue: int = 4, **caps: int) -> Gate:
    """A gate with so many slots, no more and no less."""
    outside = {"bodies": 2, "waits": 1, "views": 2, "pages": 1, **caps}
    gate = Gate(Sizes(floor=slots, ceiling=slots, queue=queue, **outside), Pressure(), Clock())
    assert gate.limit == slots
    return gate


def entered(gate: Gate, kind: Kind = Kind.NORMAL) -> Place:
    place = gate.enter(kind)
    assert place is not None
    return place


def lined_up(gate: Gate, kind: Kind = Kind.NORMAL) -> Waiter:
    waiter = gate.line_up(kind)
    assert waiter is not None
    return waiter


def pass_time(gate: Gate, seconds: float) -> None:
    clock = gate._clock
    assert isinstance(clock, Clock)
    clock.now += seconds


async def outside(gate: Gate, place: Place, error: Exception | None = None) -> None:
    """Go out for a moment in which somebody else takes the slot."""
    async with gate.apart(place, "bodies"):
        entered(gate)
        if error is not None:
            raise error


async def served(gate: Gate, waiters: dict[str, Waiter], slot: Place) -> list[str]:
    """The names of those who wait in the order in which one slot passes through their hands."""
    found = []
    for _ in range(len(waiters)):
        gate.leave(slot)
        name, slot = next((name, waiter.place) for name, waiter in waiters.items() if waiter.place.inside)
        found.append(name)
        assert await gate.turn(waiters.pop(name)) is slot
    gate.leave(slot)
    return found


def test_there_are_so_many_places_and_no_more() -> None:
    gate = small(2)
    first, second = entered(gate), entered(gate)
    assert gate.enter(Kind.VITAL) is None
    assert gate.in_use == 2
    gate.leave(first)
    gate.leave(first)
    assert gate.in_use == 1
    third = entered(gate)
    gate.leave(second)
    gate.leave(third)
    assert gate.in_use == 0
    assert gate.admitted[Kind.NORMAL] == 3


async def test_who_waits_is_served_by_class_and_then_by_age() -> None:
    gate = small(1, queue=8)
    slot = entered(gate)
    waiters = {
        "bulk": lined_up(gate, Kind.BULK),
        "list": lined_up(gate),
        "later list": lined_up(gate),
        "login": lined_up(gate, Kind.VITAL),
    }
    assert await served(gate, waiters, slot) == ["login", "list", "later list", "bulk"]
    assert (gate.in_use, gate.queued) == (0, 0)


async def test_nobody_starves_behind_whoever_comes_first() -> None:
    gate = small(1, queue=200)
    slot = entered(gate)
    waiters = {f"v{n}": lined_up(gate, Kind.VITAL) for n in range(40)}
    waiters |= {f"n{n}": lined_up(gate) for n in range(40)}
    waiters |= {f"b{n}": lined_up(gate, Kind.BULK) for n in range(40)}
    first = (await served(gate, waiters, slot))[:32]
    # Of thirty-two turns two are bulk work's and six others are for normal requests.
    assert [sum(name.startswith(letter) for name in first) for letter in "vnb"] == [24, 6, 2]


def test_every_turn_offers_the_slot_to_every_class() -> None:
    assert all(sorted(order(turn)) == list(Kind)[:4] and order(turn)[0] is Kind.RETURNING for turn in range(64))


async def test_nobody_overtakes_those_who_wait() -> None:
    gate = small(2)
    slot = entered(gate)
    entered(gate)
    waiter = lined_up(gate)
    gate.adaptive.ceiling = 3
    gate.adaptive._limit = 3.0
    assert gate.enter(Kind.NORMAL) is None
    gate.leave(slot)
    assert waiter.place.inside
    assert await gate.turn(waiter) is waiter.place


async def test_the_queue_is_bounded_and_a_higher_class_takes_the_place_of_a_lower_one() -> None:
    gate = small(1, queue=2)
    slot = entered(gate)
    older, newer = lined_up(gate, Kind.BULK), lined_up(gate, Kind.BULK)
    assert gate.line_up(Kind.BULK) is None
    normal = lined_up(gate)
    assert newer.future.result() is None
    vital = lined_up(gate, Kind.VITAL)
    assert older.future.result() is None
    assert gate.line_up(Kind.NORMAL) is None
    assert (gate.queued, gate.rejected) == (2, {(Kind.BULK, "full"): 3, (Kind.NORMAL, "full"): 1})
    assert await served(gate, {"normal": normal, "vital": vital}, slot) == ["vital", "normal"]


async def test_the_queue_is_no_longer_than_can_be_served_in_time() -> None:
    gate = small(2, queue=1_000)
    entered(gate)
    entered(gate)
    # Four hundred a second: two hundred within the time a burst may wait.
    gate.adaptive.capacity = 400.0
    taken = 0
    while gate.line_up(Kind.NORMAL) is not None:
        taken += 1
    assert taken == int(400 * load.BURST)
    # Once the queue has been standing for a second it gets shorter.
    pass_time(gate, STANDS_AFTER + 0.1)
    assert gate._room(Kind.NORMAL, gate._clock()) == int(400 * load.STANDING)
    assert gate._room(Kind.VITAL, gate._clock()) == int(400 * load.BURST)
    # A few clients may always wait: it is their patience that ends, not their room.
    gate.adaptive.capacity = 20.0
    assert gate._room(Kind.NORMAL, gate._clock()) == FEWEST


async def test_who_waits_too_long_is_turned_away() -> None:
    gate = small(1)
    slot = entered(gate)
    waiter = lined_up(gate)
    pass_time(gate, load.BURST + 0.01)
    later = lined_up(gate)
    assert await asyncio.wait_for(gate.turn(waiter), 5) is None
    assert not later.future.done()
    assert (gate.queued, gate.rejected) == (1, {(Kind.NORMAL, "late"): 1})
    gate.leave(slot)
    assert await gate.turn(later) is later.place
    assert gate.waited == pytest.approx(load.BURST + 0.01)


async def test_in_a_queue_that_has_been_standing_the_wait_is_short() -> None:
    gate = small(1)
    entered(gate)
    lined_up(gate)
    pass_time(gate, STANDS_AFTER)
    late, vital = lined_up(gate), lined_up(gate, Kind.VITAL)
    pass_time(gate, load.STANDING + 0.01)
    assert await asyncio.wait_for(gate.turn(late), 5) is None
    assert not vital.future.done()


async def test_who_goes_away_gives_the_place_in_the_queue_back() -> None:
    gate = small(1, queue=2)
    slot = entered(gate)
    gone, cancelled = lined_up(gate), lined_up(gate)
    task = asyncio.ensure_future(gate.turn(cancelled))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.drop(gone)
    gate.drop(gone)
    assert await gate.turn(gone) is None
    assert (gate.queued, gate.rejected) == (0, {(Kind.NORMAL, "gone"): 1})
    waiter = lined_up(gate)
    gate.leave(slot)
    assert waiter.place.inside


async def test_a_place_granted_in_the_moment_of_cancellation_is_not_lost() -> None:
    gate = small(1)
    slot = entered(gate)
    waiter = lined_up(gate)
    task = asyncio.ensure_future(gate.turn(waiter))
    await asyncio.sleep(0)
    gate.leave(slot)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert gate.in_use == 0


async def test_who_waits_is_told_when_the_server_stops() -> None:
    gate = small(1)
    slot = entered(gate)
    waiter = lined_up(gate)
    gate.close()
    assert await gate.turn(waiter) is None
    assert gate.line_up(Kind.VITAL) is None
    gate.leave(slot)
    assert gate.rejected == {(Kind.NORMAL, "stopping"): 1, (Kind.VITAL, "stopping"): 1}


async def test_the_sweeper_rests_while_nobody_waits() -> None:
    gate = small(1)
    slot = entered(gate)
    waiter = lined_up(gate)
    gate.leave(slot)
    await gate.turn(waiter)
    async with asyncio.timeout(5):
        while gate._sweeper is not None:  # noqa: ASYNC110 - the timer tells nobody
            await asyncio.sleep(SWEEP)


async def test_bulk_work_does_not_get_all_slots() -> None:
    gate = small(4)
    bulk = [entered(gate, Kind.BULK) for _ in range(3)]
    assert gate.enter(Kind.BULK) is None
    waiter = lined_up(gate, Kind.BULK)
    # A slot is free, and is for somebody else.
    normal = lined_up(gate)
    assert (normal.place.inside, waiter.place.inside) == (True, False)
    gate.leave(bulk[0])
    assert waiter.place.inside


async def test_a_slot_that_bulk_work_may_not_have_is_taken_by_others_at_once() -> None:
    gate = small(4)
    for _ in range(3):
        entered(gate, Kind.BULK)
    bulk = lined_up(gate, Kind.BULK)
    assert gate.enter(Kind.NORMAL) is None
    normal = lined_up(gate)
    assert (await gate.turn(normal), bulk.place.inside) == (normal.place, False)


async def test_what_waits_outside_frees_its_slot_and_comes_back_first() -> None:
    gate = small(1)
    place = entered(gate)
    async with gate.apart(place, "bodies"):
        assert (gate.in_use, gate.yards["bodies"].count) == (0, 1)
        other = entered(gate)
        normal, vital = lined_up(gate), lined_up(gate, Kind.VITAL)
        back = asyncio.get_running_loop().call_soon(lambda: gate.leave(other))
    assert not back.cancelled()
    assert (place.inside, gate.in_use, gate.yards["bodies"].count) == (True, 1, 0)
    assert await served(gate, {"normal": normal, "vital": vital}, place) == ["vital", "normal"]
    assert gate.admitted[Kind.NORMAL] == 3


async def test_outside_is_capped_too() -> None:
    gate = small(2)
    one, two = entered(gate), entered(gate)
    async with gate.apart(one, "waits"):
        with pytest.raises(Overloaded):
            async with gate.apart(two, "waits"):
                pass
        assert (two.inside, gate.yards["waits"].refused) == (True, 1)
    gate.leave(one)
    gate.leave(two)
    assert gate.in_use == 0


async def test_who_finds_no_slot_after_waiting_outside_is_turned_away() -> None:
    gate = small(1)
    place = entered(gate)
    asyncio.get_running_loop().call_later(SWEEP, pass_time, gate, load.BURST + 1)
    with pytest.raises(Overloaded):
        await outside(gate, place)
    gate.leave(place)
    assert (gate.in_use, gate.yards["bodies"].count, gate.queued) == (1, 0, 0)


async def test_an_error_outside_needs_no_slot_any_more() -> None:
    gate = small(1)
    place = entered(gate)
    with pytest.raises(ValueError, match="broken"):
        await outside(gate, place, ValueError("broken"))
    gate.leave(place)
    assert (gate.in_use, gate.yards["bodies"].count) == (1, 0)


def test_views_and_pages_of_operators_take_no_slot_and_have_caps_of_their_own() -> None:
    gate = small(1)
    entered(gate)
    page, view, other = entered(gate, Kind.PAGES), entered(gate, Kind.VIEWS), entered(gate, Kind.VIEWS)
    assert (gate.in_use, gate.yards["pages"].count, gate.yards["views"].count) == (1, 1, 2)
    assert gate.enter(Kind.VIEWS) is None
    assert gate.line_up(Kind.VIEWS) is None
    assert gate.rejected == {(Kind.VIEWS, "full"): 1}
    for place in (page, view, other):
        gate.leave(place)
    assert (gate.yards["pages"].count, gate.yards["views"].count) == (0, 0)


def test_whether_the_process_turns_is_answered_however_many_ask_for_the_rest() -> None:
    gate = small(1)
    entered(gate)
    ready, metrics = entered(gate, Kind.PAGES), entered(gate, Kind.METRICS)
    assert gate.enter(Kind.PAGES) is None
    assert gate.enter(Kind.METRICS) is None
    live = [entered(gate, Kind.LIVE) for _ in range(100)]
    assert (gate.yards["pages"].refused, gate.yards["metrics"].refused, gate.admitted[Kind.LIVE]) == (1, 1, 100)
    for place in (ready, metrics, *live):
        gate.leave(place)
    assert {yard.count for yard in gate.yards.values()} == {0}


def test_under_pressure_expensive_requests_of_visitors_are_turned_away_even_if_there_is_room() -> None:
    gate = small(2)
    gate.pressure.become(Standing(memory=Held(SHED, 1.0)), Reading(None, 0, 0.0))
    assert gate.enter(Kind.BULK, anonymous=True) is None
    assert gate.line_up(Kind.BULK, anonymous=True) is None
    assert gate.rejected == {(Kind.BULK, "pressure"): 1}
    assert gate.enter(Kind.BULK) is not None
    assert gate.enter(Kind.NORMAL, anonymous=True) is not None


def test_only_the_time_at_work_counts() -> None:
    gate = small(1)
    place = entered(gate)
    pass_time(gate, 0.2)
    gate.step_out(place, "streams")
    pass_time(gate, 60.0)
    gate.leave(place)
    assert place.spent == pytest.approx(0.2)


def test_the_gate_fits_the_machine() -> None:
    assert sizes(2, GIB // 2, 6) == Sizes(floor=6, ceiling=64, queue=1_024, bodies=64, waits=100, views=4_096, pages=64)
    assert sizes(64, 256 * GIB, 6).ceiling == 560
    tiny = sizes(1, 64 * 2**20, 6)
    assert (tiny.floor, tiny.ceiling, tiny.queue, tiny.views) == (6, 16, 512, 1_000)
    assert sizes(2, GIB, 6, 1, 3) == Sizes(floor=1, ceiling=1, queue=3, bodies=128, waits=100, views=8_000, pages=64)


VITAL_ROUTES = {
    "change_password", "create_api_token", "delete_api_token", "end_other_sessions", "end_session", "forgot_password",
    "get_api_token", "get_me", "list_api_tokens", "list_sessions", "log_in", "log_out", "refresh", "register",
    "resend_verification", "reset_password", "verify_email",
}  # fmt: skip
BULK_ROUTES = {
    "calendar_feed", "delete_collection", "delete_favorites", "draw_random_releases", "edit_batch", "export_profile",
    "export_views", "genre_feed", "import_catalogue", "import_list", "list_changes", "list_revisions", "list_top",
    "list_views", "merge_edits", "post_search", "put_all_progress", "put_collection", "put_favorites", "put_ratings",
    "releases_feed", "search_releases", "suggest_releases",
}  # fmt: skip
OUTSIDE_ROUTES = {
    "get_health", "get_health_live", "get_health_ready", "get_live", "get_metrics", "get_ready", "record_release_views",
    "record_views",
}  # fmt: skip
UUID = "0198a3c4-58f1-7c3e-9d42-1f6b7a8c9d0e"


def test_every_route_has_its_class() -> None:
    found: dict[Kind, set[str]] = {}
    for route in table():
        target = route.path.replace("{id}", "42").replace("{slug:[a-z0-9-]{1,150}}", "drama")
        target = target.replace(f"{{id:{UUID_PATTERN}}}", UUID)
        for spelt in (target, f"{target}/"):
            found.setdefault(kind_of(route.method, spelt), set()).add(route.operation_id)
    assert found[Kind.VITAL] == VITAL_ROUTES
    assert found[Kind.BULK] - {"bulk_moderate", "decide_in_bulk", "moderate_many"} == BULK_ROUTES
    outside = (found[kind] for kind in Kind if kind >= OUTSIDE)
    assert set().union(*outside) == OUTSIDE_ROUTES
    assert found[Kind.LIVE] == {"get_live", "get_health_live"}


@pytest.mark.parametrize(("method", "target", "kind"), [
    ("GET", "/api/v1/users?q=ann", Kind.BULK),
    ("GET", "/api/v1/users/3?q=ann", Kind.NORMAL),
    ("GET", "/api/v1/releases/3/views", Kind.NORMAL),
    ("POST", "/api/v1/releases/3/views?x=1", Kind.VIEWS),
    ("GET", "/health?verbose", Kind.PAGES),
    ("GET", "/ready/", Kind.PAGES),
    ("GET", "/metrics", Kind.METRICS),
    ("GET", "/live?x", Kind.LIVE),
    ("HEAD", "/api/v1/auth/me?x=1", Kind.VITAL),
    ("DELETE", f"/api/v1/auth/sessions/{UUID}", Kind.VITAL),
    ("GET", f"/api/v1/auth/sessions/{UUID}", Kind.NORMAL),
    ("GET", "/api/v1/auth/login", Kind.NORMAL),
    ("POST", "/api/v1/auth/x", Kind.NORMAL),
    ("GET", "/api/v1/auth/tokens/x", Kind.NORMAL),
    ("POST", f"/api/v1/auth/login/{UUID}", Kind.NORMAL),
    ("PROPFIND", "/api/v1/auth/me", Kind.NORMAL),
    ("GET", "/api/v1/auth", Kind.NORMAL),
    ("GET", "/healthy", Kind.NORMAL),
    ("GET", "//health", Kind.NORMAL),
    ("PUT", "/api/v1/profile/ratings/3", Kind.NORMAL),
    ("GET", "/api/v1/profile/ratings", Kind.NORMAL),
    ("GET", "", Kind.NORMAL),
])  # fmt: skip
def test_a_class_is_known_from_method_and_target(method: str, target: str, kind: Kind) -> None:
    assert kind_of(method, target) is kind


def test_a_refusal_is_the_document_every_error_has() -> None:
    parts = Refusals()._parts
    document = orjson.loads(b'"/x"'.join(parts[:2]) + b"id" + parts[2])
    assert document == {
        "type": "urn:yojohan:problem:overloaded", "title": "The server has more work than it can take", "status": 503,
        "detail": "The server has more requests than it can serve; try again soon.", "instance": "/x",
        "code": "overloaded", "request_id": "id",
    }  # fmt: skip
