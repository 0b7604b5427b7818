"""The bytes of what moderators see: the queue, the decisions."""

from __future__ import annotations

from datetime import datetime

from server.database import Database
from server.errors import Fault, NotFound, Unprocessable
from server.http.answer import link, page_body
from server.rules import cursors
from server.schemas.moderation import DecisionsQuery, QueueQuery
from sql import moderation_lists as sql
from sql.moderation import Kind
from sql.moderation_lists import DecisionsWanted, Place
from sql.query import Connection

QUEUE, DECISIONS = "moderation", "decisions"


async def queue(database: Database, query: QueueQuery, base: str) -> bytes:
    """A page of what waits, the longest first; `next` goes on by key, since things come and go."""
    after = None if query.cursor is None else Place(*cursors.decode(QUEUE, query.cursor, datetime))
    async with database.connection() as conn:
        # One row more than the page shows tells whether a cursor leads anywhere.
        rows = await sql.queue(conn, query.type, query.reason, after, query.limit + 1)
        count, exact = await sql.count_queue(conn, query.type, query.reason)
    following = None
    if len(rows) > query.limit:
        last = rows[query.limit - 1]
        given = {"type": query.type, "reason": query.reason, "limit": query.limit}
        following = link(base, given | {"cursor": cursors.encode(QUEUE, last.queued_at, last.place)})
    return page_body(count, following, None, [row.thing for row in rows[: query.limit]], estimate=not exact)


async def decisions(database: Database, query: DecisionsQuery, base: str) -> bytes:
    """A page of decisions, the newest first."""
    if query.target_id is not None and query.type is None:
        raise Unprocessable("Some parameters do not fit.", faults=[Fault("/type", "Goes with `target_id`.")])
    below = None if query.cursor is None else cursors.decode(DECISIONS, query.cursor, str)[1]
    given = {"target_id": query.target_id, "author_id": query.author_id, "moderator_id": query.moderator_id}
    wanted = DecisionsWanted(kind=query.type, **given)
    async with database.connection() as conn:
        rows = await sql.decisions(conn, wanted, below, query.limit + 1)
        count, exact = await sql.count_decisions(conn, wanted)
    following = None
    if len(rows) > query.limit:
        cursor = cursors.encode(DECISIONS, "", rows[query.limit - 1].id)
        following = link(base, {"type": query.type, **given, "limit": query.limit, "cursor": cursor})
    return page_body(count, following, None, [row.decision for row in rows[: query.limit]], estimate=not exact)


async def thing(conn: Connection, kind: Kind, thing_id: int) -> bytes:
    """One comment or review; NotFound if there is none any more."""
    found = await sql.thing(conn, kind, thing_id)
    if found is None:
        raise NotFound(f"There is no such {kind}.")
    return found.encode()
