"""What keeps neighbours and audiences up to date: what has changed, what is stale, and who works at it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sql.query import Connection, load

QUERIES = load("neighbours")
# Rows are counted up to here: nobody has to know it better.
MOST_COUNTED = 10_000
# Of more releases at once only their own rows are marked: so many changes are looked at as a whole.
MOST_MARKED = 1_000
# The driver must not give up on a count over the whole catalogue before the server does.
PATIENCE = 65.0


@dataclass(frozen=True, slots=True)
class Work:
    """What there is to do, and whether somebody is at it."""

    catalogue_changes: int
    catalogue_seen: int
    catalogue_counted: int
    counted_at: datetime | None
    library_seen: int
    started_at: datetime | None
    finished_at: datetime | None
    library_changes: int
    library_written: int
    stale: int
    leased: bool
    failures: int
    audience_at: datetime | None
    audience_users: int
    audience_items: int


async def note_changes(conn: Connection, release_ids: Sequence[int]) -> None:
    """These releases have come, changed or gone."""
    if len(release_ids) > MOST_MARKED:
        await QUERIES.mark_own_stale.execute(conn, list(release_ids))
    else:
        await QUERIES.mark_stale.execute(conn, list(release_ids))
    await QUERIES.note_changes.execute(conn, len(release_ids))


async def look(conn: Connection) -> Work:
    """What there is to do."""
    row = await QUERIES.look.fetchrow(conn, MOST_COUNTED)
    assert row is not None
    return Work(*row)


async def count_words(conn: Connection, catalogue_changes: int) -> None:
    """Count in how many releases each genre and tag stands, as of so many changes of the catalogue; in the caller's
    transaction, unless somebody else is at it."""
    if await QUERIES.count_alone.fetchval(conn):
        await QUERIES.count_words.execute(conn, catalogue_changes, timeout=PATIENCE)


async def take_lease(conn: Connection, worker: UUID, seconds: float, work: Work) -> bool:
    """Begin a run on this work; False if somebody else is at it."""
    changes = work.library_changes, work.library_written
    return bool(await QUERIES.take_lease.fetchval(conn, worker, seconds, *changes))


async def renew_lease(conn: Connection, worker: UUID, seconds: float) -> bool:
    """Still at it; False if the run is somebody else's by now."""
    return bool(await QUERIES.renew_lease.fetchval(conn, worker, seconds))


async def end_run(conn: Connection, worker: UUID, *, well: bool) -> int:
    """The run is over; how many have failed one after another."""
    return int(await QUERIES.end_run.fetchval(conn, worker, well) or 0)


async def leave(conn: Connection, worker: UUID) -> None:
    """The run was stopped from outside."""
    await QUERIES.leave.execute(conn, worker)
