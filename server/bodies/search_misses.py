"""The bytes of the list of what was searched in vain."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from server.database import Database
from server.http.answer import page_body
from server.http.paging import links_of, offset_of
from server.schemas.search_misses import SearchMissesQuery
from sql import search_misses


async def page(database: Database, query: SearchMissesQuery, base: str) -> bytes:
    """Queries that found nothing, the commonest first; days are those of UTC."""
    since = datetime.now(UTC).date() - timedelta(days=query.days - 1)
    async with database.connection() as conn:
        count, rows = await search_misses.page(conn, since, query.limit, offset_of(query))
    following, before = links_of(base, query, count, {"days": query.days})
    return page_body(count, following, before, rows)
