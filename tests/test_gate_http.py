"""The gate in front of the API, over real sockets: what a full server answers, and what it answers in spite of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from server.gate import Gate
from server.http.gated import MOST_LINES
from server.keys import CACHE, DATABASE, EDGE, GATE, METRICS, PRESSURE
from server.rules.load import Kind
from server.rules.pressure import SHED, Held, Reading, Standing
from tests.conftest import Server
from tests.http_fixture import SHARED, check_problem, event, exchange, log_lines, problem, read_answer, shared_site
from tests.people import make_user, person
from tests.running import Running
from tests.sse import connected, member

pytestmark = SHARED
ORIGIN = "https://anime.example"
GENRES = "/api/v1/genres"
RANDOM = "/api/v1/releases/random"
GET = f"GET {RANDOM}?limit=2 HTTP/1.1\r\nHost: x\r\n\r\n".encode()
LOGIN = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
CREDENTIALS = b'{"email": "nobody@example.com", "password": "correct horse battery"}'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """The server of this module."""
    async with shared_site(server, tmp_path_factory.mktemp("site"), CORS_ORIGINS=ORIGIN) as started:
        yield started


@pytest.fixture
def gate(site: Running) -> Iterator[Gate]:
    """Its gate, which every test leaves as it found it."""
    gate = site.app[GATE]
    yield gate
    assert (gate.in_use, gate.queued, {yard.count for yard in gate.yards.values()}) == (0, 0, {0})


@contextmanager
def full(gate: Gate, *, queue: int = 0) -> Iterator[Callable[[], None]]:
    """All slots are taken, and so many may wait. What it yields gives one slot back."""
    sizes = gate.sizes
    held = []
    while (place := gate.enter(Kind.VITAL)) is not None:
        held.append(place)
    gate.sizes = replace(sizes, queue=queue)
    try:
        yield lambda: gate.leave(held.pop())
    finally:
        gate.sizes = sizes
        for place in held:
            gate.leave(place)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110 - what is waited for happens in other tasks
            await asyncio.sleep(0.005)


async def test_a_full_server_says_so_at_once_and_the_connection_lives_on(site: Running, gate: Gate) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    with full(gate):
        for _ in range(3):
            writer.write(
                GET.replace(b"Host: x", b"Host: x\r\nX-Request-ID: my-request-1\r\nOrigin: https://anime.example")
            )
            answer = await asyncio.wait_for(read_answer(reader), 5)
            document = check_problem(503, answer.headers, answer.body)
            assert (document["code"], document["request_id"]) == ("overloaded", "my-request-1")
            assert document["instance"] == RANDOM
            assert 1 <= int(answer.headers["Retry-After"]) <= 3
            assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
            assert "Retry-After" in answer.headers["Access-Control-Expose-Headers"]
            assert answer.headers["Server"] == "Yojohan"
            assert "Connection" not in answer.headers
    writer.write(GET)
    assert (await asyncio.wait_for(read_answer(reader), 5)).status == 200
    writer.close()


async def test_a_path_with_odd_characters_is_escaped_in_a_refusal(site: Running, gate: Gate) -> None:
    with full(gate):
        answer = await exchange(site.port, b'GET /api/v1/"%22\\%0d HTTP/1.1\r\nHost: x\r\n\r\n')
    assert check_problem(503, answer.headers, answer.body)["instance"].startswith("/api/v1/")


@pytest.mark.parametrize("length", [b"Content-Length: 1048576\r\n", b"Transfer-Encoding: chunked\r\n"])
async def test_it_is_decided_before_the_body_is_read(site: Running, gate: Gate, length: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    with full(gate):
        writer.write(LOGIN + length + b"\r\n")
        answer = await asyncio.wait_for(read_answer(reader), 1)
        check_problem(503, answer.headers, answer.body)
        assert answer.headers["Connection"] == "close"
        if b"chunked" in length:
            # For two seconds it listens on, so that the client gets to read this before it is cut off.
            assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()


async def test_a_body_that_has_come_does_not_end_the_connection(site: Running, gate: Gate) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    with full(gate):
        writer.write(LOGIN + b"Content-Length: %d\r\n\r\n" % len(CREDENTIALS) + CREDENTIALS)
        answer = await asyncio.wait_for(read_answer(reader), 5)
        assert (answer.status, answer.headers.get("Connection")) == (503, None)
    writer.write(GET)
    assert (await asyncio.wait_for(read_answer(reader), 5)).status == 200
    writer.close()


async def test_no_hundred_is_sent_ahead_of_a_refusal(site: Running, gate: Gate) -> None:
    with full(gate):
        answer = await exchange(site.port, LOGIN + b"Content-Length: 9\r\nExpect: 100-continue\r\n\r\n")
    assert answer.status == 503


async def test_head_and_options_are_refused_and_answered_as_they_should(site: Running, gate: Gate) -> None:
    with full(gate):
        answer = await exchange(site.port, GET.replace(b"GET", b"HEAD"), head=True)
        assert (answer.status, answer.headers["Content-Type"]) == (503, "application/problem+json")
        ask = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}
        async with site.client.options(RANDOM, headers=ask) as preflight:
            assert preflight.status == 204
        async with site.client.options(RANDOM) as other:
            await problem(other, 503)


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready", "/live", "/ready", "/metrics"])
async def test_operators_are_answered_while_the_server_is_full(site: Running, gate: Gate, path: str) -> None:
    with full(gate):
        async with site.client.get(path) as answer:
            assert answer.status == 200


async def test_views_are_taken_while_the_server_is_full_up_to_a_cap(site: Running, gate: Gate) -> None:
    with full(gate):
        for path in ("/api/v1/views", "/api/v1/releases/3/views"):
            async with site.client.post(path, json=event()) as answer:
                assert answer.status == 202
        yard = gate.yards["views"]
        yard.count, before = yard.most, yard.refused
        async with site.client.post("/api/v1/views", json=event()) as answer:
            await problem(answer, 503)
        yard.count = 0
        assert yard.refused == before + 1


async def test_what_is_cached_is_answered_while_the_server_is_full_fresh_or_not(site: Running, gate: Gate) -> None:
    async with site.client.get(GENRES) as answer:
        body = await answer.read()
    with full(gate):
        async with site.client.get(GENRES) as answer:
            assert (answer.status, await answer.read()) == (200, body)
        cache = site.app[CACHE]
        for entry in cache._entries.values():
            entry.fresh_until -= 10_000
        before = cache.stats.stale
        async with site.client.get(GENRES) as answer:
            assert (answer.status, await answer.read(), cache.stats.stale) == (200, body, before + 1)
        assert log_lines(site)[-1]["cache"] == "stale"
        # Nobody may have it who has to be known first, and nothing that was dropped comes back.
        async with site.client.get(GENRES, headers={"Authorization": "Bearer nonsense"}) as answer:
            await problem(answer, 503)
        cache.drop_all()
        async with site.client.get(GENRES) as answer:
            await problem(answer, 503)


async def test_who_waits_is_served_as_soon_as_there_is_room(site: Running, gate: Gate) -> None:
    with full(gate, queue=4) as give_back:
        waiting = asyncio.create_task(exchange(site.port, GET))
        await until(lambda: gate.queued == 1)
        await asyncio.sleep(0.05)
        assert not waiting.done()
        give_back()
        assert (await waiting).status == 200
    assert gate.waited >= 0.05


async def test_signing_in_comes_before_the_catalogue_and_that_before_searching(site: Running, gate: Gate) -> None:
    order: list[str] = []

    async def ask(name: str, request: bytes) -> None:
        await exchange(site.port, request)
        order.append(name)

    me = b"GET /api/v1/auth/me HTTP/1.1\r\nHost: x\r\n\r\n"
    requests = {
        "search": b"GET /api/v1/users?q=ab HTTP/1.1\r\nHost: x\r\n\r\n",
        "catalogue": b"GET /api/v1/schedule?tz=UTC HTTP/1.1\r\nHost: x\r\n\r\n",
        "auth": me,
    }
    with full(gate, queue=4) as give_back:
        gate._turn = 0
        tasks = []
        for number, (name, request) in enumerate(requests.items(), 1):
            tasks.append(asyncio.create_task(ask(name, request)))
            await until(lambda so_far=number: gate.queued == so_far)  # type: ignore[misc]
        give_back()
        await asyncio.wait_for(asyncio.gather(*tasks), 5)
    assert order == ["auth", "catalogue", "search"]


async def test_who_waits_too_long_gets_503(site: Running, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.gate.patience", lambda *_: 0.05)
    late = gate.rejected[Kind.BULK, "late"]
    with full(gate, queue=4):
        answer = await exchange(site.port, GET)
    check_problem(503, answer.headers, answer.body)
    assert gate.rejected[Kind.BULK, "late"] == late + 1


async def test_who_goes_away_while_waiting_gives_the_place_back(site: Running, gate: Gate) -> None:
    gone = gate.rejected[Kind.BULK, "gone"]
    with full(gate, queue=4):
        _, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(GET)
        await until(lambda: gate.queued == 1)
        writer.close()
        await until(lambda: gate.queued == 0)
    assert gate.rejected[Kind.BULK, "gone"] == gone + 1


async def test_a_slot_comes_back_whatever_becomes_of_the_request(
    site: Running, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> None:
        raise RuntimeError("broken")

    for path, status in (("/nope", 404), (f"{RANDOM}?limit=x", 422), ("/api/v1/profile", 401)):
        async with site.client.get(path) as answer:
            assert (answer.status, gate.in_use) == (status, 0)
    monkeypatch.setattr("server.identity.Identities.of", broken)
    async with site.client.get(RANDOM, headers={"Authorization": "Bearer x"}) as answer:
        assert (answer.status, gate.in_use) == (500, 0)


async def test_a_body_on_its_way_keeps_no_slot(site: Running, gate: Gate) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(LOGIN + b"Content-Length: %d\r\n\r\n" % len(CREDENTIALS))
    await until(lambda: gate.yards["bodies"].count == 1)
    assert gate.in_use == 0
    with full(gate, queue=4) as give_back:
        writer.write(CREDENTIALS)
        # Everything is taken meanwhile: it comes back first.
        await until(lambda: gate.waiting(Kind.RETURNING) == 1)
        give_back()
        assert (await asyncio.wait_for(read_answer(reader), 5)).status == 401
    writer.close()


async def test_too_many_bodies_on_their_way_are_refused(site: Running, gate: Gate) -> None:
    yard = gate.yards["bodies"]
    most, yard.most = yard.most, 1
    first = asyncio.create_task(exchange(site.port, LOGIN + b"Content-Length: 80\r\n\r\n"))
    await until(lambda: yard.count == 1)
    answer = await exchange(site.port, LOGIN + b"Content-Length: 80\r\n\r\n")
    yard.most = most
    first.cancel()
    await until(lambda: yard.count == 0)
    check_problem(503, answer.headers, answer.body)


async def test_a_stream_keeps_no_slot(site: Running, gate: Gate) -> None:
    who = await member(site, await make_user(site.app[DATABASE].dsn))
    async with connected(site, **who.headers) as reader:
        await until(lambda: gate.yards["streams"].count == 1)
        assert gate.in_use == 0
        assert reader is not None
    await until(lambda: gate.yards["streams"].count == 0)


async def test_who_waits_for_an_operation_keeps_no_slot_and_too_many_are_not_waited_for(
    site: Running, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold = asyncio.Event()

    async def end(*_: Any) -> None:
        await hold.wait()

    monkeypatch.setattr("server.http.accepted._end", end)
    who = await person(site)
    prefer = {**who.headers, "Prefer": "wait=5"}
    waiting = asyncio.create_task(site.client.post("/api/v1/profile/export", headers=prefer))
    await until(lambda: gate.yards["waits"].count == 1)
    assert gate.in_use == 0
    yard = gate.yards["waits"]
    most, yard.most = yard.most, 1
    other = await person(site)
    async with site.client.post("/api/v1/profile/export", headers={**other.headers, "Prefer": "wait=5"}) as answer:
        assert (answer.status, "Preference-Applied" in answer.headers) == (202, False)
    yard.most = most
    hold.set()
    async with await waiting as answer:
        assert (answer.status, answer.headers["Preference-Applied"]) == (202, "wait=5")


async def test_under_pressure_visitors_do_not_get_what_is_expensive(site: Running, gate: Gate) -> None:
    pressure = site.app[PRESSURE]
    before = pressure.standing
    pressure.become(Standing(memory=Held(SHED, 0.0)), Reading(None, 0, 0.0))
    try:
        async with site.client.get(f"{RANDOM}?limit=3") as answer:
            await problem(answer, 503)
        who = await person(site)
        async with site.client.get(f"{RANDOM}?limit=3", headers=who.headers) as answer:
            assert answer.status == 200
        async with site.client.get("/api/v1/schedule?tz=Asia/Tokyo") as answer:
            assert answer.status == 200
    finally:
        pressure.standing = before
    assert gate.rejected[Kind.BULK, "pressure"] >= 1


async def test_a_flood_of_refusals_writes_few_lines_and_counts_all(
    site: Running, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals = site.app[EDGE].refusals
    monkeypatch.setattr(refusals, "_clock", lambda: refusals._second + 5.0)
    assert refusals.worth_a_line()
    monkeypatch.setattr(refusals, "_clock", lambda: refusals._second)
    before, unlogged = len(log_lines(site)), refusals.unlogged
    full_before = gate.rejected[Kind.BULK, "full"]
    with full(gate):
        for _ in range(MOST_LINES * 3):
            async with site.client.get(RANDOM) as answer:
                assert answer.status == 503
    written = log_lines(site)[before:]
    assert len(written) == MOST_LINES - 1
    assert {(line["status_code"], line["path"], line["route"]) for line in written} == {(503, RANDOM, "unmatched")}
    assert refusals.unlogged == unlogged + MOST_LINES * 2 + 1
    assert gate.rejected[Kind.BULK, "full"] == full_before + MOST_LINES * 3


async def test_the_gate_is_seen_in_the_metrics(site: Running, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.metrics.SCRAPE_SHARED", -1.0)
    with full(gate, queue=1):
        waiting = asyncio.create_task(exchange(site.port, GET))
        await until(lambda: gate.queued == 1)
        assert (await exchange(site.port, GET)).status == 503
        text = site.app[METRICS].exposition().decode()
        assert f"\nyojohan_gate_limit {float(gate.limit)}\n" in text
        assert f"\nyojohan_gate_in_use {float(gate.limit)}\n" in text
        assert '\nyojohan_gate_queued{class="bulk"} 1.0\n' in text
        assert '\nyojohan_gate_rejected_total{class="bulk",reason="full"} ' in text
        assert '\nyojohan_gate_admitted_total{class="normal"} ' in text
        assert "\nyojohan_gate_waited_seconds_total " in text
        assert '\nyojohan_gate_outside{yard="streams"} 0.0\n' in text
        assert '\nyojohan_gate_bounds{bound="ceiling"} ' in text
    assert (await waiting).status == 200


async def test_the_settings_bound_it_and_who_waits_is_answered_when_the_server_stops(
    server: Server, tmp_path: Path
) -> None:
    bounds = {"MAX_CONCURRENT_REQUESTS": "1", "MAX_QUEUED_REQUESTS": "2"}
    async with shared_site(server, tmp_path, **bounds) as site:
        gate = site.app[GATE]
        assert (gate.limit, gate.sizes.queue) == (1, 2)
        place = gate.enter(Kind.NORMAL)
        assert place is not None
        waiting = [asyncio.create_task(exchange(site.port, GET)) for _ in range(2)]
        await until(lambda: gate.queued == 2)
        assert (await exchange(site.port, GET)).status == 503
    assert [(await one).status for one in waiting] == [503, 503]
    assert gate.rejected[Kind.BULK, "stopping"] == 2


async def test_a_refusal_never_overtakes_an_answer_of_the_same_connection(
    site: Running, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals = site.app[EDGE].refusals
    monkeypatch.setattr(refusals, "_clock", lambda: refusals._sampled)
    monkeypatch.setattr(refusals, "_samples", MOST_LINES)
    upgrade = b"GET /live HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    with full(gate, queue=1) as let_one_in:
        # The second comes behind an upgrade that is declined: aiohttp parses it while it answers the first.
        writer.write(upgrade + GET.replace(b"Host: x", b"Host: x\r\nX-Request-ID: the-second"))
        assert (await asyncio.wait_for(read_answer(reader), 5)).status == 200
        await until(lambda: gate.queued == 1)
        writer.write(GET.replace(b"Host: x", b"Host: x\r\nX-Request-ID: the-third-one"))
        await asyncio.sleep(0.05)
        let_one_in()
        answers = [await asyncio.wait_for(read_answer(reader), 5) for _ in range(2)]
    assert [one.headers["X-Request-ID"] for one in answers] == ["the-second", "the-third-one"]
    writer.close()


async def test_in_a_flood_refusals_are_the_same_though_nothing_is_made_of_the_requests(
    site: Running, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals = site.app[EDGE].refusals
    monkeypatch.setattr(refusals, "_clock", lambda: refusals._second)
    monkeypatch.setattr(refusals, "_sampled", refusals._second)
    monkeypatch.setattr(refusals, "_samples", MOST_LINES)
    made = site.app[METRICS].in_flight
    turned_away = site.app[EDGE]._turn_away
    usual = 0

    async def counted(*arguments: Any) -> Any:
        nonlocal usual
        usual += 1
        return await turned_away(*arguments)

    monkeypatch.setattr(site.app[EDGE], "_turn_away", counted)
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    with full(gate):
        for extra in (b"", b"X-Request-ID: my-request-2\r\n", b"X-Request-ID: short\r\n"):
            writer.write(GET.replace(b"Host: x\r\n", b"Host: x\r\n" + extra))
            answer = await asyncio.wait_for(read_answer(reader), 5)
            document = check_problem(503, answer.headers, answer.body)
            assert (document["code"], document["instance"]) == ("overloaded", RANDOM)
            assert (document["request_id"] == "my-request-2") == (b"my-request-2" in extra)
            assert answer.headers["Server"] == "Yojohan"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert usual == 0
        # Two at once, a head in two pieces, one that wants to go: whatever is odd takes the usual way.
        writer.write(GET + GET)
        assert [(await asyncio.wait_for(read_answer(reader), 5)).status for _ in range(2)] == [503, 503]
        assert usual == 2
        writer.write(GET[:20])
        await asyncio.sleep(0.02)
        writer.write(GET[20:])
        assert (await asyncio.wait_for(read_answer(reader), 5)).status == 503
        writer.write(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await asyncio.wait_for(read_answer(reader), 5)).status == 200
    writer.write(GET)
    assert (await asyncio.wait_for(read_answer(reader), 5)).status == 200
    writer.write(b"nonsense\r\n\r\n")
    assert (await asyncio.wait_for(read_answer(reader), 5)).status == 400
    assert site.app[METRICS].in_flight == made
    writer.close()
