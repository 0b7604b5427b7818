"""What the CMS writes of episodes: places (a release and an ordinal), rows, the documents editors see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from sql.query import Connection, load

QUERIES = load("cms_episodes")


class Place(NamedTuple):
    """Where an episode stands. Only one that is not deleted may stand there."""

    release_id: int
    ordinal: Decimal


class Placed(NamedTuple):
    """An episode and its place."""

    id: int
    place: Place
    deleted: bool


# An episode that a statement changed: its release and its id, as events of the catalogue have it.
Pair = tuple[int, int]


async def new_ids(conn: Connection, count: int) -> list[int]:
    """Fresh ids."""
    return [row["id"] for row in await QUERIES.new_episode_ids.fetch(conn, count)]


async def places(conn: Connection, ids: Sequence[int], wanted: Sequence[Place]) -> list[Placed]:
    """These episodes, and the living ones in these places."""
    rows = await QUERIES.episode_places.fetch(
        conn, ids, [one.release_id for one in wanted], [one.ordinal for one in wanted]
    )
    return [Placed(row["id"], Place(row["release_id"], row["ordinal"]), row["deleted"]) for row in rows]


async def living_releases(conn: Connection, ids: Sequence[int]) -> dict[int, bool]:
    """Of these releases those that are not deleted, and whether the public sees them."""
    return {row["id"]: row["visible"] for row in await QUERIES.living_releases.fetch(conn, ids)}


async def insert(conn: Connection, rows: Sequence[Mapping[str, Any]]) -> list[Pair]:
    """Make episodes of JSON values: `id` and the fields of an episode as it is written."""
    return _pairs(await QUERIES.insert_episodes.fetch(conn, list(rows)))


async def vacate(conn: Connection, ids: Sequence[int]) -> None:
    """Take these out of their places until `update` puts them into others, in the same transaction."""
    await QUERIES.vacate_episodes.execute(conn, ids)


async def update(conn: Connection, rows: Sequence[Mapping[str, Any]]) -> list[Pair]:
    """Change the fields that are there in each of the JSON values; those that are other episodes now."""
    return _pairs(await QUERIES.update_episodes.fetch(conn, list(rows)))


async def delete(conn: Connection, ids: Sequence[int]) -> list[Pair]:
    """Mark them as deleted; those that were not."""
    return _pairs(await QUERIES.delete_episodes.fetch(conn, ids))


async def restore(conn: Connection, ids: Sequence[int]) -> list[Pair]:
    """Take the mark away; those that had it."""
    return _pairs(await QUERIES.restore_episodes.fetch(conn, ids))


async def documents(conn: Connection, ids: Sequence[int], *, deleted: bool) -> dict[int, str]:
    """The JSON that editors see, by id; with the deleted ones or without."""
    return {row["id"]: row["document"] for row in await QUERIES.episode_documents.fetch(conn, ids, deleted)}


def _pairs(rows: Sequence[Any]) -> list[Pair]:
    return sorted((row["release_id"], row["id"]) for row in rows)
