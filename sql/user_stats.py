"""Statistics of users: counted up from what they do, read with what is still on its way, counted anew by a repair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sql.query import Connection, load

QUERIES = load("user_stats")
# What `delta` of a `library` or `community` event may change, by the names of the columns.
COUNTERS = (
    "episodes_watched", "watch_seconds", "favorites", "planned", "watching", "completed", "postponed", "dropped",
    "ratings", "rating_sum", "comments", "reviews",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stats:
    """Whether everybody may see them, and the statistics as JSON."""

    is_public: bool
    stats: str


@dataclass(frozen=True, slots=True)
class Difference:
    """A counter that was not what the tables say."""

    user_id: int
    name: str
    stored: int
    expected: int


async def apply(conn: Connection, changes: Sequence[Mapping[str, Any]]) -> None:
    """Add changes of counters, one mapping a user: `user_id`, `at` (when it happened) and every counter's change."""
    await QUERIES.apply.execute(conn, list(changes))


async def refresh_genres(conn: Connection, user_ids: Sequence[int], *, settled_only: bool = False) -> list[int]:
    """Work out anew which genres these users like; whose list became another one.

    `settled_only` leaves out whoever did something that is not counted yet.
    """
    rows = await QUERIES.refresh_genres.fetch(conn, list(user_ids), settled_only)
    return sorted(row["user_id"] for row in rows)


async def get(conn: Connection, user_id: int) -> Stats | None:
    """The statistics of a user as of now; None if there is no such user."""
    row = await QUERIES.get_stats.fetchrow(conn, user_id)
    return None if row is None else Stats(*row)


async def user_ids(conn: Connection, after: int, limit: int) -> list[int]:
    """The next accounts by id."""
    return [row["id"] for row in await QUERIES.user_ids.fetch(conn, after, limit)]


async def mend(conn: Connection, user_ids: Sequence[int]) -> list[Difference]:
    """Count these users' statistics anew and put right what differs; what differed.

    Call it in a transaction that keeps one snapshot: another's change meanwhile must fail it.
    """
    return [Difference(*row) for row in await QUERIES.mend.fetch(conn, list(user_ids))]
