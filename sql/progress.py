"""How far a user has watched: by episode, by time, and what to go on with. `sql.library.write` changes it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sql.query import Connection, load

QUERIES = load("progress")
# Behind every row: where a history begins that is read from its start.
NEWEST = datetime(9999, 1, 1, tzinfo=UTC), 2**63 - 1


@dataclass(frozen=True, slots=True)
class Watched:
    """A row of the history: its JSON, and where it stands."""

    entry: str
    key: datetime
    id: int


async def page(
    conn: Connection, user_id: int, release_id: int | None, limit: int, offset: int
) -> tuple[int, list[str]]:
    """How many episodes have progress (of this release, or of all), and the JSON of a page, the latest first."""
    if release_id is None:
        rows = await QUERIES.page.fetch(conn, user_id, limit, offset)
        count = await QUERIES.count.fetchval(conn, user_id)
    else:
        rows = await QUERIES.page_of_release.fetch(conn, user_id, release_id, limit, offset)
        count = await QUERIES.count_of_release.fetchval(conn, user_id, release_id)
    return int(count), [row["progress"] for row in rows]


async def get(conn: Connection, user_id: int, episode_id: int) -> str | None:
    """The JSON of the progress on an episode; None if there is none."""
    found: str | None = await QUERIES.get.fetchval(conn, user_id, episode_id)
    return found


async def history(
    conn: Connection, user_id: int, limit: int, after: tuple[datetime, int] | None = None
) -> tuple[int, list[Watched]]:
    """How many episodes the history has, exactly, and the rows that come after this place."""
    rows = await QUERIES.history.fetch(conn, user_id, *(after or NEWEST), limit)
    return int(await QUERIES.count_history.fetchval(conn, user_id)), [Watched(*row) for row in rows]


async def continue_with(conn: Connection, user_id: int, limit: int) -> list[str]:
    """The JSON of what to go on with, one episode a release, the release watched last first."""
    return [row["entry"] for row in await QUERIES.continue_with.fetch(conn, user_id, limit)]
