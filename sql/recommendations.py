"""What recommendations are made from: neighbours and rows of the model, what somebody keeps, and what is popular."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from server.rules.recommending import Facts
from sql.query import Connection, load

QUERIES = load("recommendations")
# How deep the walk for the best rated goes, and how many people have to agree.
RATED_LOOKED_AT, RATED_BY = 1_000, 3
# Nobody has this id: a visitor is asked for as users are, and gets the plan that was made for all. Making one takes
# longer than what is planned.
VISITOR = 0
# How many of the most popular are looked at for a genre.
POPULAR_LOOKED_AT = 1_000


class Seed(NamedTuple):
    """A visible release, and what it is filed under."""

    id: int
    franchise_id: int | None
    genre_ids: list[int]
    tag_ids: list[int]


class Similar(NamedTuple):
    """A release to show; `place` (from 1) is that of its neighbour `near`, whose document is there if it is another.
    At least so many `users` finished or liked both; 0: few.

    Outside of the page there are no bodies. Place 0 is the release that the others are like; `users`: its neighbours.
    """

    id: int
    place: int
    near: int
    score: float
    users: int
    release: str | None
    near_document: str | None


class Frequency(NamedTuple):
    """How many releases carry a `genre` or a `tag`; of `all` how many there are."""

    kind: str
    word_id: int
    releases: int


class Candidate(NamedTuple):
    """A release that may be like another."""

    id: int
    franchise_id: int | None
    genre_ids: list[int]
    tag_ids: list[int]
    popularity: float


class Keeping(NamedTuple):
    """What somebody keeps of a release; `collection` 0: in none, `rating` 0: none; `barred`: its franchise, if they
    want no more of it."""

    release_id: int
    rating: int
    collection: int
    favorite: bool
    ignored: bool
    started: bool
    barred: int | None


class Speaking(NamedTuple):
    """What a release speaks for: its row of the model and its neighbours, None where there are none stored."""

    id: int
    others: list[int] | None
    weights: list[float] | None
    neighbours: list[int] | None
    scores: list[float] | None


class Known(NamedTuple):
    """What the choice asks: of releases, by their ids; and the parts of their franchises, in their order."""

    facts: Mapping[int, Facts]
    parts: Mapping[int, Sequence[int]]


class Shown(NamedTuple):
    """A release in words; `release` is its JSON where that was asked for."""

    id: int
    slug: str
    title: str
    genre_ids: list[int]
    tag_ids: list[int]
    release: str | None


class Pooled(NamedTuple):
    """A release of a pool (`top_rated`, `popular`, `newest`), and why it is there: `value` by so many `people`."""

    pool: str
    release_id: int
    value: float
    people: int


class Carrying(NamedTuple):
    """A popular release that shares a genre with a `wished` one, or carries genres that are `followed`."""

    id: int
    wished: int | None
    followed: list[int]


async def seed(conn: Connection, release_id: int) -> Seed | None:
    """The release, if it is visible."""
    row = await QUERIES.seed.fetchrow(conn, release_id)
    return None if row is None else Seed(*row)


async def similar_page(
    conn: Connection,
    release_id: int,
    viewer: int | None,
    limit: int,
    offset: int,
    near: tuple[Sequence[int], Sequence[float]] | None = None,
) -> list[Similar]:
    """The release, then all that is to be shown beside it to a visitor or to a `viewer`, with bodies where the page is:
    of its stored neighbours, or of those that are given with their scores. Nothing: there is no such release."""
    ids, scores = near or (None, None)
    found = await QUERIES.similar_page.fetch(conn, release_id, viewer or VISITOR, limit, offset, ids, scores)
    return [Similar(*row) for row in found]


async def frequencies(conn: Connection, genre_ids: Sequence[int], tag_ids: Sequence[int]) -> list[Frequency]:
    """How common these words are, as of the last count."""
    return [Frequency(*row) for row in await QUERIES.frequencies.fetch(conn, list(genre_ids), list(tag_ids))]


async def candidates(
    conn: Connection,
    release_id: int,
    franchise_id: int | None,
    genre_ids: Sequence[int],
    tag_ids: Sequence[int],
    most: int,
) -> list[Candidate]:
    """What may be like a release: of its franchise, with one of these rare words, or popular; `most` of each."""
    rows = await QUERIES.candidates.fetch(conn, release_id, franchise_id, list(genre_ids), list(tag_ids), most)
    return [Candidate(*row) for row in rows]


async def kept(conn: Connection, user_id: int) -> list[Keeping]:
    """All that somebody keeps or has begun, the latest first."""
    return [Keeping(*row) for row in await QUERIES.kept.fetch(conn, user_id)]


async def rows(conn: Connection, release_ids: Sequence[int], width: int) -> list[Speaking]:
    """What these releases speak for, the loudest `width` of each."""
    return [Speaking(*row) for row in await QUERIES.rows.fetch(conn, list(release_ids), width)]


async def facts(conn: Connection, release_ids: Sequence[int]) -> Known:
    """Facts of these releases, and the parts of their franchises; what is not visible is missing."""
    rows = await QUERIES.facts.fetch(conn, list(release_ids)) if release_ids else []
    parts = {franchise_id: parts for release_id, franchise_id, _, parts in rows if release_id is None}
    places = {one: place for franchise in parts.values() for place, one in enumerate(franchise)}
    of_releases = {
        release_id: Facts(franchise_id, places.get(release_id, 0), genre_ids)
        for release_id, franchise_id, genre_ids, _ in rows
        # Of what goes on for ever the last parts are not looked at.
        if release_id is not None and (franchise_id is None or release_id in places)
    }
    return Known(of_releases, parts)


async def shown(conn: Connection, release_ids: Sequence[int], mentioned: Sequence[int]) -> dict[int, Shown]:
    """These releases with their JSON, those that are only mentioned without; what is not visible is missing."""
    found = await QUERIES.shown.fetch(conn, list(release_ids), list(mentioned))
    return {row["id"]: Shown(*row) for row in found}


async def pools(conn: Connection, most: int) -> list[Pooled]:
    """What to show to somebody of whom nothing is known, at most so many of each kind."""
    return [Pooled(*row) for row in await QUERIES.pools.fetch(conn, most, RATED_LOOKED_AT, RATED_BY)]


async def followed_genres(conn: Connection, user_id: int) -> list[int]:
    """The genres that somebody follows."""
    return [row["target_id"] for row in await QUERIES.followed_genres.fetch(conn, user_id)]


async def carrying(conn: Connection, wished: Sequence[int], genre_ids: Sequence[int], most: int) -> list[Carrying]:
    """The most popular releases like what somebody plans to watch, or of genres that they follow."""
    found = await QUERIES.carrying.fetch(conn, list(wished), list(genre_ids), POPULAR_LOOKED_AT, most)
    return [Carrying(*row) for row in found]


async def new_viewers(conn: Connection, user_ids: Sequence[int]) -> list[int]:
    """Those of whom it has not been written down within a day that they looked at recommendations."""
    return [row["id"] for row in await QUERIES.new_viewers.fetch(conn, list(user_ids))]
