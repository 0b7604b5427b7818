"""What was searched in vain: how often, by day."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from sql.query import Connection, load

QUERIES = load("search_misses")
# Different queries of one day; whoever makes up more of them is not heard.
MOST_A_DAY = 50_000


async def add(conn: Connection, misses: Mapping[str, int]) -> None:
    """Add how often each query found nothing, in one statement."""
    await QUERIES.add.execute(conn, list(misses), list(misses.values()), MOST_A_DAY)


async def page(conn: Connection, since: date, limit: int, offset: int) -> tuple[int, list[str]]:
    """How many different queries found nothing since that day, and a page of them as JSON, the commonest first."""
    row: Any = await QUERIES.page.fetchrow(conn, since, limit, offset)
    return row["count"], row["rows"]
