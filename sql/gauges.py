"""How much of everything there is, for operators."""

from __future__ import annotations

from dataclasses import dataclass

from sql.query import Connection, load

QUERIES = load("gauges")
# Up to so many rows are counted one by one; beyond, the planner's estimate does.
FEW = 10_000


@dataclass(frozen=True, slots=True)
class Totals:
    """Rows of each noun; `views` are those still kept one by one (VIEW_RETENTION_DAYS), `waiting` is for moderators."""

    users: int
    active_users: int
    releases: int
    episodes: int
    views: int
    subscriptions: int
    waiting: int


async def count_all(conn: Connection) -> Totals:
    """All of it, in one query."""
    [row] = await QUERIES.count_all.fetch(conn, FEW)
    return Totals(*row)
