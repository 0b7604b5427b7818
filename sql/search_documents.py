"""Search documents: what they are made from, writing them, and how far they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sql.query import Connection, load

QUERIES = load("search_documents")


@dataclass(frozen=True, slots=True)
class Source:
    """What a document is made from."""

    id: int
    title: str
    languages: list[str]
    titles: list[str]
    synonyms: list[str]
    genres: list[str]
    tags: list[str]
    franchise: str | None
    synopsis: str


class Row(NamedTuple):
    """A document as it is written: `names` and `words` are tsvectors as text, `keys` one a line."""

    release_id: int
    names: str
    words: str
    keys: str
    config: str
    synopsis: str


@dataclass(frozen=True, slots=True)
class State:
    """How far the documents are. Every release has one by these rules or newer ones; at 0 some may have none."""

    rules: int
    # The release up to which a rebuild has come; None where none is due.
    rebuilt_to: int | None
    rebuilds: int
    counted_at: datetime | None


class Lacking(NamedTuple):
    """Releases without a document, or with one of older rules, among those up to `last_id`; None: there are no more."""

    last_id: int | None
    ids: list[int]


async def sources(conn: Connection, release_ids: Sequence[int]) -> list[Source]:
    """What the documents of these releases are made from."""
    return [Source(*row) for row in await QUERIES.sources.fetch(conn, release_ids)]


async def word_names(conn: Connection, ids: Mapping[str, Sequence[int]]) -> dict[tuple[str, int], str]:
    """By (`genres`, `tags` or `franchises`, id): what these words are called; without those that were deleted."""
    rows = await QUERIES.word_names.fetch(conn, ids["genres"], ids["tags"], ids["franchises"])
    return {(row["noun"], row["id"]): row["name"] for row in rows}


async def write(conn: Connection, rows: Sequence[Row], rules: int, *, changed: bool) -> int:
    """Write documents, made by these rules; with `changed` all of them are marked as changed, else what differs.

    How many were written. Call it under the lock of imports.
    """
    columns = [list(column) for column in zip(*rows, strict=True)]
    return int(await QUERIES.write.fetchval(conn, *columns, rules, changed))


async def any_behind(conn: Connection, place: tuple[int, int]) -> bool:
    """Whether any document was changed behind this place, committed but perhaps not to be read in order yet."""
    return bool(await QUERIES.any_behind.fetchval(conn, *place))


async def stir(conn: Connection, release_ids: Sequence[int]) -> None:
    """What filters read of these releases changed (whether they are shown, say), not their words."""
    await QUERIES.stir.execute(conn, release_ids)


async def lock(conn: Connection, release_ids: Sequence[int]) -> None:
    """Take the rows of these documents, for whoever writes them in several statements.

    Whoever writes more than one takes them in the order of their ids: ratings are written without the lock of imports,
    and nobody must wait in a ring.
    """
    await QUERIES.lock.fetch(conn, release_ids)


async def rate(conn: Connection, release_ids: Sequence[int]) -> None:
    """Take over the ratings of these releases, which may have moved."""
    await QUERIES.rate.execute(conn, release_ids)


async def tidy(conn: Connection) -> None:
    """Bring what was written lately into the indexes; nothing to do is done at once."""
    await QUERIES.tidy.fetchval(conn)


async def state(conn: Connection) -> State:
    """How far the documents are."""
    row: Any = await QUERIES.state.fetchrow(conn)
    return State(*row)


async def count_releases(conn: Connection) -> int:
    """How many releases there are, shown or not: about, by the statistics."""
    return int(await QUERIES.count_releases.fetchval(conn))


async def next_ids(conn: Connection, after: int, limit: int) -> list[int]:
    """The next releases by id, shown or not."""
    return [row["id"] for row in await QUERIES.next_ids.fetch(conn, after, limit)]


async def lacking(conn: Connection, after: int, rules: int, most: int) -> Lacking:
    """Which of the next `most` releases need a document by these rules."""
    row: Any = await QUERIES.lacking.fetchrow(conn, after, rules, most)
    return Lacking(*row)


async def take_turn(conn: Connection) -> bool:
    """Whether this transaction may build; it may until its end. Another instance is at it otherwise."""
    return bool(await QUERIES.take_turn.fetchval(conn))


async def reach_rules(conn: Connection, rules: int) -> None:
    """Every release has a document by these rules now."""
    await QUERIES.reach_rules.execute(conn, rules)


async def order_rebuild(conn: Connection) -> None:
    """Have every document written anew in the background; one that is under way goes on."""
    await QUERIES.order_rebuild.execute(conn)


async def rebuilt_to(conn: Connection, release_id: int) -> None:
    """The rebuild has come to this release."""
    await QUERIES.rebuilt_to.execute(conn, release_id)


async def end_rebuild(conn: Connection) -> None:
    """The rebuild has come to its end."""
    await QUERIES.end_rebuild.execute(conn)
