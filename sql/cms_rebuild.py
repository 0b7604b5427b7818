"""Which releases a word is on, slice by slice, drafts and deleted ones among them."""

from __future__ import annotations

from sql.cms_vocabularies import WordNoun
from sql.query import Connection, load

QUERIES = load("cms_rebuild")

# A word of fewer releases is found by its index, a more frequent one on the way along the primary key.
FEW = 2_000


async def releases_of(conn: Connection, noun: WordNoun, word_id: int, after: int, most: int) -> list[int]:
    """The next ids behind `after`, in order."""
    if noun == "franchise":
        rows = await QUERIES.next_of_franchise.fetch(conn, word_id, after, most)
        return [row["id"] for row in rows]
    few, following = {
        "genre": (QUERIES.few_of_genre, QUERIES.next_of_genre),
        "tag": (QUERIES.few_of_tag, QUERIES.next_of_tag),
    }[noun]
    found = [row["id"] for row in await few.fetch(conn, word_id, FEW)]
    if len(found) < FEW:
        return sorted(release_id for release_id in found if release_id > after)[:most]
    return [row["id"] for row in await following.fetch(conn, word_id, after, most)]
