"""Building search documents in slices: those that are missing, all of them anew, the vocabulary.

Each function works in the caller's transaction and may be done again. It takes the lock of imports, as everybody does
who writes documents: without it an older one could overwrite a newer.
"""

from __future__ import annotations

from typing import NamedTuple

from server.search import documents, vocabulary
from sql import imports, search_documents, search_words
from sql.query import Connection

# Releases looked at in one go for those that lack a document.
LOOK = 2_000


class Slice(NamedTuple):
    """Where the next slice goes on, None after the last one; releases looked at, documents written."""

    last_id: int | None
    looked_at: int
    written: int


class Words(NamedTuple):
    """The last word gone over, None at the end of the vocabulary; how many were looked at, and how many went."""

    last: str | None
    looked_at: int = 0
    dropped: int = 0


async def fill(conn: Connection, after: int, most: int) -> Slice:
    """Write documents that are missing behind a release, or of older rules; at most so many."""
    await imports.lock(conn)
    last_id, ids = await search_documents.lacking(conn, after, documents.RULES, LOOK)
    chosen = ids[:most]
    written = await documents.write(conn, chosen) if chosen else 0
    return Slice(chosen[-1] if len(chosen) < len(ids) else last_id, len(chosen), written)


async def rebuild(conn: Connection, after: int, most: int) -> Slice:
    """Write the next releases' documents anew; those that are as they should be are left alone."""
    await imports.lock(conn)
    ids = await search_documents.next_ids(conn, after, most)
    written = await documents.write(conn, ids, changed=False) if ids else 0
    return Slice(ids[-1] if ids else None, len(ids), written)


async def go_over_words(conn: Connection, after: str, most: int, *, anew: bool) -> Words:
    """Count the next words of the vocabulary anew, and make anew what belongs to them."""
    await imports.lock(conn)
    # Every look-up would read through what waits beside the index.
    await search_documents.tidy(conn)
    words = await search_words.following(conn, after, most)
    if not words:
        return Words(None)
    found = await vocabulary.go_over(conn, words, anew=anew)
    return Words(words[-1], len(words), found.dropped)
