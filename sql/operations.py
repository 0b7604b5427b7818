"""Long work: queued in the transaction that asks for it, taken up under a lease, kept for a week after its end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID

import asyncpg

from server.errors import Unauthenticated
from sql.outbox import PUBLISHED
from sql.query import Connection, load

QUERIES = load("operations")
# The kinds that the transaction under way in this task has queued: its commit then wakes whoever runs them.
QUEUED: ContextVar[frozenset[str]] = ContextVar("queued", default=frozenset())
LARGEST_COUNT = 2**31 - 1
# What was begun so often and never came to an end has failed.
MOST_ATTEMPTS = 10
Ending = Literal["succeeded", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class Operation:
    """Work to be done. `attempts` is also the fence: what an earlier attempt still writes counts no more.

    `checkpoint` is what earlier attempts have committed of it, as the work itself wrote it, and `done` how much that
    is; None where nothing is.
    """

    id: UUID
    user_id: int | None
    kind: str
    request: Any
    file: str | None
    attempts: int
    done: int
    total: int
    checkpoint: Any | None
    seq: int
    created_at: datetime


class Standing(NamedTuple):
    """How far an attempt has come."""

    id: UUID
    attempts: int
    done: int
    total: int


class Outcome(NamedTuple):
    """How an operation ended. `file` is what it made, relative to DATA_DIR."""

    status: Ending
    errors: Sequence[Mapping[str, Any]]
    result: Mapping[str, Any]
    file: str | None = None


@dataclass(frozen=True, slots=True)
class Download:
    """The file of an operation that succeeded."""

    kind: str
    file: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Belonging:
    """An operation of a user's own and the file that goes with it."""

    id: UUID
    file: str | None


async def create(
    conn: Connection,
    user_id: int,
    kind: str,
    request: Mapping[str, Any],
    file: str | None = None,
    *,
    entities: Iterable[str] = (),
    barrier: bool = False,
    shared: bool = False,
) -> Operation:
    """Queue it; it begins soon after the commit. `file` (relative to DATA_DIR) is removed when it has ended.

    Of open operations that name an entity (`release:5`) one runs at a time, in the order in which they were accepted;
    kinds that share entities run in one lane. A `barrier` waits for every `shared` one accepted before it. Those that
    are `shared` are every administrator's. Unauthenticated if there is no such account any more.
    """
    named = sorted(set(entities))
    if shared or named:
        await QUERIES.lock_acceptance.execute(conn, named, barrier)
    try:
        row = await QUERIES.create_operation.fetchrow(conn, user_id, kind, dict(request), file, named, barrier, shared)
    except asyncpg.ForeignKeyViolationError:
        raise Unauthenticated("This account is gone.", error="invalid_token") from None
    assert row is not None
    QUEUED.set(QUEUED.get() | {kind})
    PUBLISHED.set(True)
    return Operation(*row)


async def claim(conn: Connection, kinds: Sequence[str], limit: int) -> list[Operation]:
    """Take up to `limit` operations of these kinds under a lease of twenty seconds, in the order of acceptance."""
    rows = await QUERIES.claim_operations.fetch(conn, list(kinds), limit, MOST_ATTEMPTS)
    return sorted((Operation(*row) for row in rows), key=lambda one: one.seq)


async def give_up(conn: Connection, detail: str) -> int:
    """Fail what was begun too often without coming to an end, unless its effect is there; how many there were."""
    return await QUERIES.give_up_operations.execute(conn, detail, MOST_ATTEMPTS)


async def renew(conn: Connection, standings: Sequence[Standing]) -> dict[UUID, bool]:
    """Write progress and renew the leases; for each that is still ours, whether it has been asked to stop."""
    ids, attempts, done, total = zip(*standings, strict=True)
    bounded = [[min(count, LARGEST_COUNT) for count in counts] for counts in (done, total)]
    rows = await QUERIES.renew_operations.fetch(conn, ids, attempts, *bounded)
    return {row["id"]: row["stopping"] for row in rows}


async def checkpoint(
    conn: Connection, standing: Standing, value: Mapping[str, Any], *, to_the_end: bool = False
) -> bool:
    """Write down, in the effect's own transaction, what is done; False if the effect must not be.

    That is so if the operation is no longer ours, or (unless it goes on `to_the_end`) if it has been asked to stop.
    """
    done, total = (min(count, LARGEST_COUNT) for count in (standing.done, standing.total))
    touched = await QUERIES.checkpoint_operation.execute(
        conn, standing.id, standing.attempts, dict(value), done, total, to_the_end
    )
    return touched == 1


async def take_time(conn: Connection) -> None:
    """Let this transaction wait for locks, and each of its statements work, for nine seconds."""
    await QUERIES.take_time.execute(conn)


async def finish(conn: Connection, standing: Standing, outcome: Outcome) -> bool:
    """Write how it ended; False if it is no longer ours."""
    done, total = min(standing.done, LARGEST_COUNT), min(standing.total, LARGEST_COUNT)
    errors = [dict(error) for error in outcome.errors]
    touched = await QUERIES.finish_operation.execute(
        conn, standing.id, standing.attempts, outcome.status, done, total, errors, dict(outcome.result), outcome.file
    )
    return touched == 1


async def put_back(conn: Connection, operation: Operation, pause: float, *, counted: bool) -> bool:
    """Back into the queue for at least `pause` seconds; False if it is no longer ours."""
    touched = await QUERIES.put_back_operation.execute(
        conn, operation.id, operation.attempts, pause, 0 if counted else 1
    )
    return touched == 1


async def has_checkpoint(conn: Connection, standing: Standing) -> bool:
    """Whether anything is committed of an operation that is still this attempt's."""
    return bool(await QUERIES.has_checkpoint.fetchval(conn, standing.id, standing.attempts))


async def page(
    conn: Connection, user_id: int, base: str, limit: int, offset: int, *, shared: bool = False
) -> tuple[int, list[str]]:
    """How many the user has, and the JSON of a page of them, newest first. `base` is the address of the list.

    With `shared` also those of theirs that administrators share: who no longer is one sees them no more.
    """
    rows = await QUERIES.list_operations.fetch(conn, user_id, base, limit, offset, shared)
    return int(await QUERIES.count_operations.fetchval(conn, user_id, shared)), [row["operation"] for row in rows]


async def page_of_shared(
    conn: Connection, base: str, status: str | None, kind: str | None, limit: int, offset: int
) -> tuple[int, list[str]]:
    """As `page`, of those that administrators share, with this status and of this kind; counted up to 10,001."""
    rows = await QUERIES.list_shared_operations.fetch(conn, base, status, kind, limit, offset)
    count = int(await QUERIES.count_shared_operations.fetchval(conn, status, kind))
    return count, [row["operation"] for row in rows]


async def get(
    conn: Connection, user_id: int | None, operation_id: UUID, base: str, *, shared: bool = False
) -> str | None:
    """The JSON of one of the user's operations, or of one that administrators share if `user_id` is None; or None.

    `shared` as in `page`.
    """
    found: str | None = await QUERIES.get_operation.fetchval(conn, operation_id, user_id, base, shared)
    return found


async def status(conn: Connection, user_id: int | None, operation_id: UUID) -> str | None:
    """Where it stands, or None if there is no such operation; whose it is as in `get` without `shared`."""
    found: str | None = await QUERIES.operation_status.fetchval(conn, operation_id, user_id)
    return found


async def download(conn: Connection, user_id: int, operation_id: UUID, *, shared: bool = False) -> Download | None:
    """The file of one of the user's operations, if it succeeded and made one. `shared` as in `page`."""
    row = await QUERIES.get_download.fetchrow(conn, operation_id, user_id, shared)
    return None if row is None else Download(*row)


async def cancel(conn: Connection, user_id: int | None, operation_id: UUID, *, shared: bool = False) -> None:
    """End it if it is queued, ask it to stop if it runs; nothing if it has ended. Whose it is as in `get`."""
    await QUERIES.cancel_operation.execute(conn, operation_id, user_id, shared)


async def trim(conn: Connection, limit: int) -> list[str | None]:
    """Delete up to `limit` operations that ended a week ago; their files, None where there was none."""
    return [row["file"] for row in await QUERIES.trim_operations.fetch(conn, limit)]


async def known_files(conn: Connection, files: Sequence[str]) -> set[str]:
    """Which of these files belong to an operation."""
    return {row["file"] for row in await QUERIES.known_files.fetch(conn, list(files))}


async def of_user(conn: Connection, user_id: int) -> list[Belonging]:
    """What goes when this user is erased: their operations, except those that administrators share."""
    return [Belonging(*row) for row in await QUERIES.operations_of.fetch(conn, user_id)]
