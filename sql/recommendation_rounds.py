"""The recommendations of a day: what is popular in each genre, who is next, and which release is new to them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from sql.notifications import Personal, enqueue_personal
from sql.query import Connection, load

QUERIES = load("recommendation_rounds")
# How far down the popular releases are looked through, and how many of them each genre has.
MOST_POPULAR = 20_000
EACH_GENRE = 50
# Users of a slice, and rows that are read to find them: most of those who ever came may have stayed away.
SLICE = 250
LOOKED_THROUGH = 5_000


@dataclass(frozen=True, slots=True)
class Tops:
    """The popular releases of every genre, as three columns of one table."""

    genre_ids: list[int] = field(default_factory=list)
    release_ids: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Slice:
    """What became of a slice: users looked at, releases recommended, and whether the day is done."""

    users: int
    recommended: int
    done: bool


async def tops(conn: Connection) -> Tops:
    """What is popular now."""
    found = Tops()
    for row in await QUERIES.tops.fetch(conn, MOST_POPULAR, EACH_GENRE):
        ids = row["release_ids"]
        found.genre_ids.extend([row["genre_id"]] * len(ids))
        found.release_ids.extend(ids)
        found.places.extend(range(1, len(ids) + 1))
    return found


async def is_open(conn: Connection, day: date) -> bool:
    """Whether there is anything left to do on that day; the day's first caller opens it."""
    await QUERIES.start_round.execute(conn, day)
    return bool(await QUERIES.is_open.fetchval(conn, day))


async def run_slice(conn: Connection, day: date, popular: Tops) -> Slice | None:
    """The next users, in the caller's transaction: with its commit they have been told, and the day has moved on.

    None if the day is done or another instance is at it.
    """
    after = await QUERIES.lock_round.fetchval(conn, day)
    if after is None:
        return None
    row = await QUERIES.next_users.fetchrow(conn, after, SLICE, LOOKED_THROUGH)
    if row is None or row["passed"] is None:
        await QUERIES.end_round.execute(conn, day)
        return Slice(0, 0, done=True)
    picked = await QUERIES.picks.fetch(conn, row["user_ids"], popular.genre_ids, popular.release_ids, popular.places)
    await enqueue_personal(
        conn,
        [
            Personal("recommendation", one["user_id"], "release", one["release_id"], one["release_id"],
                     {"genre_id": one["genre_id"]})
            for one in picked
        ],
    )  # fmt: skip
    await QUERIES.move_on.execute(conn, day, row["passed"])
    return Slice(len(row["user_ids"]), len(picked), done=False)
