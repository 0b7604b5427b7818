"""Episodes: of a release, one by itself, and by the time they air."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sql.query import Connection, load

QUERIES = load("episodes")


@dataclass(frozen=True, slots=True)
class Episode:
    """An episode: whose it is and its public JSON."""

    release_id: int
    episode: str


@dataclass(frozen=True, slots=True)
class Airing:
    """An episode with the time it airs and the release it belongs to (both as JSON)."""

    air_at: datetime
    release: str
    episode: str


async def of_release(conn: Connection, release_id: int, limit: int, offset: int) -> tuple[int, list[str]]:
    """How many episodes there are, and the JSON of a page of them by ordinal."""
    rows = await QUERIES.list_episodes.fetch(conn, release_id, limit, offset)
    return int(await QUERIES.count_episodes.fetchval(conn, release_id)), [row["episode"] for row in rows]


async def get(conn: Connection, episode_id: int) -> Episode | None:
    """An episode of a visible release."""
    row = await QUERIES.get_episode.fetchrow(conn, episode_id)
    return None if row is None else Episode(*row)


async def aired_between(conn: Connection, start: datetime, stop: datetime, most: int) -> list[Airing]:
    """Episodes that air from `start` to before `stop`, in that order, at most `most`."""
    return [Airing(*row) for row in await QUERIES.aired_between.fetch(conn, start, stop, most)]
