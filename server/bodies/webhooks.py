"""The bytes of the log of deliveries."""

from __future__ import annotations

from server.database import Database
from server.errors import NotFound
from server.http.answer import link, page_body
from server.rules import cursors
from server.schemas.webhooks import DeliveriesQuery
from sql import webhook_deliveries, webhooks
from sql.webhook_deliveries import MOST_COUNTED

KIND = "deliveries"


async def deliveries(database: Database, webhook_id: int, query: DeliveriesQuery, base: str) -> bytes:
    """A page of them, the latest first; `next` goes on by key, since rows keep arriving."""
    before = None if query.cursor is None else cursors.decode(KIND, query.cursor, int)[1]
    async with database.connection() as conn:
        if await webhooks.get(conn, webhook_id) is None:
            raise NotFound("There is no such webhook.")
        # One row more than the page shows tells whether a cursor leads anywhere.
        rows = await webhook_deliveries.page(conn, webhook_id, query.status, before, query.limit + 1)
        count = await webhook_deliveries.count(conn, webhook_id, query.status)
    following = None
    if len(rows) > query.limit:
        cursor = cursors.encode(KIND, 0, rows[query.limit - 1].seq)
        following = link(base, {"status": query.status, "limit": query.limit, "cursor": cursor})
    shown = [row.delivery for row in rows[: query.limit]]
    return page_body(min(count, MOST_COUNTED), following, None, shown, estimate=count > MOST_COUNTED)
