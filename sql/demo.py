"""The database's side of the demo: users, and days of views generated where they are stored."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime

from server.events import PERIOD_HOURS
from sql import trends
from sql.query import Connection, load

QUERIES = load("demo")
# A batch as a busy server commits them; a rollup takes whole batches.
BATCH_EVENTS = 5_000


@dataclass(frozen=True, slots=True)
class DayOfViews:
    """What to generate: views in each of the 24 hours of a UTC day, none later than `now`."""

    day: date
    hours: Sequence[int]
    now: datetime
    seed: int


@dataclass(frozen=True, slots=True)
class SignedIn:
    """User ids that watch, and their share of the views, 0 to 1."""

    user_ids: Sequence[int]
    share: float


async def insert_users(conn: Connection, usernames: Sequence[str], created: Sequence[datetime]) -> int:
    """Make the users that are not there yet; how many."""
    return await QUERIES.insert_users.execute(conn, usernames, created)


async def users_of(conn: Connection, username_keys: Sequence[str]) -> list[int]:
    """Ids of the users of these names, in ascending order."""
    return [row["id"] for row in await QUERIES.users_of.fetch(conn, username_keys)]


async def days_with_views(conn: Connection, days: Sequence[date]) -> set[date]:
    """Those of the days that hold views already."""
    return {row["day"] for row in await QUERIES.days_with_views.fetch(conn, days)}


@asynccontextmanager
async def audience(conn: Connection, releases: int, now: datetime) -> AsyncIterator[int]:
    """While it lasts, `fill_day` has a temporary table of what may be watched of the first `releases`; its length."""
    await QUERIES.drop_audience.execute(conn)
    await QUERIES.make_audience.execute(conn)
    try:
        watchable = await QUERIES.fill_releases.execute(conn, releases, now)
        await QUERIES.analyze_releases.execute(conn)
        yield watchable
    finally:
        if not conn.is_closed():
            await QUERIES.drop_audience.execute(conn)


async def prepare_fill(conn: Connection) -> None:
    """At the beginning of a transaction that fills days: memory for it, and nobody else rolls up or ranks meanwhile."""
    await QUERIES.prepare_fill.execute(conn)
    await QUERIES.lock_rollups.execute(conn)


async def insert_views(conn: Connection, day: DayOfViews, viewers: SignedIn) -> list[int]:
    """Insert the views of a day that has none, within `audience`; their batches, which `roll_up_days` waits for."""
    rows = await QUERIES.insert_views.fetch(
        conn, day.day, day.seed, day.hours, day.now, viewers.user_ids, viewers.share, BATCH_EVENTS
    )
    return [row["seq"] for row in rows]


async def roll_up_days(conn: Connection, batches: Sequence[int], first: date, last: date, viewers_from: date) -> None:
    """Take the batches of these days, which have no rollups yet, into the rollups and the totals.

    Who watched is kept for days from `viewers_from` on.
    """
    await QUERIES.roll_up_days.execute(conn, batches, first, last, viewers_from)


async def rank(conn: Connection, now: datetime) -> None:
    """Bring trends and the scores of all releases to what the rollups say. Call it in a transaction."""
    await trends.run_pass(conn, now)
    await QUERIES.refresh_scores.execute(conn, float(PERIOD_HOURS["month"]), trends.hour_of(now))
