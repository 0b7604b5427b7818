"""The bytes of editors' lists: things as they are written, with their state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from server.cms import engine
from server.cms.edits import Noun
from server.database import Database
from server.http.answer import page_body
from server.http.paging import links_of, offset_of
from server.rules.titles import name_key, sort_title
from server.schemas.cms_answers import AdminEpisodesQuery, AdminReleasesQuery, AdminWordsQuery
from server.schemas.queries import PageQuery
from sql import cms_lists
from sql.cms_lists import MOST_COUNTED, Words
from sql.query import Connection

TABLES: dict[Noun, Words] = {"genre": "genres", "tag": "tags", "franchise": "franchises"}


async def releases(database: Database, query: AdminReleasesQuery, base: str) -> bytes:
    """Releases of a state, or by how their titles begin."""
    begins = sort_title(query.q)[:80] if query.q else ""
    async with database.connection() as conn:
        count, ids = await cms_lists.releases(conn, query.state, begins, query.limit, offset_of(query))
        return await _page(conn, "release", (count, ids), query, base, {"state": query.state, "q": query.q})


async def episodes(database: Database, query: AdminEpisodesQuery, base: str) -> bytes:
    """Episodes of a release."""
    async with database.connection() as conn:
        found = await cms_lists.episodes(conn, query.release_id, query.limit, offset_of(query))
        return await _page(conn, "episode", found, query, base, {"release_id": query.release_id})


async def words(database: Database, noun: Noun, query: AdminWordsQuery, base: str) -> bytes:
    """Genres, tags or franchises."""
    begins = name_key(query.q) if query.q else ""
    async with database.connection() as conn:
        found = await cms_lists.words(conn, TABLES[noun], begins, query.limit, offset_of(query))
        return await _page(conn, noun, found, query, base, {"q": query.q})


async def _page(
    conn: Connection,
    noun: Noun,
    found: tuple[int, Sequence[int]],
    query: PageQuery,
    base: str,
    filters: Mapping[str, Any],
) -> bytes:
    count, ids = found
    documents = await engine.documents(conn, noun, ids) if ids else {}
    following, before = links_of(base, query, count, filters)
    rows = [documents[one].decode() for one in ids if one in documents]
    return page_body(count, following, before, rows, estimate=count >= MOST_COUNTED)
