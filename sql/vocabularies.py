"""The three vocabularies releases are filed under: genres, tags, franchises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from server.rules.titles import name_key
from sql.query import Connection, load
from sql.release_list import Choice

QUERIES = load("vocabularies")
Kind = Literal["genres", "tags", "franchises"]


@dataclass(frozen=True, slots=True)
class Word:
    """A genre or tag and how many visible releases carry it."""

    id: int
    name: str
    slug: str
    releases: int


@dataclass(frozen=True, slots=True)
class Franchise:
    """A franchise and what its visible releases add up to."""

    id: int
    slug: str
    name: str
    releases: int
    first_year: int | None
    last_year: int | None
    episodes_total: int


async def words(conn: Connection, kind: Literal["genres", "tags"], limit: int, offset: int) -> tuple[int, list[Word]]:
    """How many there are, and a page of them by name."""
    if kind == "genres":
        listed, counted = QUERIES.list_genres, QUERIES.count_genres
    else:
        listed, counted = QUERIES.list_tags, QUERIES.count_tags
    rows = await listed.fetch(conn, limit, offset)
    return int(await counted.fetchval(conn)), [Word(*row) for row in rows]


async def choose(conn: Connection, kind: Kind, texts: Sequence[str]) -> Choice:
    """Ids, slugs or names as a filter's choice; a leading `!` rules out.

    Something wanted that does not exist makes the filter empty; several franchises are alternatives, so there it
    takes all of them missing.
    """
    if not texts:
        return Choice()
    wanted = [text for text in texts if not text.startswith("!")]
    unwanted = [text[1:] for text in texts if text.startswith("!")]
    found = await _find(conn, kind, [*wanted, *unwanted])
    ids = [found[text] for text in wanted if text in found]
    never = bool(wanted) and (not ids if kind == "franchises" else len(ids) < len(wanted))
    return Choice(ids, [found[text] for text in unwanted if text in found], never)


async def _find(conn: Connection, kind: Kind, texts: Sequence[str]) -> dict[str, int]:
    numbers = [int(text) for text in texts if text.isascii() and text.isdigit() and len(text) <= 18]
    queries = {"genres": QUERIES.find_genres, "tags": QUERIES.find_tags, "franchises": QUERIES.find_franchises}
    rows = await queries[kind].fetch(conn, list(texts), [name_key(text) for text in texts], numbers)
    by_name = {row["name_key"]: row["id"] for row in rows}
    by_slug = {row["slug"]: row["id"] for row in rows}
    by_id = {str(row["id"]): row["id"] for row in rows}
    # A number is an id before it is a name.
    found = {text: by_id.get(text) or by_slug.get(text) or by_name.get(name_key(text)) for text in texts}
    return {text: row_id for text, row_id in found.items() if row_id is not None}


async def franchises(conn: Connection, limit: int, offset: int) -> tuple[int, list[Franchise]]:
    """How many there are, and a page of them by name."""
    rows = await QUERIES.list_franchises.fetch(conn, limit, offset)
    return int(await QUERIES.count_franchises.fetchval(conn)), [Franchise(*row) for row in rows]


async def franchise(conn: Connection, franchise_id: int) -> Franchise | None:
    """A franchise by id."""
    row = await QUERIES.get_franchise.fetchrow(conn, franchise_id)
    return None if row is None else Franchise(*row)


async def franchise_releases(conn: Connection, franchise_id: int, limit: int) -> list[str]:
    """The JSON of its releases in the order in which they came out."""
    return [row["release"] for row in await QUERIES.franchise_releases.fetch(conn, franchise_id, limit)]
