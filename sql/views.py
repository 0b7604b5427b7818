"""Views: committing batches of events, rolling them up, and the upkeep of the tables behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import IntEnum
from typing import NamedTuple
from uuid import UUID

import asyncpg

from server.errors import Unavailable
from sql.query import Connection, load

QUERIES = load("views")


class Outcome(IntEnum):
    """What became of an event."""

    ACCEPTED = 0
    DUPLICATE = 1
    UNKNOWN_RELEASE = 2
    WRONG_EPISODE = 3
    OUTSIDE_TIME = 4
    FILTERED = 5


class ViewRow(NamedTuple):
    """One event as the batch carries it. `viewed_at` None means now; `reason` says why it does not count, or None."""

    event_id: UUID
    release_id: int
    episode_id: int | None
    viewer: int
    duration_seconds: int
    completion_percentage: float
    viewed_at: datetime | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class BatchResult:
    """The outcomes that are not ACCEPTED, by position in the batch."""

    exceptions: dict[int, Outcome]


@dataclass(frozen=True, slots=True)
class RollupPass:
    """How many batches and events one pass took."""

    batches: int
    events: int


async def commit_batch(conn: Connection, batch_id: UUID, rows: Sequence[ViewRow]) -> BatchResult:
    """Store the events, once per `event_id` within 48 hours; safe to repeat with the same `batch_id` and rows.

    When it returns, the events are committed (it runs in a transaction of its own). Unavailable while the day's
    partitions are missing.
    """
    columns = [list(column) for column in zip(*rows, strict=True)]
    try:
        answer = await QUERIES.commit_batch.fetchrow(conn, batch_id, *columns)
    except asyncpg.CheckViolationError as error:
        # PostgreSQL's way of saying that no partition takes the row.
        raise Unavailable("Views cannot be taken right now.", retry_after=2) from error
    assert answer is not None
    if answer["seq"] is None:
        answer = await QUERIES.replayed_outcomes.fetchrow(conn, batch_id)
        assert answer is not None
    return BatchResult(dict(zip(answer["positions"], map(Outcome, answer["outcomes"]), strict=True)))


async def roll_up(conn: Connection, most_events: int) -> RollupPass:
    """Take about `most_events` waiting events into the rollups. Call it in a transaction; its commit makes it count.

    Takes nothing while another session rolls up.
    """
    await QUERIES.prepare_rollup.execute(conn)
    if not await QUERIES.lock_rollup.fetchval(conn):
        return RollupPass(0, 0)
    batches = await QUERIES.take_batches.fetch(conn, most_events)
    if not batches:
        return RollupPass(0, 0)
    days = [row["received_on"] for row in batches]
    await QUERIES.roll_up.execute(conn, [row["seq"] for row in batches], min(days), max(days), timeout=60)
    return RollupPass(len(batches), sum(row["events"] for row in batches))


async def waiting_events(conn: Connection) -> int:
    """Committed events that are not yet in the rollups."""
    return int(await QUERIES.waiting_events.fetchval(conn))


async def ensure_salt(conn: Connection, day: date, proposal: bytes) -> bytes:
    """The salt of a UTC day; `proposal` becomes it if there is none yet."""
    return bytes(await QUERIES.ensure_salt.fetchval(conn, day, proposal))


async def destroy_salts(conn: Connection, before: date) -> int:
    """Delete the salts of the days before; how many there were."""
    return await QUERIES.destroy_salts.execute(conn, before)


async def trim_batches(conn: Connection, most: int) -> int:
    """Forget up to `most` old batch ids; how many."""
    return int(await QUERIES.trim_batches.fetchval(conn, most))


async def oldest_waiting(conn: Connection) -> date | None:
    """The day of receipt of the oldest batch that is not in the rollups; None if none waits."""
    day: date | None = await QUERIES.oldest_waiting.fetchval(conn)
    return day


async def make_partitions(conn: Connection, parent: str, step: str, first: date, last: date) -> list[str]:
    """Make what is missing of `parent`'s partitions from `first` to `last`; their names. `step`: day, month or year."""
    return [row[0] for row in await QUERIES.make_partitions.fetch(conn, parent, step, first, last)]


async def drop_partitions(conn: Connection, parent: str, step: str, horizon: date) -> list[str]:
    """Drop `parent`'s partitions that end on or before `horizon`; their names."""
    return [row[0] for row in await QUERIES.drop_partitions.fetch(conn, parent, step, horizon)]
