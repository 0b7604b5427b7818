"""The outbox: what must happen because something was written, written in the same transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sql.query import Connection, load

QUERIES = load("outbox")
# Whether the transaction under way in this task has published: its commit then rings the bell.
PUBLISHED: ContextVar[bool] = ContextVar("published", default=False)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. `entity` is what it is about (`user:5`); events of one entity keep their order.

    `user_id` is whose event it is; None where it says nothing about anybody.
    """

    topic: str
    entity: str
    payload: Mapping[str, Any]
    user_id: int | None = None


async def publish(conn: Connection, events: Sequence[Event]) -> None:
    """Write the events, in one statement. Call it inside the transaction that causes them."""
    if not events:
        return
    PUBLISHED.set(True)
    await QUERIES.publish.execute(
        conn,
        [event.topic for event in events],
        [event.entity for event in events],
        [event.user_id for event in events],
        [dict(event.payload) for event in events],
    )


class Position(NamedTuple):
    """A place in the outbox."""

    xid: int
    id: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """An event as it waits; `payload` is None where nobody asked for its topic."""

    xid: int
    id: int
    topic: str
    entity: str
    user_id: int | None
    payload: dict[str, Any] | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Sight:
    """What a look shows a consumer: anything to pass, anything it wants, anything beyond the fence, parked ones due."""

    passable: bool
    wanted: bool
    beyond: bool
    due: bool


@dataclass(frozen=True, slots=True)
class Parking:
    """An event to be parked, after so many attempts, for so many seconds."""

    event: Waiting
    attempts: int = 0
    pause: float = 0.0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Parked:
    """A parked event, and what has been tried."""

    delivery_id: int
    event: Waiting
    attempts: int
    leased_until: datetime | None


@dataclass(frozen=True, slots=True)
class Measured:
    """How far behind a consumer is; counts end at the bound that was given."""

    name: str
    waiting: int
    seconds: float
    parked: int
    dead: int


@dataclass(frozen=True, slots=True)
class Dead:
    """An event given up: its keys and its JSON."""

    id: int
    dead_at: datetime
    event: str


async def register(conn: Connection, topics: Mapping[str, Collection[str]]) -> bool:
    """Make the consumers' cursors as the code has them, by name; whether transaction ids had started over.

    A new consumer begins with what is still in the outbox. One that the code no longer has is forgotten, with whatever
    was parked for it.
    """
    names = list(topics)
    started_over = await rebase(conn, topics)
    await QUERIES.drop_consumers.execute(conn, names)
    await QUERIES.drop_deliveries_of_others.execute(conn, names)
    await add_consumers(conn, names)
    return started_over


async def add_consumers(conn: Connection, names: Sequence[str]) -> None:
    """Make the cursors that are missing."""
    await QUERIES.add_consumers.execute(conn, list(names))


async def rebase(conn: Connection, topics: Mapping[str, Collection[str]]) -> bool:
    """If the outbox was restored from another server, whose transaction ids mean nothing here, park all that waits.

    Call it in a transaction, before anything is published. Parked events keep their order by the order of parking.
    """
    if not await QUERIES.started_over.fetchval(conn):
        return False
    await QUERIES.lock_outbox.execute(conn)
    pairs = [(name, topic) for name, of_name in topics.items() for topic in sorted(of_name)]
    await QUERIES.park_everything.execute(conn, [name for name, _ in pairs], [topic for _, topic in pairs])
    await QUERIES.empty_outbox.execute(conn)
    await QUERIES.reset_cursors.execute(conn)
    return True


async def peek(conn: Connection, consumer: str, topics: Collection[str]) -> Sight | None:
    """What waits for this consumer, without touching it; None if it has no cursor."""
    row = await QUERIES.peek.fetchrow(conn, consumer, list(topics))
    return Sight(*row) if row is not None else None


async def lock_cursor(conn: Connection, consumer: str) -> Position | None:
    """Where the consumer stands, locked to the end of the transaction; None if somebody else holds it."""
    row = await QUERIES.lock_cursor.fetchrow(conn, consumer)
    return Position(*row) if row is not None else None


async def read(conn: Connection, after: Position, topics: Collection[str], most: int) -> list[Waiting]:
    """The next events below the fence, in order; those of other topics without their payload."""
    return [Waiting(*row) for row in await QUERIES.read.fetch(conn, *after, list(topics), most)]


async def move_cursor(conn: Connection, consumer: str, to: Position) -> None:
    """Everything up to here is done or parked."""
    await QUERIES.move_cursor.execute(conn, consumer, *to)


async def begin_attempt(conn: Connection) -> None:
    """From here on it can be undone without losing the transaction."""
    await QUERIES.begin_attempt.execute(conn)


async def keep_attempt(conn: Connection) -> None:
    """It went well."""
    await QUERIES.keep_attempt.execute(conn)


async def undo_attempt(conn: Connection) -> None:
    """It did not."""
    await QUERIES.undo_attempt.execute(conn)


async def blocked_entities(conn: Connection, consumer: str, entities: Collection[str]) -> set[str]:
    """Which of them have a parked event, behind which others must wait."""
    return {row["entity"] for row in await QUERIES.blocked_entities.fetch(conn, consumer, list(entities))}


async def park(conn: Connection, consumer: str, parked: Sequence[Parking]) -> None:
    """Keep these events for later, in the transaction that moves the cursor past them."""
    if not parked:
        return
    await QUERIES.park.execute(
        conn,
        consumer,
        [one.event.xid for one in parked],
        [one.event.id for one in parked],
        [one.attempts for one in parked],
        [one.pause for one in parked],
        [one.error for one in parked],
    )


async def lock_due(conn: Connection, consumer: str, most: int) -> list[Parked]:
    """The parked events of one entity whose first is due, in order, locked to the end of the transaction."""
    first = await _lock_first_due(conn, consumer)
    if first is None:
        return []
    return [_parked(row) for row in await QUERIES.lock_parked.fetch(conn, consumer, first["entity"], most)]


async def lease(conn: Connection, consumer: str, seconds: float) -> Parked | None:
    """Take a parked event that is due and the first of its entity, in a transaction.

    Once that is committed nobody else gets it for so many seconds.
    """
    first = await _lock_first_due(conn, consumer)
    if first is None:
        return None
    return _parked(await QUERIES.lease.fetchrow(conn, first["id"], seconds))


async def _lock_first_due(conn: Connection, consumer: str) -> Any:
    return await QUERIES.lock_first_due.fetchrow(conn, consumer) or await QUERIES.lock_first_due_of_any.fetchrow(
        conn, consumer
    )


def _parked(row: Any) -> Parked:
    delivery_id, *event, attempts, leased_until = row
    return Parked(delivery_id, Waiting(*event), attempts, leased_until)


async def done(conn: Connection, parked: Sequence[Parked]) -> None:
    """They need no further attempt."""
    await QUERIES.done.execute(conn, [one.delivery_id for one in parked])


async def retry(conn: Connection, parked: Parked, attempts: int, pause: float, error: str) -> None:
    """Try again in so many seconds, if it is still ours."""
    await QUERIES.retry.execute(conn, parked.delivery_id, parked.leased_until, attempts, pause, error)


async def bury(conn: Connection, parked: Parked, attempts: int, error: str) -> None:
    """Give it up, if it is still ours."""
    await QUERIES.bury.execute(conn, parked.delivery_id, parked.leased_until, attempts, error)


async def trim(conn: Connection, most: int) -> int:
    """Delete events that every consumer has passed, the oldest first; how many."""
    return await QUERIES.trim.execute(conn, most)


async def forget_dead(conn: Connection, days: int, most: int) -> int:
    """Delete what was given up so long ago; how many."""
    return await QUERIES.forget_dead.execute(conn, days, most)


async def measure(conn: Connection, bound: int) -> list[Measured]:
    """How far behind each consumer is."""
    return [Measured(*row) for row in await QUERIES.measure.fetch(conn, bound)]


async def dead_page(conn: Connection, after: tuple[datetime, int] | None, most: int) -> list[Dead]:
    """What was given up, the latest first, behind this place."""
    return [Dead(*row) for row in await QUERIES.dead_page.fetch(conn, *(after or (None, None)), most)]


async def count_dead(conn: Connection) -> int:
    """How many were given up."""
    return int(await QUERIES.count_dead.fetchval(conn))


async def replay(conn: Connection, delivery_id: int) -> bool:
    """Try an event that was given up as if for the first time; False if it was not."""
    return await QUERIES.replay.fetchval(conn, delivery_id) is not None
