"""What feeds show: the newest releases, of all or of a genre."""

from __future__ import annotations

from dataclasses import dataclass

from server.rules.atom import Entry
from sql.query import Connection, load

QUERIES = load("feeds")


@dataclass(frozen=True, slots=True)
class Genre:
    """A genre that has a feed."""

    id: int
    slug: str
    name: str


async def genre(conn: Connection, slug: str) -> Genre | None:
    """The genre of this slug."""
    row = await QUERIES.feed_genre.fetchrow(conn, slug)
    return Genre(*row) if row is not None else None


async def newest(conn: Connection, most: int, genre_id: int | None = None) -> list[Entry]:
    """The newest releases there are to see, of a genre if one is given."""
    if genre_id is None:
        rows = await QUERIES.newest_releases.fetch(conn, most)
    else:
        rows = await QUERIES.newest_releases_of_genre.fetch(conn, most, genre_id)
    return [Entry(*row) for row in rows]
