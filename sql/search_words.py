"""The vocabulary of titles, by which typing errors are corrected."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

from sql.query import Connection, load

QUERIES = load("search_words")


class Word(NamedTuple):
    """A word of the vocabulary: how it sounds, and the hashes of what is left of it when letters are missing."""

    word: str
    skeleton: str
    variants: Sequence[int]


@dataclass(frozen=True, slots=True)
class Recounted:
    """What a count found: words that nobody uses any more, and words whose number was another."""

    dropped: int
    put_right: int


async def unknown(conn: Connection, words: Iterable[str], rules: int) -> list[str]:
    """Those of these words that the vocabulary lacks, or has by older rules."""
    return [row["word"] for row in await QUERIES.unknown.fetch(conn, list(words), rules)]


async def add(conn: Connection, words: Sequence[Word], rules: int) -> None:
    """Add words; one that is there is put right."""
    variants = ["{" + ",".join(map(str, one.variants)) + "}" for one in words]
    await QUERIES.add.execute(conn, [one.word for one in words], [one.skeleton for one in words], variants, rules)


async def count(conn: Connection) -> int:
    """How many words there are: about, by the statistics."""
    return int(await QUERIES.count_words.fetchval(conn))


async def following(conn: Connection, after: str, limit: int) -> list[str]:
    """The next words of the vocabulary."""
    return [row["word"] for row in await QUERIES.next.fetch(conn, after, limit)]


async def recount(conn: Connection, words: Sequence[str]) -> Recounted:
    """Count these words anew; those that are in no document go. Call it where nobody else writes documents."""
    row: Any = await QUERIES.recount.fetchrow(conn, words)
    return Recounted(*row)


async def begin_count(conn: Connection, at_most_every: timedelta) -> str | None:
    """Begin to count all words: a mark for `end_count`. None where it was begun lately, or nothing changed since."""
    mark: str | None = await QUERIES.begin_count.fetchval(conn, at_most_every)
    return mark


async def end_count(conn: Connection, mark: str) -> None:
    """All words have been counted since `begin_count` gave this mark."""
    await QUERIES.end_count.execute(conn, mark)
