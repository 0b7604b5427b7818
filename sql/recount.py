"""Counting anew: numbers of releases that are kept up as things happen, held against the rows they are made from.

Every `mend_*` says what differed and puts it right. Call each in a transaction that keeps one snapshot (REPEATABLE
READ): then a change made meanwhile fails it, and it can be tried again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sql.query import Connection, load

QUERIES = load("recount")


@dataclass(frozen=True, slots=True)
class Difference:
    """A number that was not what it should have been. `id` is the row it belongs to, 0 for the one of its kind."""

    id: int
    name: str
    stored: int
    expected: int


async def release_ids(conn: Connection, after: int, limit: int) -> list[int]:
    """The next releases with numbers by id."""
    return [row["id"] for row in await QUERIES.release_ids.fetch(conn, after, limit)]


async def days_are_whole(conn: Connection, retention: timedelta) -> bool:
    """Whether the rollups by day still hold every view there ever was."""
    return bool(await QUERIES.days_are_whole.fetchval(conn, retention))


async def mend_views(conn: Connection, release_ids: Sequence[int]) -> list[Difference]:
    """Views and unique viewers of releases of all time. Exact while `days_are_whole`."""
    return [Difference(*row) for row in await QUERIES.mend_views.fetch(conn, list(release_ids))]


async def mend_totals(conn: Connection) -> list[Difference]:
    """How large the catalogue is."""
    return [Difference(*row) for row in await QUERIES.mend_totals.fetch(conn)]


async def budget_ids(conn: Connection, after: int, limit: int) -> list[int]:
    """The next users by id who were ever told of something."""
    return [row["id"] for row in await QUERIES.budget_ids.fetch(conn, after, limit)]


async def mend_budgets(conn: Connection, user_ids: Sequence[int]) -> list[Difference]:
    """How many notifications of each user are unread, and how many wait for the next hour."""
    return [Difference(*row) for row in await QUERIES.mend_budgets.fetch(conn, list(user_ids))]
