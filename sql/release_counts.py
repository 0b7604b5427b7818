"""Favourites and ratings of releases: counted up from what libraries publish, and counted anew by a repair."""

from __future__ import annotations

from collections.abc import Sequence

from sql import search_documents
from sql.query import Connection, load
from sql.recount import Difference

QUERIES = load("release_counts")


async def apply(conn: Connection, changes: Sequence[tuple[int, int, int, int]]) -> None:
    """Add the changes (release, favourites, ratings, sum of ratings), at most one a release."""
    rows = sorted(changes)
    await QUERIES.apply.execute(conn, *([row[place] for row in rows] for place in range(4)))
    if rated := [row[0] for row in rows if row[2] or row[3]]:
        await search_documents.rate(conn, rated)


async def release_ids(conn: Connection, after: int, limit: int) -> list[int]:
    """The next releases by id."""
    return [row["id"] for row in await QUERIES.release_ids.fetch(conn, after, limit)]


async def mend(conn: Connection, release_ids: Sequence[int]) -> list[Difference]:
    """What differed in the counters of these releases, which is put right.

    Call it in a transaction that keeps one snapshot (REPEATABLE READ): then a change made meanwhile fails it, and it
    can be tried again. What waits in the outbox is not missing, only not counted yet.
    """
    found = [Difference(*row) for row in await QUERIES.mend.fetch(conn, list(release_ids))]
    await search_documents.rate(conn, release_ids)
    return found
