"""What a user keeps: writing (`write`, all of it in one way) and reading lists of releases."""

from __future__ import annotations

from server.rules.library import (
    COLLECTION,
    COLLECTION_NAMES,
    COLLECTIONS,
    FAVORITE,
    IGNORED,
    KINDS,
    RATING,
    EntryEdit,
    ProgressEdit,
)
from sql.library_write import Written, write
from sql.query import Connection, load

__all__ = [
    "COLLECTION", "COLLECTIONS", "COLLECTION_NAMES", "FAVORITE", "IGNORED", "KINDS", "RATING", "EntryEdit",
    "ProgressEdit", "Written", "count", "counts", "page", "write",
]  # fmt: skip

QUERIES = load("library")


async def page(conn: Connection, user_id: int, kind: int, value: int | None, limit: int, offset: int) -> list[str]:
    """The JSON of a page of one kind of entry, the newest first; `value` picks one collection or rating."""
    return [row["entry"] for row in await QUERIES.page.fetch(conn, user_id, kind, value, limit, offset)]


async def count(conn: Connection, user_id: int, kind: int) -> int:
    """How many entries of this kind there are."""
    return int(await QUERIES.count.fetchval(conn, user_id, kind))


async def counts(conn: Connection, user_id: int) -> dict[str, int]:
    """How many releases each collection holds, by its name."""
    found = {row["value"]: row["releases"] for row in await QUERIES.counts.fetch(conn, user_id)}
    return {name: found.get(number, 0) for number, name in COLLECTION_NAMES.items()}
