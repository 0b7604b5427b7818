"""The live stream over real sockets: who gets in, what is replayed and in which order, who is dropped, how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, cast

import asyncpg
import pytest
import pytest_asyncio

from actors.stream_hub import StreamHub
from server.errors import Overloaded
from server.keys import DATABASE, IDENTITIES, METRICS, STREAMS
from server.streams import MOST_PER_USER, MOST_REPLAYED, MOST_WAITING, PATIENCE, Stream
from sql import streams
from tests.conftest import Server
from tests.http_fixture import SHARED, check_problem, problem, queries_seen, shared_site
from tests.people import Person, make_user, person, sql
from tests.running import Running, running
from tests.sse import PATH, Event, Reader, connected, emptied, member, notify
from tests.working import until

pytestmark = SHARED
TICKETS = f"{PATH}-ticket"
ORIGIN = "https://anime.example"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """A server whose hub does nothing by the clock while these tests run."""
    async with shared_site(server, tmp_path_factory.mktemp("site"), CORS_ORIGINS=ORIGIN) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def beating(site: Running, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """Another one beside it whose clock runs three hundred times as fast."""
    dsn = site.app[DATABASE].dsn
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StreamHub, "interval", 0.05)
        async with running(dsn, tmp_path_factory.mktemp("beating")) as started:
            yield started


async def someone(site: Running) -> Person:
    return await member(site, await make_user(site.app[DATABASE].dsn))


def told(site: Running, *user_ids: int) -> None:
    site.app[STREAMS].heard(min(user_ids), max(user_ids))


async def ticket(site: Running, who: Person) -> str:
    async with site.client.post(TICKETS, headers=who.headers) as answer:
        assert answer.status == 201, await answer.text()
        assert answer.headers["Cache-Control"] == "private, no-store"
        body = await answer.json()
        assert body["expires_in"] == 30
        found: str = body["ticket"]
        return found


async def greeted(reader: Reader) -> Event:
    assert reader.status == 200
    first = await reader.next()
    assert first is not None
    assert first.name == "unread"
    return first


async def test_a_page_opens_a_stream_with_a_ticket_that_is_good_once(site: Running) -> None:
    who = await someone(site)
    key = await ticket(site, who)
    kept = await sql(site, "select ticket_hash from stream_tickets where user_id = $1", who.id)
    assert key.encode() not in kept
    async with connected(site, f"?ticket={key}", Origin=ORIGIN) as reader:
        assert (await greeted(reader)).data == {"unread_count": 0}
        assert reader.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert reader.headers["Cache-Control"] == "private, no-store"
        assert reader.headers["X-Accel-Buffering"] == "no"
        assert reader.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert reader.headers["X-Request-ID"]
        assert "Content-Encoding" not in reader.headers
        (place,) = await notify(site, who.id)
        told(site, who.id)
        event = await reader.next()
        assert event is not None
        assert (event.name, event.id, event.data["id"], event.data["type"]) == (
            "notification", place, place, "recommendation",
        )  # fmt: skip
        assert event.data["release"]["id"] == 3
        assert await reader.next() == Event("unread", {"unread_count": 1})
    async with connected(site, f"?ticket={key}") as reader:
        check_problem(401, reader.headers, await reader.body())


async def test_what_is_sent_is_what_the_list_shows(site: Running) -> None:
    who = await someone(site)
    (place,) = await notify(site, who.id)
    async with connected(site, "?last_event_id=0", **who.headers) as reader:
        await greeted(reader)
        event = await reader.next()
    async with site.client.get("/api/v1/notifications", headers=who.headers) as answer:
        shown = (await answer.json())["results"]
    assert event == Event("notification", shown[0], place)


async def test_nobody_gets_in_without_a_ticket_or_a_token_that_counts(site: Running) -> None:
    who = await someone(site)
    key = await ticket(site, who)
    await sql(site, "update stream_tickets set expires_at = now() where user_id = $1", who.id)
    other = await ticket(site, ended := await someone(site))
    await sql(site, "update sessions set revoked_at = now() where user_id = $1", ended.id)
    for query in ("", "?ticket=", f"?ticket={key}", f"?ticket={other}", "?ticket=%00%ff", "?ticket=none"):
        async with site.client.get(PATH + query) as answer:
            await problem(answer, 401)
    async with site.client.get(PATH, headers={"Authorization": "Bearer nonsense"}) as answer:
        await problem(answer, 401)
    for query in ("?last_event_id=-1", "?last_event_id=x", f"?last_event_id={2**63}", f"?ticket={'x' * 201}"):
        async with site.client.get(PATH + query, headers=who.headers) as answer:
            await problem(answer, 422)
    async with site.client.get(PATH, headers={**who.headers, "Last-Event-ID": "first"}) as answer:
        await problem(answer, 422)
    async with site.client.post(TICKETS) as answer:
        await problem(answer, 401)
    assert len(site.app[STREAMS]) == 0


async def test_head_shows_the_headers_and_opens_nothing(site: Running) -> None:
    async with site.client.head(PATH, headers=(await someone(site)).headers) as answer:
        assert (answer.status, answer.headers["Content-Type"]) == (200, "text/event-stream; charset=utf-8")
    for query in ("", "?ticket=none"):
        async with site.client.head(PATH + query) as answer:
            assert answer.status == 401
    assert len(site.app[STREAMS]) == 0


async def test_who_comes_back_is_told_what_came_meanwhile_in_its_order(site: Running) -> None:
    who = await someone(site)
    ids = await notify(site, who.id, count=7)
    for query, headers in ((f"?last_event_id={ids[2]}", {}), ("?last_event_id=1", {"Last-Event-ID": str(ids[2])})):
        async with connected(site, query, **who.headers, **headers) as reader:
            first = await greeted(reader)
            assert (first.id, first.data) == (ids[2], {"unread_count": 7})
            assert [(await reader.next() or Event("", None)).id for _ in ids[3:]] == ids[3:]
    async with connected(site, **who.headers) as reader:
        # Who names no place begins at the end.
        assert (await greeted(reader)).id == ids[-1]
        more = await notify(site, who.id, count=3)
        told(site, who.id)
        assert [(await reader.next() or Event("", None)).id for _ in more] == more


async def test_a_place_that_does_not_exist_yet_is_the_end(site: Running) -> None:
    who = await someone(site)
    ids = await notify(site, who.id)
    async with connected(site, f"?last_event_id={10**15}", **who.headers) as reader:
        assert (await greeted(reader)).id == ids[0]
        (place,) = await notify(site, who.id)
        told(site, who.id)
        assert (await reader.next() or Event("", None)).id == place


async def test_who_was_away_too_long_fetches_the_list_anew(site: Running) -> None:
    who = await someone(site)
    ids = await notify(site, who.id, count=MOST_REPLAYED + 1)
    async with connected(site, f"?last_event_id={ids[0]}", **who.headers) as reader:
        await greeted(reader)
        assert [(await reader.next() or Event("", None)).id for _ in ids[1:]] == ids[1:]
        # Beside it, one that comes with less: the first is not disturbed.
        async with connected(site, "?last_event_id=0", **who.headers) as other:
            await greeted(other)
            assert await other.next() == Event("resync", {"reason": "too_far_behind"}, ids[-1])
            (place,) = await notify(site, who.id)
            told(site, who.id)
            for one in (reader, other):
                event = await one.next()
                assert event is not None
                assert (event.name, event.id) == ("notification", place)


async def test_readers_that_have_got_differently_far_are_told_what_each_lacks(site: Running) -> None:
    who, other = await someone(site), await someone(site)
    ids, others = await notify(site, who.id, count=6), await notify(site, other.id, count=2)
    site.app[STREAMS].wake, wake = lambda: None, site.app[STREAMS].wake
    async with AsyncExitStack() as stack:
        places = [(who, ids[0]), (who, ids[3]), (who, ids[0]), (other, others[0])]
        readers = [
            await stack.enter_async_context(connected(site, f"?last_event_id={place}", **one.headers))
            for one, place in places
        ]
        # All of them in one look.
        site.app[STREAMS].wake = wake
        with queries_seen() as names:
            wake()
            for reader, lacking in zip(readers, (ids[1:], ids[4:], ids[1:], others[1:]), strict=True):
                await greeted(reader)
                assert [(await reader.next() or Event("", None)).id for _ in lacking] == lacking
        assert [name for name in names if name in ("places", "since")][:3] == ["places", "since", "since"]


async def test_each_is_told_only_what_is_theirs_and_by_one_look_for_all(site: Running) -> None:
    people = [await someone(site) for _ in range(6)]
    async with AsyncExitStack() as stack:
        readers = [await stack.enter_async_context(connected(site, **who.headers)) for who in people]
        for reader in readers:
            await greeted(reader)
        told_ids = [(await notify(site, who.id))[0] for who in people[:-1]]
        with queries_seen() as names:
            told(site, people[0].id, people[-1].id)
            for reader, place in zip(readers, told_ids, strict=False):
                assert (await reader.next() or Event("", None)).id == place
        assert names.count("since") == 1
        with pytest.raises(TimeoutError):
            await readers[-1].next(patience=0.2)


async def test_reading_elsewhere_changes_the_badge(site: Running) -> None:
    who = await someone(site)
    await notify(site, who.id, count=2)
    async with connected(site, **who.headers) as reader:
        assert (await greeted(reader)).data == {"unread_count": 2}
        await sql(site, "update notification_budgets set unread = 0 where user_id = $1", who.id)
        told(site, who.id)
        assert await reader.next() == Event("unread", {"unread_count": 0})


async def test_a_silent_stream_beats(beating: Running) -> None:
    async with connected(beating, **(await someone(beating)).headers) as reader:
        await greeted(reader)
        for _ in range(3):
            await reader.heartbeat()


async def test_a_user_has_five_streams_at_most_and_one_that_was_closed_counts_no_more(site: Running) -> None:
    who = await someone(site)
    async with AsyncExitStack() as stack:
        readers = [await stack.enter_async_context(connected(site, **who.headers)) for _ in range(MOST_PER_USER)]
        async with connected(site, **who.headers) as refused:
            check_problem(429, refused.headers, await refused.body())
        async with connected(site, **(await someone(site)).headers) as other:
            assert other.status == 200
        readers[0].writer.close()
        await readers[0].writer.wait_closed()

        async def gets_in() -> bool:
            async with connected(site, **who.headers) as again:
                return again.status == 200

        await until(gets_in)


async def test_there_is_a_bound_for_all_together(site: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    await emptied(site.app[STREAMS])
    monkeypatch.setattr("server.streams.MOST", 2)
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(connected(site, **(await someone(site)).headers))
        async with connected(site, **(await someone(site)).headers) as refused:
            check_problem(503, refused.headers, await refused.body())
    await emptied(site.app[STREAMS])


async def test_a_long_past_is_brought_in_portions_to_a_reader_who_reads(site: Running) -> None:
    await emptied(site.app[STREAMS])
    who, counters = await someone(site), site.app[STREAMS].counters
    dropped = counters.dropped
    # More than the buffers of the kernel and of the stream hold together.
    ids = await notify(site, who.id, count=MOST_REPLAYED, data='{"text": "' + "x" * 60_000 + '"}')
    async with connected(site, f"?last_event_id={ids[0] - 1}", **who.headers) as reader:
        await greeted(reader)
        got = [event.id for _ in ids if (event := await reader.next()) is not None]
        assert (got, counters.dropped) == (ids, dropped)
        (place,) = await notify(site, who.id)
        told(site, who.id)
        while (event := await reader.next()) is not None and event.name != "notification":
            assert event.name == "unread"
        assert event is not None
        assert event.id == place


async def last_words(reader: Reader) -> Event | None:
    """The last event before the connection breaks: who is dropped gets no last chunk."""
    last = None
    try:
        while (event := await reader.next()) is not None:
            last = event
    except asyncio.IncompleteReadError:
        return last
    raise AssertionError("an orderly end")


async def test_a_slow_reader_is_told_to_resync_and_dropped(site: Running) -> None:
    await emptied(site.app[STREAMS])
    who = await someone(site)
    dropped = site.app[STREAMS].counters.dropped
    async with connected(site, **who.headers) as reader:
        await greeted(reader)
        (stream,) = site.app[STREAMS]
        # The kernel's own buffers come first: until they are full nobody is slow.
        filler = '{"text": "' + "x" * 30_000 + '"}'
        async with asyncio.timeout(20):
            while not stream.ended.done():
                await notify(site, who.id, count=20, data=filler)
                told(site, who.id)
                await asyncio.sleep(0.05)
        assert site.app[STREAMS].counters.dropped == dropped + 1
        assert len(site.app[STREAMS]) == 0
        assert (await last_words(reader)) == Event("resync", {"reason": "too_slow"})


class Stuck:
    """A transport whose peer reads nothing."""

    def __init__(self) -> None:
        self.waiting = 0
        self.closed = False

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def is_closing(self) -> bool:
        return self.closed

    def write(self, data: bytes) -> None:
        self.waiting += len(data)

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True


async def test_who_reads_slowly_but_reads_is_kept_and_who_stands_still_is_not(
    site: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("server.streams.monotonic", lambda: now)
    who = await site.app[IDENTITIES].of((await someone(site)).headers["Authorization"])

    def reader() -> tuple[Stream, Any]:
        stream, transport = Stream(who, None), Stuck()
        stream.attach(cast("Any", transport), chunked=True)
        return stream, transport

    slow, out = reader()
    for _ in range(10):
        now += PATIENCE / 4
        out.waiting -= min(50, out.waiting)
        assert slow.send(b"x" * 100)
    still, _ = reader()
    kept = []
    for _ in range(7):
        kept.append(still.send(b"x"))
        now += PATIENCE / 4
    assert kept == [True] * 5 + [False] * 2
    flooded, _ = reader()
    assert [flooded.send(b"x" * MOST_WAITING) for _ in range(3)] == [True, False, False]


async def test_what_goes_out_at_once_is_bounded_whoever_reads(site: Running) -> None:
    who = await someone(site)
    stream = Stream(await site.app[IDENTITIES].of(who.headers["Authorization"]), None)
    held, transport = site.app[STREAMS], Stuck()
    stream.attach(cast("Any", transport), chunked=False)
    held.join(stream)
    for _ in range(100):
        held.send(stream, b"x" * 10_000)
    assert transport.closed
    assert transport.waiting < MOST_WAITING + 11_000
    assert stream not in list(held)


async def test_signing_out_ends_the_streams_of_the_session(beating: Running) -> None:
    who = await someone(beating)
    other = await member(beating, who.id)
    async with connected(beating, **who.headers) as reader, connected(beating, **other.headers) as kept:
        await greeted(reader)
        await greeted(kept)
        async with beating.client.post("/api/v1/auth/logout", json={}, headers=who.headers) as answer:
            assert answer.status == 204
        assert not [event for event in await reader.rest() if event.name]
        await kept.heartbeat()
        # Where another process did it, the database says so.
        await sql(beating, "update sessions set revoked_at = now(), expires_at = now() where id = $1", other.session_id)
        await kept.rest()


async def test_an_erased_account_ends_its_streams(beating: Running) -> None:
    who = await someone(beating)
    async with connected(beating, **who.headers) as reader:
        await greeted(reader)
        await sql(beating, "delete from users where id = $1", who.id)
        await reader.rest()


async def test_an_api_token_that_may_read_opens_a_stream_until_it_is_deleted(beating: Running) -> None:
    who = await someone(beating)
    tokens = {}
    for scope in ("read", "analytics"):
        role = {"name": scope, "scopes": [scope]}
        async with beating.client.post("/api/v1/auth/tokens", json=role, headers=who.headers) as answer:
            body = await answer.json()
            tokens[scope] = body
    if "token" in tokens["analytics"]:
        async with connected(beating, Authorization=f"Bearer {tokens['analytics']['token']}") as refused:
            check_problem(403, refused.headers, await refused.body())
    headers = {"Authorization": f"Bearer {tokens['read']['token']}"}
    async with beating.client.post(TICKETS, headers=headers) as answer:
        await problem(answer, 403)
    async with connected(beating, **headers) as reader:
        await greeted(reader)
        await reader.heartbeat()
        async with beating.client.delete(f"/api/v1/auth/tokens/{tokens['read']['id']}", headers=who.headers) as answer:
            assert answer.status == 204
        await reader.rest()


async def test_a_stream_is_counted_when_it_begins_and_is_no_request_in_flight(site: Running) -> None:
    metrics = site.app[METRICS]
    stats = next(one for one in metrics._routes if one.route == PATH and one.method == "GET")
    before, in_flight = stats.statuses.get(200, 0), metrics.in_flight
    async with connected(site, **(await someone(site)).headers) as reader:
        await greeted(reader)
        assert (stats.statuses[200], metrics.in_flight) == (before + 1, in_flight)
        assert b"yojohan_streams 1.0" in metrics.exposition()
    await emptied(site.app[STREAMS])
    assert (stats.statuses[200], metrics.in_flight) == (before + 1, in_flight)
    assert stats.latency.sum < 5


async def test_an_old_client_gets_the_events_without_chunks(site: Running) -> None:
    who = await someone(site)
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    lines = "".join(f"{name}: {value}\r\n" for name, value in who.headers.items())
    writer.write(f"GET {PATH} HTTP/1.0\r\n{lines}\r\n".encode())
    async with asyncio.timeout(5):
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"chunked" not in head.lower()
        assert await reader.readuntil(b'{"unread_count":0}\n\n')
    writer.close()
    await emptied(site.app[STREAMS])


async def test_while_the_database_is_away_nothing_is_lost(site: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.stream_hub.SOON", 0.05)
    who = await someone(site)
    async with connected(site, **who.headers) as reader:
        await greeted(reader)
        (place,) = await notify(site, who.id)
        failures = 2

        async def away(*_: object) -> object:
            nonlocal failures
            failures -= 1
            if failures >= 0:
                raise Overloaded("away")
            return await real(*_)  # type: ignore[arg-type]

        real = streams.places
        monkeypatch.setattr(streams, "places", away)
        told(site, who.id)
        assert (await reader.next() or Event("", None)).id == place
    assert failures < 0


async def test_a_stopping_server_ends_streams_at_once_and_says_when_to_come_back(
    server: Server, tmp_path_factory: pytest.TempPathFactory
) -> None:
    started = asyncio.get_running_loop().time
    async with AsyncExitStack() as stack:
        async with shared_site(server, tmp_path_factory.mktemp("stopping")) as site:
            reader = await stack.enter_async_context(connected(site, **(await person(site)).headers))
            await greeted(reader)
            began = started()
        rest = await reader.rest()
        assert 1_000 <= (rest[-1].retry or 0) <= 5_000
        assert started() - began < 3


async def test_a_notification_reaches_streams_of_every_instance(
    site: Running, tmp_path_factory: pytest.TempPathFactory
) -> None:
    dsn = site.app[DATABASE].dsn
    who = await someone(site)
    async with running(dsn, tmp_path_factory.mktemp("second")) as second:
        other = await member(second, who.id)
        async with connected(site, **who.headers) as here, connected(second, **other.headers) as there:
            await greeted(here)
            await greeted(there)
            (place,) = await notify(site, who.id)
            conn = await asyncpg.connect(dsn)
            await conn.execute(f"notify yojohan_invalidate, 'unread:{who.id - 1}-{who.id + 1}'")
            await conn.close()
            for reader in (here, there):
                assert (await reader.next() or Event("", None)).id == place
