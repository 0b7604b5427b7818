"""The bodies of answers about genres, tags and franchises."""

from __future__ import annotations

from typing import Literal

import orjson

from server.database import Database
from server.errors import NotFound
from server.http.answer import page_body
from server.http.paging import links_of, offset_of
from server.schemas.queries import PageQuery
from sql import vocabularies

MOST_ENTRIES = 100


async def words(database: Database, kind: Literal["genres", "tags"], query: PageQuery, base: str) -> bytes:
    """A page of genres or tags by name."""
    async with database.connection() as conn:
        count, found = await vocabularies.words(conn, kind, query.limit, offset_of(query))
    following, before = links_of(base, query, count)
    return page_body(count, following, before, [orjson.dumps(word).decode() for word in found])


async def franchises(database: Database, query: PageQuery, base: str) -> bytes:
    """A page of franchises by name."""
    async with database.connection() as conn:
        count, found = await vocabularies.franchises(conn, query.limit, offset_of(query))
    following, before = links_of(base, query, count)
    return page_body(count, following, before, [orjson.dumps(franchise).decode() for franchise in found])


async def franchise(database: Database, franchise_id: int) -> bytes:
    """A franchise with its releases."""
    async with database.connection() as conn:
        found = await vocabularies.franchise(conn, franchise_id)
        if found is None:
            raise NotFound("There is no such franchise.")
        entries = await vocabularies.franchise_releases(conn, franchise_id, MOST_ENTRIES)
    return orjson.dumps(found)[:-1] + b',"entries":[' + ",".join(entries).encode() + b"]}"
