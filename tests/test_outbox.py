"""The outbox delivers: rows exactly once, everything else at least once, in the order of each entity."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors import outbox_handling
from actors.consumers.base import Consumer, Courier, Delivered
from actors.outbox import OutboxReader, Waker
from actors.outbox_handling import MOST_ATTEMPTS, describe
from actors.outbox_upkeep import OutboxUpkeep
from actors.system import ActorSystem
from server.database import Database, connect
from server.errors import DatabaseUnavailable, Unavailable, YojohanError
from server.events import ConsumerProgress, OutboxProgress
from server.metrics_sources import of_outbox
from server.rules.backoff import pause
from sql import outbox
from sql.outbox import Event
from sql.query import Connection
from tests.outboxes import drain, make_due, publish, reader_of


class Notes(Consumer):
    """Writes each event into a table; refuses those that say so."""

    name = "notes"
    topics: ClassVar[frozenset[str]] = frozenset({"note"})

    async def handle(self, conn: Connection, events: Sequence[Delivered]) -> None:
        for event in events:
            await conn.execute("insert into notes (entity, n) values ($1, $2)", event.entity, event.payload["n"])
            if event.payload.get("poison"):
                raise YojohanError("Not edible.")


class Letters(Courier):
    """Keeps what it was given; raises what it is told to."""

    name = "letters"
    topics: ClassVar[frozenset[str]] = frozenset({"note"})

    def __init__(self) -> None:
        self.sent: list[tuple[str, int]] = []
        self.error: Exception | None = None
        self.hangs = False
        self.at_once = self.most_at_once = 0

    async def deliver(self, event: Delivered) -> None:
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        await asyncio.sleep(60 if self.hangs else random.uniform(0, 0.01))
        self.at_once -= 1
        if self.error is not None:
            raise self.error
        self.sent.append((event.entity, event.payload["n"]))


def note(entity: str, n: int, **more: Any) -> Event:
    return Event("note", entity, {"n": n, **more})


@pytest.fixture
async def database(dsn: str, conn: Any) -> AsyncIterator[Database]:
    await conn.execute("create table notes (id bigint generated always as identity, entity text, n integer)")
    await outbox.add_consumers(conn, ["notes", "letters"])
    opened = Database(dsn)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that failed is due again before the test says so."""
    monkeypatch.setattr(outbox_handling, "pause_after", lambda attempts: 600.0)


async def noted(conn: Any, entity: str = "%") -> list[int]:
    return [row["n"] for row in await conn.fetch("select n from notes where entity like $1 order by id", entity)]


async def parked(conn: Any, consumer: str = "notes") -> list[tuple[int, int, bool]]:
    """(n, attempts, dead) of the parked events."""
    rows = await conn.fetch("select * from outbox_deliveries where consumer = $1 order by id", consumer)
    return [(row["payload"]["n"], row["attempts"], row["dead_at"] is not None) for row in rows]


async def until(condition: Callable[[], Awaitable[bool]], patience: float = 5.0) -> float:
    """Seconds until it held."""
    started = monotonic()
    while not await condition():
        assert monotonic() - started < patience
        await asyncio.sleep(0.01)
    return monotonic() - started


class Slow(OutboxReader):
    """Would look by itself only tomorrow."""

    interval = first_tick = 86_400.0


@asynccontextmanager
async def at_work(
    database: Database, consumer: Consumer, kind: type[OutboxReader] = OutboxReader
) -> AsyncIterator[Any]:
    """The actor of this consumer, woken by the database's bell; yields what was fatal to it."""
    fatal: list[Any] = []
    waker = Waker()
    system = ActorSystem(lambda name, error: fatal.append((name, error)))
    turns = asyncio.Semaphore(2)
    waker.ref = system.add(lambda: kind(database, consumer, ConsumerProgress(), waker, turns))
    database.bell.listeners.append(waker)
    await system.start()
    try:
        yield fatal
    finally:
        database.bell.listeners.remove(waker)
        await system.stop(2)


async def test_rows_come_in_order_and_once_and_deliveries_in_the_order_of_each_entity(
    database: Database, conn: Any
) -> None:
    letters = Letters()
    await publish(database, *(note(f"e{n % 30}", n) for n in range(600)), Event("other", "x", {"n": 0}))
    await publish(database, *(note(f"e{n % 30}", n) for n in range(600, 650)))
    await drain(database, Notes(), letters)
    assert await noted(conn) == list(range(650))
    by_entity = defaultdict(list)
    for entity, n in letters.sent:
        by_entity[entity].append(n)
    assert {entity: sorted(sent) for entity, sent in by_entity.items()} == by_entity
    assert sorted(n for _, n in letters.sent) == list(range(650))
    assert 1 < letters.most_at_once <= outbox_handling.AT_ONCE
    assert await parked(conn, "letters") == []


async def test_what_a_consumer_does_not_want_only_moves_its_cursor(database: Database, conn: Any) -> None:
    await publish(database, Event("other", "x", {}))
    await drain(database, Notes())
    moved, last = await conn.fetchrow(
        "select (xid, id), (select (xid, id) from outbox) from outbox_consumers where name = 'notes'"
    )
    assert moved == last
    assert await noted(conn) == []


@pytest.mark.usefixtures("patient")
async def test_a_poisonous_event_is_set_aside_with_those_behind_it_and_all_others_go_on(
    database: Database, conn: Any
) -> None:
    await publish(database, note("a", 1), note("a", 2, poison=True), note("b", 3), note("a", 4), note("b", 5))
    await drain(database, Notes())
    # Nothing of the attempts that failed is left, although they had written.
    assert await noted(conn) == [1, 3, 5]
    assert await parked(conn) == [(2, 1, False), (4, 0, False)]
    await publish(database, note("a", 6), note("b", 7))
    await drain(database, Notes())
    assert await noted(conn) == [1, 3, 5, 7]
    assert await parked(conn) == [(2, 1, False), (4, 0, False), (6, 0, False)]
    await conn.execute("update outbox_deliveries set payload = payload - 'poison'")
    await make_due(conn)
    await drain(database, Notes())
    assert await noted(conn, "a") == [1, 2, 4, 6]
    assert await parked(conn) == []


@pytest.mark.usefixtures("patient")
async def test_an_event_is_given_up_after_twelve_attempts_those_behind_it_go_on_and_a_replay_starts_anew(
    database: Database, conn: Any
) -> None:
    progress = ConsumerProgress()
    reader = reader_of(database, Notes(), progress)
    await publish(database, note("a", 1, poison=True), note("a", 2))
    for attempt in range(1, MOST_ATTEMPTS):
        await reader.on_tick()
        assert await parked(conn) == [(1, attempt, False), (2, 0, False)]
        await make_due(conn)
    await reader.on_tick()
    await drain(database, Notes())
    assert await parked(conn) == [(1, MOST_ATTEMPTS, True)]
    assert await noted(conn) == [2]
    assert (progress.failed, progress.given_up) == (MOST_ATTEMPTS, 1)
    (dead,) = await outbox.dead_page(conn, None, 10)
    assert '"error":"YojohanError: Not edible."' in dead.event
    await conn.execute("update outbox_deliveries set payload = payload - 'poison'")
    assert await outbox.replay(conn, dead.id)
    assert not await outbox.replay(conn, dead.id)
    await drain(database, Notes())
    assert (await noted(conn), await parked(conn)) == ([2, 1], [])


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_pauses_double_up_to_ten_minutes_and_are_drawn_from_the_whole_span(attempts: int, chance: float) -> None:
    assert pause(attempts, chance) == chance * min(600.0, 2.0 ** min(attempts - 1, 30))


async def test_the_next_attempt_is_due_within_the_span_of_its_number(database: Database, conn: Any) -> None:
    await publish(database, *(note(f"e{n}", n, poison=True) for n in range(40)))
    reader = reader_of(database, Notes())
    await reader.on_tick()
    await make_due(conn)
    await reader.on_tick()
    await reader.on_tick()
    rows = await conn.fetch(
        "select attempts, extract(epoch from due_at - now())::float8 as pause from outbox_deliveries where attempts > 1"
    )
    assert all(row["pause"] <= 2.0 ** (row["attempts"] - 1) for row in rows)
    assert len({round(row["pause"], 3) for row in rows}) > 20


class Away(Notes):
    """Finds the database away, in one way or another, the first two times."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error
        self.calls = 0

    async def handle(self, conn: Connection, events: Sequence[Delivered]) -> None:
        self.calls += 1
        if self.calls <= 2 and self.error is not None:
            raise self.error
        if self.calls <= 2:
            await conn.execute("select pg_terminate_backend(pg_backend_pid())")
        await super().handle(conn, events)


@pytest.mark.parametrize("error", [DatabaseUnavailable("Away."), None], ids=["it says so", "the connection breaks"])
async def test_a_database_that_is_away_is_waited_for_and_counts_as_no_attempt(
    database: Database, conn: Any, error: Exception | None
) -> None:
    away, progress = Away(error), ConsumerProgress()
    reader = reader_of(database, away, progress)
    await publish(database, note("a", 1))
    await reader.on_tick()
    await reader.on_tick()
    assert (away.calls, progress.failed, await parked(conn), await noted(conn)) == (2, 0, [], [])
    await reader.on_tick()
    assert await noted(conn) == [1]
    await database.close()
    await reader.on_tick()


@pytest.mark.usefixtures("patient")
async def test_a_consumer_that_hangs_is_interrupted_and_its_event_parked(
    database: Database, conn: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hanging(Notes):
        async def handle(self, conn: Connection, events: Sequence[Delivered]) -> None:
            if any(event.entity == "a" for event in events):
                await conn.execute("select pg_sleep(60)")
            await super().handle(conn, events)

    monkeypatch.setattr(outbox_handling, "HANDLE_TIMEOUT", 0.2)
    await publish(database, note("a", 1), note("b", 2))
    await drain(database, Hanging())
    assert (await noted(conn), (await parked(conn))[0][:2]) == ([2], (1, 1))


@pytest.mark.usefixtures("patient")
async def test_a_courier_that_fails_is_tried_again_and_one_whose_other_side_is_away_waits(
    database: Database, conn: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    letters, progress = Letters(), ConsumerProgress()
    reader = reader_of(database, letters, progress)
    await publish(database, note("a", 1), note("a", 2))
    letters.error = Unavailable("The mail server is away.")
    await reader.on_tick()
    assert await parked(conn, "letters") == [(1, 0, False), (2, 0, False)]
    letters.error = ValueError("secret")
    await make_due(conn)
    await reader.on_tick()
    assert (await parked(conn, "letters"))[0] == (1, 1, False)
    assert await conn.fetchval("select error from outbox_deliveries where attempts = 1") == "ValueError"
    letters.error, letters.hangs = None, True
    monkeypatch.setattr(outbox_handling, "DELIVER_TIMEOUT", 0.05)
    await make_due(conn)
    await reader.on_tick()
    assert (await parked(conn, "letters"))[0] == (1, 2, False)
    letters.hangs = False
    await make_due(conn)
    await drain(database, letters)
    assert letters.sent == [("a", 1), ("a", 2)]
    assert (progress.handled, progress.failed) == (0, 2)


async def test_a_delivery_that_was_cut_off_is_nobody_elses_until_its_lease_runs_out(
    database: Database, conn: Any
) -> None:
    dying, other = Letters(), Letters()
    dying.hangs = True
    await publish(database, note("a", 1))
    task = asyncio.ensure_future(reader_of(database, dying).on_tick())

    async def under_way() -> bool:
        return dying.at_once == 1

    await until(under_way)
    await reader_of(database, other).on_tick()
    assert other.sent == []
    task.cancel()
    await asyncio.wait((task,))
    await reader_of(database, other).on_tick()
    assert other.sent == []
    assert await conn.fetchval("select leased_until - now() > interval '50 seconds' from outbox_deliveries")
    await conn.execute("update outbox_deliveries set leased_until = now() - interval '1 second'")
    await drain(database, other)
    assert other.sent == [("a", 1)]


async def test_a_courier_with_a_delay_lets_it_pass_first(database: Database, conn: Any) -> None:
    class Late(Letters):
        delay: ClassVar[float] = 60.0

    late = Late()
    await publish(database, note("a", 1))
    await drain(database, late)
    assert late.sent == []
    assert await conn.fetchval("select due_at - now() > interval '50 seconds' from outbox_deliveries")
    await make_due(conn)
    await drain(database, late)
    assert late.sent == [("a", 1)]


@pytest.mark.usefixtures("patient")
async def test_events_are_trimmed_once_the_slowest_consumer_has_passed_them(database: Database, conn: Any) -> None:
    progress = OutboxProgress({"notes": ConsumerProgress(), "letters": ConsumerProgress()})
    upkeep = OutboxUpkeep(database, {"notes": Notes.topics, "letters": Letters.topics}, progress)
    await upkeep.on_start()
    await publish(database, note("a", 1, poison=True), note("b", 2))
    await drain(database, Notes())
    await upkeep.on_tick()
    assert await conn.fetchval("select count(*) from outbox") == 2
    assert progress.by_consumer["letters"].waiting == 2
    assert progress.by_consumer["letters"].lag_seconds > 0
    assert (progress.by_consumer["notes"].waiting, progress.by_consumer["notes"].parked) == (0, 1)
    await drain(database, Letters())
    await upkeep.on_tick()
    assert await conn.fetchval("select count(*) from outbox") == 0
    shown = {
        (sample.name, *sample.labels.values()): sample.value
        for metric in of_outbox(progress)()
        for sample in metric.samples
    }
    assert shown["yojohan_outbox_rows", "notes", "parked"] == 1
    assert shown["yojohan_outbox_lag_seconds", "letters"] == 0


@pytest.mark.usefixtures("patient")
async def test_what_was_given_up_is_forgotten_after_thirty_days(database: Database, conn: Any) -> None:
    await publish(database, note("a", 1, poison=True), note("b", 2, poison=True), note("c", 3, poison=True))
    await drain(database, Notes())
    await conn.execute(
        "update outbox_deliveries set dead_at = now() - make_interval(days => case entity when 'a' then 31 else 29 end)"
        " where entity in ('a', 'b')"
    )
    await OutboxUpkeep(database, {}, OutboxProgress()).on_tick()
    assert [n for n, _, _ in await parked(conn)] == [2, 3]


async def test_an_older_open_transaction_holds_back_younger_events_and_nothing_is_skipped(
    database: Database, conn: Any, dsn: str
) -> None:
    older = await connect(dsn)
    transaction = older.transaction()
    await transaction.start()
    await outbox.publish(older, [note("a", 1)])
    await publish(database, note("b", 2))
    async with at_work(database, Notes(), Slow):
        database.bell.ring()
        await reader_of(database, Notes()).on_tick()
        assert await noted(conn) == []
        assert await outbox.peek(conn, "notes", ["note"]) == outbox.Sight(False, False, True, False)
        await transaction.commit()

        async def both() -> bool:
            return await noted(conn) == [1, 2]

        # Nobody rang: the reader has looked again by itself.
        await until(both)
    await older.close()


async def test_two_instances_of_a_consumer_neither_double_nor_miss(database: Database, conn: Any, dsn: str) -> None:
    other = Database(dsn)
    await other.open()
    mine, theirs = Letters(), Letters()
    async with at_work(database, Notes()), at_work(other, Notes()), at_work(database, mine), at_work(other, theirs):
        for start in range(0, 300, 30):
            await publish(database, *(note(f"e{n % 7}", n) for n in range(start, start + 15)))
            await publish(other, *(note(f"e{n % 7}", n) for n in range(start + 15, start + 30)))

        async def all_sent() -> bool:
            return len(mine.sent) + len(theirs.sent) >= 300 and len(await noted(conn)) >= 300

        await until(all_sent, 20)
    await drain(database, Notes(), mine)
    assert sorted(await noted(conn)) == list(range(300))
    for number in range(7):
        sent = await noted(conn, f"e{number}")
        assert sent == sorted(sent)
    assert sorted(n for _, n in mine.sent + theirs.sent) == list(range(300))
    await other.close()


async def test_a_commit_wakes_the_reader_at_once(database: Database, conn: Any) -> None:
    async with at_work(database, Notes(), Slow) as fatal:
        for n in range(3):
            await publish(database, note("a", n))

            async def there(n: int = n) -> bool:
                return n in await noted(conn)

            assert await until(there) < 0.5
        assert fatal == []


async def test_without_the_bell_looking_every_second_finds_it(database: Database, conn: Any) -> None:
    async with at_work(database, Notes()):
        await outbox.publish(conn, [note("a", 1)])

        async def there() -> bool:
            return await noted(conn) == [1]

        await until(there)


@pytest.mark.usefixtures("patient")
async def test_after_a_restore_from_another_server_what_waited_is_parked_and_new_events_follow_it(
    database: Database, conn: Any
) -> None:
    await publish(database, note("a", 1), note("a", 2), note("b", 3, poison=True))
    await drain(database, Notes())
    # As if all this had happened where transaction ids were a billion further, and two events more.
    await outbox.publish(conn, [note("a", 4), note("b", 5)])
    for table, column in (("outbox", "xid"), ("outbox_consumers", "xid"), ("outbox_deliveries", "xid")):
        await conn.execute(
            f"update {table} set {column} = ({column}::text::bigint + 1000000000)::text::xid8 where {column} <> '0'"
        )
    topics = {"notes": Notes.topics, "letters": Letters.topics}
    async with conn.transaction():
        assert await outbox.register(conn, topics)
    async with conn.transaction():
        assert not await outbox.register(conn, topics)
    assert await conn.fetchval("select count(*) from outbox") == 0
    await outbox.publish(conn, [note("a", 6), note("b", 7), note("c", 8)])
    await conn.execute("update outbox_deliveries set payload = payload - 'poison'")
    await make_due(conn)
    letters = Letters()
    await drain(database, Notes(), letters)
    assert [await noted(conn, entity) for entity in "abc"] == [[1, 2, 4, 6], [3, 5, 7], [8]]
    assert [[n for entity, n in letters.sent if entity == wanted] for wanted in "abc"] == [[1, 2, 4, 6], [3, 5, 7], [8]]


@pytest.mark.usefixtures("patient")
async def test_registering_makes_new_cursors_and_forgets_consumers_that_are_gone(database: Database, conn: Any) -> None:
    await publish(database, note("a", 1, poison=True))
    await drain(database, Notes())
    async with conn.transaction():
        assert not await outbox.register(conn, {"letters": Letters.topics, "newcomers": frozenset()})
    assert {row["name"] for row in await conn.fetch("select name from outbox_consumers")} == {"letters", "newcomers"}
    assert await parked(conn) == []
    assert await outbox.peek(conn, "notes", ["note"]) is None
    await reader_of(database, Notes()).on_tick()


async def test_an_event_that_is_erased_meanwhile_leaves_no_copy(database: Database, conn: Any) -> None:
    await publish(database, note("a", 1))
    async with database.transaction() as reading:
        at = await outbox.lock_cursor(reading, "notes")
        assert at is not None
        events = await outbox.read(reading, at, ["note"], 10)
        assert len(events) == 1
        await conn.execute("delete from outbox")
        await outbox.park(reading, "notes", [outbox.Parking(event) for event in events])
    assert await parked(conn) == []


def test_an_error_is_told_by_its_class_and_only_ours_by_their_words() -> None:
    assert describe(ValueError("password=hunter2")) == "ValueError"
    assert describe(YojohanError("x\x00" * 500)) == "YojohanError: " + "x" * 100
    assert describe(Unavailable("\ud800")) == "Unavailable: ?"
