"""Filling a test's database: releases and episodes by plain SQL, views by the real functions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from actors.upkeep import keep_partitions, rules
from sql import views
from sql.views import BatchResult, ViewRow


async def seed_releases(conn: Any, count: int, *, popularity: int = 0, visible: bool = True) -> list[int]:
    """Insert that many releases with their metrics and documents; their ids."""
    rows = await conn.fetch(
        """insert into releases (slug, title, sort_title, is_published)
           select gen_random_uuid()::text, 'Release ' || n, 'release ' || n, $2 from generate_series(1, $1::integer) n
           returning id""",
        count,
        visible,
    )
    ids = [row["id"] for row in rows]
    await conn.execute(
        """insert into popularity_metrics (release_id, imported_popularity, popularity_score)
           select id, $2::integer, $2 / ($2 + 1e6)::float8 from unnest($1::bigint[]) id""",
        ids,
        popularity,
    )
    await conn.execute("select build_release_documents($1::bigint[])", ids)
    return ids


async def seed_episodes(conn: Any, release_ids: Sequence[int], each: int) -> dict[int, list[int]]:
    """Insert so many episodes for each release; their ids by release."""
    rows = await conn.fetch(
        """insert into episodes (release_id, ordinal)
           select id, n from unnest($1::bigint[]) id cross join generate_series(1, $2::integer) n
           returning release_id, id""",
        list(release_ids),
        each,
    )
    found: dict[int, list[int]] = {release_id: [] for release_id in release_ids}
    for row in rows:
        found[row["release_id"]].append(row["id"])
    return found


async def seed_partitions(conn: Any, today: date | None = None, retention: int = 180) -> None:
    """Make today's partitions as the upkeep does."""
    for rule in rules(retention):
        await keep_partitions(conn, rule, today or datetime.now(UTC).date())


async def seed_rollup_partitions(conn: Any, first: date, last: date) -> None:
    """Make room for hourly and daily rollups of these days."""
    await views.make_partitions(conn, "view_hours", "month", first, last)
    await views.make_partitions(conn, "view_days", "year", first, last)


def event(release_id: int, episode_id: int | None = None, **fields: Any) -> ViewRow:
    """One view; whatever is not given is ordinary."""
    given = {
        "event_id": uuid4(),
        "viewer": 1,
        "duration_seconds": 600,
        "completion_percentage": 50.0,
        "viewed_at": None,
        "reason": None,
    }
    return ViewRow(release_id=release_id, episode_id=episode_id, **(given | fields))  # type: ignore[arg-type]


async def commit(conn: Any, *rows: ViewRow, batch_id: UUID | None = None) -> BatchResult:
    """Commit them as one batch."""
    return await views.commit_batch(conn, batch_id or uuid4(), rows)


async def roll_up_all(conn: Any, most: int = 60_000) -> int:
    """Roll up until nothing waits; how many events there were."""
    total = 0
    while True:
        async with conn.transaction():
            done = await views.roll_up(conn, most)
        total += done.events
        if not done.events:
            return total


def hours_ago(hours: float, now: datetime | None = None) -> datetime:
    """A moment so long ago."""
    return (now or datetime.now(UTC)) - timedelta(hours=hours)
