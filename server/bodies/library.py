"""The bodies of answers about what one keeps and has watched. Nothing here is cached: one reads one's own writes."""

from __future__ import annotations

from datetime import datetime

import orjson

from server.database import Database
from server.errors import NotFound
from server.http.answer import link, page_body
from server.http.paging import links_of, offset_of
from server.rules import cursors
from server.schemas.library import CollectionsQuery, HistoryQuery, ProgressQuery
from server.schemas.queries import PageQuery
from sql import library
from sql import progress as watched

HISTORY = "history"


async def entries(database: Database, user_id: int, kind: int, query: PageQuery, base: str) -> bytes:
    """A page of one kind of entry."""
    async with database.connection() as conn:
        rows = await library.page(conn, user_id, kind, None, query.limit, offset_of(query))
        count = await library.count(conn, user_id, kind)
    following, before = links_of(base, query, count)
    return page_body(count, following, before, rows)


async def collections(database: Database, user_id: int, query: CollectionsQuery, base: str) -> bytes:
    """A page of the collections or of one, and how many releases each holds."""
    value = None if query.collection is None else library.COLLECTIONS[query.collection]
    async with database.connection() as conn:
        rows = await library.page(conn, user_id, library.COLLECTION, value, query.limit, offset_of(query))
        counts = await library.counts(conn, user_id)
    count = sum(counts.values()) if query.collection is None else counts[query.collection]
    following, before = links_of(base, query, count, {"collection": query.collection})
    return page_body(count, following, before, rows)[:-1] + b',"counts":' + orjson.dumps(counts) + b"}"


async def progress(database: Database, user_id: int, query: ProgressQuery, base: str) -> bytes:
    """A page of the progress on episodes."""
    async with database.connection() as conn:
        count, rows = await watched.page(conn, user_id, query.release_id, query.limit, offset_of(query))
    following, before = links_of(base, query, count, {"release_id": query.release_id})
    return page_body(count, following, before, rows)


async def episode(database: Database, user_id: int, episode_id: int) -> bytes:
    """The progress on one episode."""
    async with database.connection() as conn:
        found = await watched.get(conn, user_id, episode_id)
    if found is None:
        raise NotFound("Nothing is known of this episode.")
    return found.encode()


async def history(database: Database, user_id: int, query: HistoryQuery, base: str) -> bytes:
    """A page of the history. One row more than it shows tells whether a cursor leads anywhere."""
    after = None if query.cursor is None else cursors.decode(HISTORY, query.cursor, datetime)
    async with database.connection() as conn:
        count, rows = await watched.history(conn, user_id, query.limit + 1, after)
    shown, following = rows[: query.limit], None
    if len(rows) > query.limit:
        cursor = cursors.encode(HISTORY, shown[-1].key, shown[-1].id)
        following = link(base, {"limit": query.limit, "cursor": cursor})
    return page_body(count, following, None, [row.entry for row in shown])


async def continue_with(database: Database, user_id: int, limit: int) -> bytes:
    """What to go on with."""
    async with database.connection() as conn:
        rows = await watched.continue_with(conn, user_id, limit)
    return page_body(len(rows), None, None, rows)
