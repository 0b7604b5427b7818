"""The database's side of the demo's libraries: what its users keep, have watched, follow and did."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sql import user_stats
from sql.query import Connection, load

QUERIES = load("demo_library")


async def without_library(conn: Connection, username_keys: Sequence[str]) -> list[tuple[int, int]]:
    """Ids of those of the users who keep nothing yet, each with its place among the names, from 1."""
    return [(row["user_id"], row["number"]) for row in await QUERIES.without_library.fetch(conn, username_keys)]


async def fill(conn: Connection, people: Sequence[tuple[int, int]], seed: int, now: datetime) -> int:
    """Fill the libraries of these people within `sql.demo.audience`; how many titles they keep. In a transaction."""
    await QUERIES.drop_picks.execute(conn)
    numbers = [user_id for user_id, _ in people], [number for _, number in people]
    picks = await QUERIES.make_picks.execute(conn, *numbers, seed, now)
    for query in (
        QUERIES.start_revisions,
        QUERIES.fill_entries,
        QUERIES.fill_progress,
        QUERIES.fill_subscriptions,
        QUERIES.fill_genre_subscriptions,
        QUERIES.fill_activity,
        QUERIES.fill_counts,
        QUERIES.fill_ratings,
        QUERIES.start_stats,
    ):
        await query.execute(conn)
    await QUERIES.fill_notifications.execute(conn, now)
    await QUERIES.drop_picks.execute(conn)
    user_ids = [user_id for user_id, _ in people]
    await user_stats.mend(conn, user_ids)
    await user_stats.refresh_genres(conn, user_ids)
    return picks
