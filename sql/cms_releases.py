"""What the CMS asks and writes of releases beyond what imports do (`sql.imports`)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sql.query import Connection, load

QUERIES = load("cms_releases")


class Slugged(NamedTuple):
    """A release and its slug, which only one that is not deleted keeps others from."""

    id: int
    slug: str
    deleted: bool


class Kept(NamedTuple):
    """Words of a release that were deleted, and come back with it when they are restored."""

    id: int
    genres: list[int]
    tags: list[int]


class State(NamedTuple):
    """What is said of a release's state: `published` None says nothing, `dated` that a moment, or none, was named."""

    id: int
    published: bool | None
    dated: bool
    publish_at: datetime | None


@dataclass(frozen=True, slots=True)
class Turned:
    """A release in another state: whether the public saw it, whether it does, whether followers had heard of it."""

    id: int
    was_visible: bool
    visible: bool
    announced: bool


async def find(conn: Connection, ids: Iterable[int], slugs: Iterable[str]) -> list[Slugged]:
    """These releases, and the living ones with these slugs."""
    rows = await QUERIES.find_releases.fetch(conn, list(ids), list(slugs))
    return [Slugged(row["id"], row["slug"], row["deleted"]) for row in rows]


async def forgotten_words(
    conn: Connection, genres: Iterable[str], tags: Iterable[str], franchises: Iterable[str]
) -> dict[tuple[str, str], int]:
    """Those of the keys that only deleted words bear: by (noun, key) the word to restore."""
    rows = await QUERIES.forgotten_words.fetch(conn, list(genres), list(tags), list(franchises))
    return {(row["noun"], row["key"]): row["id"] for row in rows}


async def hidden_words(conn: Connection, ids: Sequence[int]) -> list[Kept]:
    """Words of these releases that were deleted, where there are any."""
    return [one for row in await QUERIES.hidden_words.fetch(conn, ids) if (one := Kept(*row)).genres or one.tags]


async def keep_words(conn: Connection, kept: Iterable[Kept]) -> None:
    """Give releases these words beside those they have."""
    await QUERIES.keep_words.execute(conn, [one._asdict() for one in kept])


async def set_states(conn: Connection, states: Sequence[State]) -> list[Turned]:
    """Bring releases into these states; those that were in others."""
    columns = [list(column) for column in zip(*states, strict=True)]
    return [Turned(*row) for row in await QUERIES.set_states.fetch(conn, *columns)]


async def delete(conn: Connection, ids: Sequence[int]) -> set[int]:
    """Mark them as deleted; those that were not."""
    return {row["id"] for row in await QUERIES.delete_releases.fetch(conn, ids)}


async def restore(conn: Connection, ids: Sequence[int]) -> set[int]:
    """Take the mark away; those that had it."""
    return {row["id"] for row in await QUERIES.restore_releases.fetch(conn, ids)}


async def documents(conn: Connection, ids: Sequence[int], *, deleted: bool) -> dict[int, bytes]:
    """The JSON that editors see, by id; with the deleted ones or without."""
    return {row["id"]: row["document"].encode() for row in await QUERIES.release_documents.fetch(conn, ids, deleted)}
