"""Lists people bring along: which release a row means, and the rows that mean none yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sql.query import Connection, load

QUERIES = load("list_imports")


@dataclass(frozen=True, slots=True)
class Unmatched:
    """A row for which there is no release; `entry` is {collection, score, watched_episodes}."""

    external_id: str
    title: str
    entry: Mapping[str, Any]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class EpisodeOf:
    """An episode and how long it is, 0 if nobody knows."""

    release_id: int
    episode_id: int
    duration_seconds: int


async def match(conn: Connection, source: str, external_ids: Sequence[str]) -> dict[str, int]:
    """Release ids by external id, of those there are."""
    rows = await QUERIES.match.fetch(conn, source, external_ids)
    return {row["external_id"]: row["release_id"] for row in rows}


async def unseen_episodes(conn: Connection, user_id: int, wanted: Mapping[int, int]) -> list[EpisodeOf]:
    """Of the first so many episodes of each release, by their ordinals, those the user has not seen to their end."""
    rows = await QUERIES.unseen_episodes.fetch(conn, list(wanted), list(wanted.values()), user_id)
    return [EpisodeOf(*row) for row in rows]


async def keep_unmatched(conn: Connection, user_id: int, source: str, rows: Sequence[Unmatched]) -> None:
    """Keep the rows for the day their release appears; a row kept before is replaced."""
    await QUERIES.keep_unmatched.execute(
        conn,
        user_id,
        source,
        [row.external_id for row in rows],
        [row.title for row in rows],
        [dict(row.entry) for row in rows],
        [row.reason for row in rows],
    )


async def count_unmatched(conn: Connection, user_id: int) -> int:
    """How many rows are kept for a user."""
    return int(await QUERIES.count_unmatched.fetchval(conn, user_id))


async def list_unmatched(conn: Connection, user_id: int, limit: int, offset: int) -> list[str]:
    """Kept rows as JSON, by source and id."""
    return [row[0] for row in await QUERIES.list_unmatched.fetch(conn, user_id, limit, offset)]


async def matchable(conn: Connection, user_id: int, source: str, limit: int) -> list[Unmatched]:
    """Kept rows that have a release by now, at most `limit`."""
    return [Unmatched(*row) for row in await QUERIES.matchable.fetch(conn, user_id, source, limit)]


async def forget_unmatched(conn: Connection, user_id: int, source: str, external_ids: Sequence[str]) -> None:
    """These rows have found their release, or the user said something else of it."""
    await QUERIES.forget_unmatched.execute(conn, user_id, source, external_ids)


async def queue_matches(conn: Connection, release_ids: Sequence[int]) -> int:
    """Queue `match_list` for everybody who kept a row for one of these releases; how many there were."""
    return await QUERIES.queue_matches.execute(conn, release_ids)


async def anybody_waits(conn: Connection) -> bool:
    """Whether any row is kept for anybody."""
    return bool(await QUERIES.anybody_waits.fetchval(conn))


async def find_owner(conn: Connection, username_key: str) -> int | None:
    """The id of the account of this name, or None."""
    found: int | None = await QUERIES.find_owner.fetchval(conn, username_key)
    return found


async def make_owner(conn: Connection, username: str, username_key: str) -> int:
    """The account of this name, made if it is not there."""
    return int(await QUERIES.make_owner.fetchval(conn, username, username_key))
