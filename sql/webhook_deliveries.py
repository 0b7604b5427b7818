"""What is sent to webhooks: written down, taken in turn under a lease, settled, listed, replayed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

from server.errors import Conflict
from server.rules.webhooks import FAILING_FROM, MOST_EACH, Ready, fair, rest
from sql.query import Connection, load

QUERIES = load("webhook_deliveries")
# Due deliveries of one webhook that are looked at together.
LOOKED_AT = 50
# Counts of the log are exact up to here.
MOST_COUNTED = 10_000
# Whoever has failed for so many days and so often is switched off.
PATIENCE_DAYS = 5
PATIENCE_FAILURES = 20
SWITCHED_OFF = "The webhook is switched off; switch it on first."

Status = Literal["pending", "succeeded", "failed"]


class Happened(NamedTuple):
    """An event that webhooks may want: its type, the release it belongs to, and what it is about."""

    topic: str
    release_id: int
    subject_id: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery under our lease, with everything that sending it needs. No body: there is nothing left to show."""

    id: UUID
    webhook_id: int
    entity: str
    body: str | None
    attempts: int
    leased_until: datetime
    url: str
    salt: bytes
    previous_salt: bytes | None


@dataclass(frozen=True, slots=True)
class Claim:
    """What was taken, and whether there may be more to take."""

    due: Sequence[Due] = ()
    more: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """How an attempt went. `pause`: seconds to the next one; `asked`: those that the receiver wants left alone."""

    status: Status
    pause: float
    response_status: int | None
    response: str
    error: str
    milliseconds: int
    asked: float | None = None
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Settled:
    """Whether it was still ours to write down, and why the webhook is switched off now, if it is."""

    ours: bool
    disabled_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """What waits (counted up to a bound), for how long the oldest has been due, how many webhooks are switched off."""

    pending: int
    oldest_seconds: float
    disabled: int


@dataclass(frozen=True, slots=True)
class Row:
    """A delivery's place in the log, and its JSON."""

    seq: int
    delivery: str


async def anybody_listens(conn: Connection) -> bool:
    """Whether there is any webhook that is switched on."""
    return bool(await QUERIES.anybody_listens.fetchval(conn))


async def enqueue(conn: Connection, happened: Sequence[Happened]) -> int:
    """Write a delivery for each event and each webhook that wants it; how many."""
    return await QUERIES.enqueue.execute(
        conn,
        [one.topic for one in happened],
        [one.release_id for one in happened],
        [one.subject_id for one in happened],
        [one.created_at for one in happened],
    )


async def ping(conn: Connection, webhook_id: int) -> UUID | None:
    """Write a delivery that says nothing; None if there is no such webhook, Conflict if it is switched off."""
    row = await QUERIES.enqueue_ping.fetchrow(conn, webhook_id)
    if row is not None and not row["enabled"]:
        raise Conflict(SWITCHED_OFF)
    return row["id"] if row is not None else None


async def claim(conn: Connection, served: Mapping[int, int], free: int, seconds: float) -> Claim:
    """Take up to `free` deliveries that are due for so many seconds, in a transaction.

    The first of each entity only, and turn by turn: `served` says which webhook had its turn when.
    """
    room = {
        row["id"]: (1 if row["failures"] >= FAILING_FROM else MOST_EACH) - row["on_their_way"]
        for row in await QUERIES.lock_receivers.fetch(conn)
    }
    ids = [webhook_id for webhook_id, left in room.items() if left > 0]
    if not ids:
        return Claim()
    postponed = await QUERIES.postpone_followers.execute(conn, ids, LOOKED_AT)
    ready = [
        Ready(row["id"], row["webhook_id"], room[row["webhook_id"]])
        for row in await QUERIES.ready.fetch(conn, ids, LOOKED_AT)
    ]
    chosen = [one.id for one in fair(ready, served, free)]
    if not chosen:
        return Claim(more=postponed > 0)
    leased = [Due(*row) for row in await QUERIES.lease.fetch(conn, chosen, seconds)]
    empty = [one for one in leased if one.body is None]
    if empty:
        await QUERIES.drop_empty.execute(conn, [one.id for one in empty])
        await QUERIES.promote.execute(conn, [one.webhook_id for one in empty], [one.entity for one in empty])
    return Claim([one for one in leased if one.body is not None], more=bool(postponed or empty))


async def settle(conn: Connection, due: Due, attempt: Attempt) -> Settled:
    """Write down how the attempt went, in a transaction, unless somebody else has taken it over meanwhile."""
    failures = await QUERIES.lock_receiver.fetchval(conn, due.webhook_id)
    ours = failures is not None and await QUERIES.settle.execute(
        conn, due.id, due.leased_until, attempt.status, attempt.pause, attempt.response_status, attempt.response,
        attempt.error, attempt.milliseconds,
    )  # fmt: skip
    if not ours:
        return Settled(ours=False)
    if attempt.status != "pending":
        await QUERIES.promote.execute(conn, [due.webhook_id], [due.entity])
    if attempt.status == "succeeded":
        await QUERIES.note_success.execute(conn, due.webhook_id)
        return Settled(ours=True)
    alone = rest(failures + 1, attempt.asked)
    reason = await QUERIES.note_failure.fetchval(
        conn, due.webhook_id, alone, attempt.gone, PATIENCE_FAILURES, PATIENCE_DAYS
    )
    return Settled(ours=True, disabled_reason=reason)


async def put_back(conn: Connection, due: Due) -> None:
    """Let somebody else send it, at once: nobody knows whether we did."""
    await QUERIES.put_back.execute(conn, due.id, due.leased_until)


async def page(
    conn: Connection, webhook_id: int, status: Status | None, before: int | None, most: int
) -> list[Row]:  # fmt: skip
    """What was and is to be sent to a webhook, the latest first, behind this place."""
    return [Row(*row) for row in await QUERIES.list_deliveries.fetch(conn, webhook_id, status, before, most)]


async def count(conn: Connection, webhook_id: int, status: Status | None) -> int:
    """How many there are; MOST_COUNTED + 1 for more than that."""
    return int(await QUERIES.count_deliveries.fetchval(conn, webhook_id, status, MOST_COUNTED + 1))


async def replay(conn: Connection, delivery_id: UUID) -> bool:
    """Send it as if for the first time, whatever became of it.

    False if there is none, Conflict if its webhook is switched off.
    """
    enabled: bool | None = await QUERIES.replay.fetchval(conn, delivery_id)
    if enabled is False:
        raise Conflict(SWITCHED_OFF)
    return enabled is not None


async def measure(conn: Connection, bound: int) -> Measured:
    """What waits, and for whom in vain."""
    row = await QUERIES.measure.fetchrow(conn, bound)
    assert row is not None
    return Measured(*row)
