"""What the CMS writes of genres, tags and franchises: three tables of one shape, hence one set of statements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from sql.query import Connection, Queries, Query, load

WordNoun = Literal["genre", "tag", "franchise"]
QUERIES = load("cms_vocabularies")


class Word(NamedTuple):
    """A word as it stands in its table."""

    id: int
    name: str
    name_key: str
    slug: str


class Stored(NamedTuple):
    """A word that is there, and whether it is deleted."""

    word: Word
    deleted: bool


def _for(table: str) -> Queries:
    return Queries({query.name: Query(query.name, query.text.replace("genres", table)) for query in QUERIES})


OF: dict[WordNoun, Queries] = {"genre": QUERIES, "tag": _for("tags"), "franchise": _for("franchises")}


async def new_ids(conn: Connection, noun: WordNoun, count: int) -> list[int]:
    """Fresh ids."""
    return [row["id"] for row in await OF[noun].new_word_ids.fetch(conn, count)]


async def find(
    conn: Connection, noun: WordNoun, ids: Sequence[int], keys: Sequence[str] = (), slugs: Sequence[str] = ()
) -> list[Stored]:
    """Words with these ids, and the living ones with these names and slugs."""
    rows = await OF[noun].word_places.fetch(conn, list(ids), list(keys), list(slugs))
    return [Stored(Word(row["id"], row["name"], row["name_key"], row["slug"]), row["deleted"]) for row in rows]


async def insert(conn: Connection, noun: WordNoun, words: Sequence[Word]) -> set[int]:
    """Make words."""
    return {row["id"] for row in await OF[noun].insert_words.fetch(conn, *_columns(words))}


async def vacate(conn: Connection, noun: WordNoun, ids: Sequence[int]) -> None:
    """Take their names from these words until `update` gives them others, in the same transaction."""
    await OF[noun].vacate_words.execute(conn, ids)


async def update(conn: Connection, noun: WordNoun, words: Sequence[Word]) -> set[int]:
    """Let them be so, and not deleted; those that were not."""
    return {row["id"] for row in await OF[noun].update_words.fetch(conn, *_columns(words))}


async def delete(conn: Connection, noun: WordNoun, ids: Sequence[int]) -> set[int]:
    """Mark them as deleted; those that were not."""
    return {row["id"] for row in await OF[noun].delete_words.fetch(conn, ids)}


async def documents(conn: Connection, noun: WordNoun, ids: Sequence[int], *, deleted: bool) -> dict[int, str]:
    """The JSON that editors see, by id; with the deleted ones or without."""
    return {row["id"]: row["document"] for row in await OF[noun].word_documents.fetch(conn, ids, deleted)}


def _columns(words: Sequence[Word]) -> tuple[list[int], list[str], list[str], list[str]]:
    return (
        [word.id for word in words],
        [word.name for word in words],
        [word.name_key for word in words],
        [word.slug for word in words],
    )
