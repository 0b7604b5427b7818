"""The bytes of the list of dead events."""

from __future__ import annotations

from datetime import datetime

from server.database import Database
from server.http.answer import link, page_body
from server.rules import cursors
from server.schemas.outbox import DeadQuery
from sql import outbox

KIND = "dead"


async def dead(database: Database, query: DeadQuery, base: str) -> bytes:
    """A page of them, the latest first; `next` goes on by key, since rows come and go."""
    after = None if query.cursor is None else cursors.decode(KIND, query.cursor, datetime)
    async with database.connection() as conn:
        # One row more than the page shows tells whether a cursor leads anywhere.
        rows = await outbox.dead_page(conn, after, query.limit + 1)
        count = await outbox.count_dead(conn)
    following = None
    if len(rows) > query.limit:
        last = rows[query.limit - 1]
        following = link(base, {"limit": query.limit, "cursor": cursors.encode(KIND, last.dead_at, last.id)})
    return page_body(count, following, None, [row.event for row in rows[: query.limit]])
