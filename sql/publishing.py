"""Drafts whose time has come, by the clock of the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sql.query import Connection, load

QUERIES = load("publishing")


@dataclass(frozen=True, slots=True)
class Due:
    """A draft that is to be published: whether followers have heard of it before, and when it was meant to be."""

    id: int
    announced: bool
    publish_at: str


async def anything_due(conn: Connection) -> bool:
    """Whether there is one; a look at an index."""
    return bool(await QUERIES.anything_due.fetchval(conn))


async def lock_due(conn: Connection, most: int) -> list[Due]:
    """The ones that waited longest, locked to the end of the transaction; without those that somebody else has."""
    return [Due(*row) for row in await QUERIES.lock_due.fetch(conn, most)]


async def publish(conn: Connection, ids: Sequence[int]) -> None:
    """Let the public see them."""
    await QUERIES.publish.execute(conn, ids)
