"""Whatever crashes between any two steps, every effect comes about, and rows come about exactly once.

A step is a statement of the outbox, a commit, or an effect of a consumer; the fault strikes before or after it.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, ClassVar

import asyncpg
import pytest
from asyncpg.transaction import Transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors import outbox_handling
from actors.consumers.base import Consumer, Courier, Delivered
from actors.outbox_upkeep import OutboxUpkeep
from server.database import Database, connect
from server.events import OutboxProgress
from sql import outbox
from sql.outbox import Event
from sql.query import Connection, Query
from tests.outboxes import drain, make_due, publish, reader_of

ENTITIES = ("a", "b", "c")
# An error of ours, the actor cancelled, the connection lost, the process gone with both; and a consumer that refuses
# some events at every attempt, for once not at a step.
FAULTS = ("error", "cancel", "lost connection", "kill", "refusal")
FURTHEST = 30
EXAMPLES = 50

fresh = st.lists(st.sampled_from(ENTITIES), max_size=6)
crashing = st.tuples(
    st.just("crash"), fresh, st.sampled_from(("notes", "letters")), st.integers(1, FURTHEST), st.sampled_from(FAULTS)
)
trimming = st.just(("trim",))
resting = st.just(("leases end",))
stories = st.lists(st.one_of(crashing, crashing, crashing, crashing, trimming, resting), min_size=5, max_size=14)


# The same examples at every run: a change that breaks nothing breaks no build.
SETTINGS = settings(
    max_examples=EXAMPLES, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)


class Crash(Exception):
    """The fault as an error."""


class Saboteur:
    """Counts steps and strikes once, at the one it was told."""

    def __init__(self) -> None:
        self.left = 0
        self.fault = ""
        self.refused: int | None = None
        self.struck: Counter[str] = Counter()

    def arm(self, at: int, fault: str) -> None:
        """Strike at this step from now."""
        if fault == "refusal":
            self.refused = at % 3
        else:
            self.left, self.fault = at, fault

    def disarm(self) -> None:
        """Strike no more."""
        self.left, self.refused = 0, None

    def look_at(self, event: Delivered) -> None:
        """Refuse it, perhaps."""
        if event.payload["n"] % 3 == self.refused:
            self.struck["refusal"] += 1
            raise Crash

    def step(self, conn: Any = None) -> None:
        """One more step."""
        self.left -= 1
        if self.left != 0:
            return
        self.struck[self.fault] += 1
        if conn is not None and self.fault in ("lost connection", "kill"):
            conn.terminate()
        if self.fault == "error":
            raise Crash
        if self.fault in ("cancel", "kill"):
            raise asyncio.CancelledError

    @contextmanager
    def around(self, conn: Any = None) -> Iterator[None]:
        """A step before and one after."""
        self.step(conn)
        yield
        self.step(conn)


class Notes(Consumer):
    """Rows."""

    name = "notes"
    topics: ClassVar[frozenset[str]] = frozenset({"note"})

    def __init__(self, saboteur: Saboteur) -> None:
        self._saboteur = saboteur

    async def handle(self, conn: Connection, events: Sequence[Delivered]) -> None:
        for event in events:
            self._saboteur.look_at(event)
            with self._saboteur.around(conn):
                await conn.execute("insert into notes (entity, n) values ($1, $2)", event.entity, event.payload["n"])


class Letters(Courier):
    """Anything else."""

    name = "letters"
    topics: ClassVar[frozenset[str]] = frozenset({"note"})

    def __init__(self, saboteur: Saboteur, sent: list[tuple[str, int]]) -> None:
        self._saboteur = saboteur
        self._sent = sent

    async def deliver(self, event: Delivered) -> None:
        self._saboteur.look_at(event)
        with self._saboteur.around():
            self._sent.append((event.entity, event.payload["n"]))


class World:
    """One story: what was published, what was seen of it."""

    def __init__(self, dsn: str, conn: Any, saboteur: Saboteur) -> None:
        self.dsn = dsn
        self.conn = conn
        self.saboteur = saboteur
        self.sent: list[tuple[str, int]] = []
        self.published: list[tuple[str, int]] = []

    def consumers(self) -> dict[str, Consumer]:
        """As a process makes them when it starts."""
        return {"notes": Notes(self.saboteur), "letters": Letters(self.saboteur, self.sent)}

    async def act(self, database: Database, action: tuple[Any, ...]) -> None:
        match action:
            case "crash", entities, name, at, fault:
                await self.publish(database, entities)
                self.saboteur.arm(at, fault)
                # After an error between the end of an attempt and its being noted there is no savepoint to go back to.
                with suppress(Crash, asyncpg.InvalidSavepointSpecificationError, asyncio.CancelledError):
                    await reader_of(database, self.consumers()[name]).on_tick()
                self.saboteur.disarm()
            case ("trim",):
                topics = {name: consumer.topics for name, consumer in self.consumers().items()}
                await OutboxUpkeep(database, topics, OutboxProgress()).on_tick()
            case ("leases end",):
                await make_due(self.conn)

    async def publish(self, database: Database, entities: Sequence[str]) -> None:
        """One event for each of these entities."""
        fresh = [(entity, len(self.published) + n) for n, entity in enumerate(entities)]
        await publish(database, *(Event("note", entity, {"n": n}) for entity, n in fresh))
        self.published += fresh

    async def live(self, story: Sequence[tuple[Any, ...]]) -> None:
        """The story, then peace until nothing waits."""
        await self.conn.execute("truncate notes, outbox, outbox_deliveries, outbox_consumers")
        await outbox.add_consumers(self.conn, ["notes", "letters"])
        database = Database(self.dsn)
        await database.open()
        for action in story:
            await self.act(database, action)
        while await self.conn.fetchval("select count(*) from outbox_deliveries") or not await self.all_seen():
            await make_due(self.conn)
            await drain(database, *self.consumers().values())
        await database.close()

    async def all_seen(self) -> bool:
        """Whether every effect has come about at least once."""
        rows = await self.conn.fetch("select entity, n from notes")
        return {*self.published} == {(row["entity"], row["n"]) for row in rows} == {*self.sent}

    async def check(self) -> None:
        """Rows exactly once, deliveries at least once, both in the order of each entity."""
        rows = [(row["entity"], row["n"]) for row in await self.conn.fetch("select entity, n from notes order by id")]
        assert sorted(rows) == sorted(self.published)
        for seen in (rows, list(dict.fromkeys(self.sent))):
            in_order = defaultdict(list)
            for entity, n in seen:
                in_order[entity].append(n)
            assert all(numbers == sorted(numbers) for numbers in in_order.values()), seen
        assert {*self.sent} == {*self.published}


@pytest.fixture
def saboteur(monkeypatch: pytest.MonkeyPatch) -> Saboteur:
    """Sits in every statement and every commit."""
    found = Saboteur()
    timed, commit = Query._timed, Transaction.commit

    async def sabotaged(self: Query, conn: Any, *arguments: Any) -> Any:
        with found.around(conn):
            return await timed(self, conn, *arguments)

    async def sabotaged_commit(self: Transaction) -> None:
        with found.around(self._connection):
            await commit(self)

    monkeypatch.setattr(Query, "_timed", sabotaged)
    monkeypatch.setattr(Transaction, "commit", sabotaged_commit)
    # What failed is due again only when the story says so, and is never given up.
    monkeypatch.setattr(outbox_handling, "pause_after", lambda attempts: 600.0)
    monkeypatch.setattr(outbox_handling, "MOST_ATTEMPTS", 1000)
    return found


def test_effects_come_about_whatever_crashes_rows_exactly_once(dsn: str, saboteur: Saboteur) -> None:
    with asyncio.Runner() as runner:
        conn = runner.run(connect(dsn))
        runner.run(conn.execute("create table notes (id bigint generated always as identity, entity text, n integer)"))

        @SETTINGS
        @given(stories)
        def lives(story: list[tuple[Any, ...]]) -> None:
            world = World(dsn, conn, saboteur)
            runner.run(asyncio.wait_for(world.live(story), 30))
            runner.run(world.check())

        try:
            lives()
        finally:
            runner.run(conn.close())
    assert all(saboteur.struck[fault] >= EXAMPLES // 8 for fault in FAULTS), saboteur.struck
