"""What the concurrency gate keeps for whom: parts of the queue by class, places outside by class and address."""

from __future__ import annotations

from collections import Counter

from server.errors import Overloaded
from server.gate import Place, Waiter
from server.rules.load import Kind
from tests.test_gate import entered, lined_up, small


async def test_no_class_takes_what_a_lower_one_keeps_of_the_queue() -> None:
    gate = small(1, queue=64)
    slot = entered(gate)
    bulk = [lined_up(gate, Kind.BULK) for _ in range(8)]
    normal = [lined_up(gate) for _ in range(56)]
    taken = 0
    while gate.line_up(Kind.VITAL) is not None:
        taken += 1
    # A sixteenth and a quarter are left to them: the eldest.
    assert (taken, gate.waiting(Kind.NORMAL), gate.waiting(Kind.BULK), gate.queued) == (44, 16, 4, 64)
    assert not any(waiter.future.done() for waiter in (*bulk[:4], *normal[:16]))
    gate.leave(slot)


async def test_a_class_gets_the_part_of_the_queue_it_keeps_though_others_have_filled_it() -> None:
    gate = small(1, queue=64)
    entered(gate)
    vital = [lined_up(gate, Kind.VITAL) for _ in range(64)]
    assert not gate.turns_away(Kind.NORMAL)
    normal = [lined_up(gate) for _ in range(16)]
    assert gate.line_up(Kind.NORMAL) is None
    assert gate.turns_away(Kind.NORMAL)
    assert [waiter.future.done() for waiter in vital] == [False] * 48 + [True] * 16
    bulk = [lined_up(gate, Kind.BULK) for _ in range(4)]
    assert gate.line_up(Kind.BULK) is None
    assert gate.turns_away(Kind.BULK)
    assert gate.line_up(Kind.VITAL) is None
    assert not any(waiter.future.done() for waiter in (*normal, *bulk))
    assert gate.queued == 64


async def test_those_on_their_way_count_for_the_part_a_class_keeps() -> None:
    gate = small(1, queue=64)
    entered(gate)
    for _ in range(64):
        lined_up(gate, Kind.VITAL)
    assert [gate.turns_away(Kind.NORMAL) for _ in range(17)] == [False] * 16 + [True]


async def test_a_flood_of_vital_requests_leaves_others_their_turns() -> None:
    gate = small(1, queue=32)
    slot, served = entered(gate), Counter[Kind]()
    waiting: list[Waiter] = []
    for turn in range(400):
        # Ten times as many vital ones as can be served.
        waiting += [waiter for _ in range(10) if (waiter := gate.line_up(Kind.VITAL)) is not None]
        if turn % 4 == 0:
            waiting += [waiter for _ in range(2) if (waiter := gate.line_up(Kind.NORMAL)) is not None]
        gate.leave(slot)
        slot = next(waiter.place for waiter in waiting if waiter.place.inside)
        served[slot.kind] += 1
        waiting = [waiter for waiter in waiting if not waiter.future.done()]
    # Three turns in sixteen are theirs, and one bulk work's.
    assert served[Kind.NORMAL] == 75
    assert served[Kind.VITAL] >= 250


async def test_no_address_has_all_places_for_bodies_on_their_way_and_some_are_for_signing_in() -> None:
    gate = small(100, bodies=32)

    def goes_out(kind: Kind, owner: int | None) -> Place | None:
        place = entered(gate, kind)
        place.owner = owner
        try:
            gate.step_out(place, "bodies")
        except Overloaded:
            gate.leave(place)
            return None
        return place

    assert [goes_out(Kind.NORMAL, 1) is not None for _ in range(5)] == [True] * 4 + [False]
    assert goes_out(Kind.VITAL, 1) is None
    others = [goes_out(Kind.NORMAL, owner) for owner in range(2, 23)]
    assert [place is not None for place in others] == [True] * 20 + [False]
    # Whose it is cannot be seen: that counts for nobody.
    assert goes_out(Kind.NORMAL, None) is None
    vital = [goes_out(Kind.VITAL, None) for _ in range(9)]
    assert [place is not None for place in vital] == [True] * 8 + [False]
    for place in (*others, *vital):
        if place is not None:
            gate.leave(place)
            gate.leave(place)
    assert (gate.yards["bodies"].count, gate.in_use) == (4, 0)
    assert goes_out(Kind.NORMAL, 2) is not None
