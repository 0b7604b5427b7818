"""What searching asks the database: slots that match, names to compare, words to correct by, the index's own rows."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from sys import byteorder
from typing import NamedTuple

from sql.query import Connection, Query, load
from sql.release_list import SORTS

QUERIES = load("search")
# The configurations of synopses whose stems differ from the words, by the alphabet of a query.
CONFIGS = {
    "cyrillic": ("russian",),
    "latin": ("english", "german", "french", "spanish", "italian", "portuguese"),
    "other": (),
}


@dataclass(frozen=True, slots=True)
class Places:
    """The transaction below which everything is seen, and whether every release has a document."""

    fence: int
    complete: bool


@dataclass(frozen=True, slots=True)
class Row:
    """What the index keeps of a document."""

    slot: int
    release_id: int
    visible: bool
    type: str
    status: str
    season: str | None
    age_rating: str | None
    year: int | None
    # The average, or nothing where nobody has rated it.
    rating: float | None
    genre_ids: list[int]
    tag_ids: list[int]
    # The configuration of its synopsis.
    config: str = "simple"


class Named(NamedTuple):
    """A reading of a text as tsqueries on names: whole names, all words, all words with the last one only begun, and
    whole names that are added where anything is found."""

    whole: str
    words: str
    begun: str
    beside: str


class Slots(NamedTuple):
    """What matches a text: by a whole name, by words of its names, anywhere. `reading` is the place of the reading that
    found something in names, if one did."""

    reading: int | None
    whole: array[int]
    named: array[int]
    anywhere: array[int]


def slots_of(data: bytes) -> array[int]:
    """Slots as they come from `int4send`."""
    found = array("i")
    found.frombytes(data)
    if byteorder == "little":
        found.byteswap()
    return found


async def places(conn: Connection) -> Places:
    """Where reading begins."""
    row = await QUERIES.places.fetchrow(conn)
    assert row is not None
    return Places(*row)


async def documents_by_slot(conn: Connection, after: int, limit: int) -> list[Row]:
    """The next documents behind a slot."""
    return [Row(*row) for row in await QUERIES.documents_by_slot.fetch(conn, after, limit)]


async def documents_changed(conn: Connection, after: tuple[int, int], limit: int) -> tuple[list[Row], tuple[int, int]]:
    """The next documents changed behind (transaction, slot), and the place of the last of them."""
    found = await QUERIES.documents_changed.fetch(conn, *after, limit)
    return [Row(*row[:-1]) for row in found], (found[-1]["changed"], found[-1]["slot"]) if found else after


async def by_popularity(conn: Connection) -> array[int]:
    """All slots from the most popular on."""
    return slots_of(await QUERIES.by_popularity.fetchval(conn))


async def ratings(conn: Connection) -> tuple[array[int], array[float]]:
    """The slots that somebody has rated, and their average ratings."""
    row = await QUERIES.ratings.fetchrow(conn)
    assert row is not None
    averages = array("f")
    averages.frombytes(row["ratings"])
    if byteorder == "little":
        averages.byteswap()
    return slots_of(row["slots"]), averages


@dataclass(frozen=True, slots=True)
class Anywhere:
    """What is looked for beyond names: a tsquery, and the same as plain text for synopses in these configurations."""

    words: str = ""
    stemmed: str = ""
    configs: Sequence[str] = ()


NOWHERE = Anywhere()


async def match(
    conn: Connection, readings: Sequence[Named], anywhere: Anywhere = NOWHERE, *, most: int | None = None
) -> Slots:
    """What matches the first of these readings by which a name is found, but no more than `most`, any of it; and what
    is found anywhere."""
    texts = [list(column) for column in zip(*readings, strict=True)]
    row = await QUERIES.match.fetchrow(conn, *texts, anywhere.words, anywhere.stemmed, list(anywhere.configs), most)
    assert row is not None
    place = row["reading"]
    found = (slots_of(row[column] or b"") for column in ("by_whole", "by_name", "by_word"))
    return Slots(None if place is None else place - 1, *found)


async def names_of(conn: Connection, slots: Iterable[int]) -> dict[int, list[str]]:
    """The names of these documents."""
    return {row["slot"]: row["keys"] for row in await QUERIES.keys.fetch(conn, list(slots))}


async def weighed(conn: Connection, slots: Iterable[int], words: Sequence[str]) -> dict[int, tuple[list[str], int]]:
    """The names of these documents, and their points for words (each the beginning of a tsquery: `'word':`)."""
    rows = await QUERIES.weighed.fetch(conn, list(slots), list(words))
    return {row["slot"]: (row["keys"], row["points"]) for row in rows}


async def of_franchises(conn: Connection, franchise_ids: Sequence[int]) -> array[int]:
    """The visible documents of these franchises."""
    return slots_of(await QUERIES.of_franchises.fetchval(conn, list(franchise_ids)))


async def sounding(conn: Connection, sounds: Sequence[str]) -> list[tuple[str, str]]:
    """Sounds and words of the vocabulary that have them, the commonest first."""
    return [(row["sound"], row["word"]) for row in await QUERIES.sounding.fetch(conn, list(sounds))]


class Typed(NamedTuple):
    """A word as it was typed, what to look for among the variants, and by how many letters others may be longer."""

    word: str
    variants: Iterable[int]
    most: int


async def near(conn: Connection, words: Sequence[Typed], *, even_known: bool) -> list[tuple[str, str, int]]:
    """Words as typed, those of the vocabulary that share a variant with them, and how common they are.

    What the vocabulary knows comes by itself, unless `even_known`.
    """
    texts = ["{" + ",".join(map(str, one.variants)) + "}" for one in words]
    rows = await QUERIES.near.fetch(conn, [one.word for one in words], texts, [one.most for one in words], even_known)
    return [(row["typed"], row["word"], row["frequency"]) for row in rows]


async def labels(conn: Connection, genres: Sequence[int], tags: Sequence[int]) -> dict[str, dict[int, str]]:
    """The names of these genres and tags, by facet."""
    found: dict[str, dict[int, str]] = {"genres": {}, "tags": {}}
    for row in await QUERIES.labels.fetch(conn, list(genres), list(tags)):
        found[row["facet"]][row["id"]] = row["name"]
    return found


async def found(conn: Connection, release_ids: Sequence[int]) -> list[str]:
    """The JSON of the visible ones of these releases, in this order."""
    return [row["release"] for row in await QUERIES.found.fetch(conn, list(release_ids))]


async def suggested(conn: Connection, release_ids: Sequence[int]) -> list[str]:
    """The documents (JSON) of the visible ones of these releases, in this order."""
    return [row["document"] for row in await QUERIES.suggested.fetch(conn, list(release_ids))]


async def plainly(conn: Connection, text: str, most: int) -> list[int]:
    """Ids of releases with a name that contains the text, the most popular first."""
    pattern = "%" + text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    return [row["id"] for row in await QUERIES.plainly.fetch(conn, pattern, most)]


def compose_plain(sort: str) -> str:
    """Of the ids in $1 those rated from $2 to $3, as it is shown, in the order of a column; or in that of the ids."""
    column = SORTS.get(sort.removeprefix("-"))
    order = "wanted.position"
    if column is not None:
        direction = "desc nulls last" if sort.startswith("-") else "asc nulls first"
        order = f"{column.expression} {direction}, r.id {direction}"
    return f"""
        select r.id
        from unnest($1::bigint[]) with ordinality as wanted (id, position)
        join releases r on r.id = wanted.id and r.visible
        left join popularity_metrics m on m.release_id = r.id
        left join lateral (
            select round(m.average_rating::numeric, 2)::float8 as average where m.rating_count > 0
        ) rated on true
        where ($2::float8 is null or rated.average >= $2) and ($3::float8 is null or rated.average <= $3)
        order by {order}
    """  # noqa: S608 - composed from the fragments of SORTS


async def sort_plainly(
    conn: Connection, ids: Sequence[int], sort: str, least: float | None, most: float | None
) -> list[int]:
    """Those of these ids whose average rating is in the range, in any order that a search may have."""
    query = Query("search_sort_plainly", compose_plain(sort))
    return [row["id"] for row in await query.fetch(conn, list(ids), least, most)]


def compose_sorted(sort: str, *, walking: bool) -> str:
    """Slots in the order of a column of releases: of the ids in $1, or of all that are visible; a page of them."""
    order = SORTS[sort.removeprefix("-")]
    direction = "desc" if sort.startswith("-") else "asc"
    source = "releases r where r.visible" if walking else "releases r where r.visible and r.id = any ($1::bigint[])"
    bounds = "limit $1 offset $2" if walking else "limit $2 offset $3"
    return f"""
        select coalesce(string_agg(int4send(d.slot), '' order by page.key {direction}, page.id {direction}), '')
        from (
            select r.id, {order.expression} as key from {source} order by key {direction}, id {direction} {bounds}
        ) page
        join search_documents d on d.release_id = page.id
    """  # noqa: S608 - composed from the fragments of SORTS


async def sort_some(conn: Connection, ids: Sequence[int], sort: str, limit: int, offset: int) -> array[int]:
    """A page of these releases in an order of `updated` or `title`."""
    query = Query("search_sort", compose_sorted(sort, walking=False))
    return slots_of(await query.fetchval(conn, ids, limit, offset))


async def walk(conn: Connection, sort: str, limit: int, offset: int) -> array[int]:
    """A page of all releases in an order of `updated` or `title`."""
    return slots_of(await Query("search_walk", compose_sorted(sort, walking=True)).fetchval(conn, limit, offset))
