"""Trends: the incremental pass over the rollups, and the reads of what it left.

A window (24 hours, 7 days, 30 days) keeps two sums per release: views, and views times hour. With linear decay a view
of age a weighs 1 - a/W, so a score is a linear function of the two sums and of now, exact at any moment without
touching a row. A pass adds the hours that changed, subtracts those that left, and reads off the top.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from server.events import PERIOD_HOURS, PERIODS, Period, Trend
from sql.query import Connection, Query, load

QUERIES = load("trends")
TOP = 1000
# A first pass reads a month of rollups; the driver must not give up before the server does (seconds).
PATIENCE = 300.0
# A release is visited by the round at least once a day when a pass runs each minute, but never more than this a pass.
SLICE = 150
# How many of the most popular releases are looked through for those of a genre, where the top holds fewer than enough.
POPULAR, ENOUGH = 3_000, 100
# How many releases beyond the wanted ones are looked at, before the invisible ones drop out.
SPARE = 200
# After a longer pause a window is built anew: the hours that left it since may have been dropped.
LONGEST_PAUSE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class TopRelease:
    """A release and its views within a period."""

    release_id: int
    slug: str
    title: str
    views: int


@dataclass(frozen=True, slots=True)
class TopGenre:
    """A genre and the views of its releases within a period."""

    id: int
    name: str
    slug: str
    views: int


def left_before(now: datetime, period: Period) -> datetime:
    """The first hour still inside the window: a bucket leaves when its weight reaches zero."""
    edge = now - timedelta(hours=PERIOD_HOURS[period])
    return edge.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)


async def run_pass(conn: Connection, now: datetime) -> list[Trend] | None:
    """One pass at `now`; the new tops, or None while another session makes one. Call it in a transaction."""
    await QUERIES.prepare_pass.execute(conn)
    if not await QUERIES.lock_pass.fetchval(conn):
        return None
    await QUERIES.wait_for_rollup.execute(conn, timeout=PATIENCE)
    positions = {row["period"]: row["left_before"] for row in await QUERIES.positions.fetch(conn)}
    hours = [row["hour"] for row in await QUERIES.take_touched_hours.fetch(conn)]
    viewed, *gains = await _take_gains(conn, hours) if hours else ([], [], [])
    for period in PERIODS:
        await _move_window(conn, period, positions.get(period), left_before(now, period))
    trends = [await _read_top(conn, period, now) for period in PERIODS]
    month = trends[PERIODS.index("month")]
    ranked = [release_id for release_id, score in zip(month.release_ids, month.scores, strict=True) if score > 0]
    await QUERIES.write_numbers.execute(
        conn, viewed, ranked, float(PERIOD_HOURS["month"]), hour_of(now), SLICE, *gains, timeout=PATIENCE
    )
    return trends


async def _take_gains(conn: Connection, hours: Sequence[datetime]) -> tuple[list[int], list[int], list[int]]:
    """Releases, and how many views and viewers each of them gained in these hours."""
    days = sorted({hour.date() for hour in hours})
    (row,) = await QUERIES.take_gains.fetch(conn, hours, days, timeout=PATIENCE)
    return row["release_ids"], row["views"], row["viewers"]


def hour_of(moment: datetime) -> float:
    """Hours since 1970."""
    return moment.timestamp() / 3600


async def _move_window(conn: Connection, period: Period, old: datetime | None, new: datetime) -> None:
    if old == new:
        return
    if old is None or old > new or new - old > LONGEST_PAUSE:
        # Nothing there yet, or the clock went back, or nobody made passes for long.
        await QUERIES.clear_window.execute(conn, period, timeout=PATIENCE)
        await QUERIES.rebuild_window.execute(conn, period, new, timeout=PATIENCE)
    else:
        await QUERIES.let_go.execute(conn, period, old, new, timeout=PATIENCE)
        await QUERIES.forget_empty.execute(conn, period)
    await QUERIES.set_position.execute(conn, period, new)


async def _read_top(conn: Connection, period: Period, now: datetime) -> Trend:
    rows = await _visible_top(QUERIES.top, conn, period, float(PERIOD_HOURS[period]), hour_of(now), limit=TOP)
    ids = [row["release_id"] for row in rows]
    scores = [row["score"] for row in rows]
    if len(ids) < TOP:
        filling = await QUERIES.fill.fetch(conn, ids, TOP - len(ids))
        ids += [row["release_id"] for row in filling]
        scores += [0.0] * len(filling)
    await QUERIES.store_list.execute(conn, period, now, ids, scores)
    return Trend(period, now, ids, scores)


async def fallback_lists(conn: Connection, now: datetime) -> list[Trend]:
    """Tops for a server that has not made a pass yet: imported popularity, then the newest."""
    rows = await QUERIES.fill.fetch(conn, [], TOP)
    ids = [row["release_id"] for row in rows]
    return [Trend(period, now, ids, [0.0] * len(ids)) for period in PERIODS]


async def _visible_top(
    query: Query, conn: Connection, period: Period, *scale: float, limit: int
) -> list[asyncpg.Record]:
    rows = await query.fetch(conn, period, *scale, limit, limit + SPARE, timeout=PATIENCE)
    if len(rows) < limit:
        # Rarely so many of the best are invisible, or there are not so many: then all are looked at.
        rows = await query.fetch(conn, period, *scale, limit, None, timeout=PATIENCE)
    return rows


async def stored_lists(conn: Connection) -> list[Trend]:
    """The tops of the last pass of any process."""
    rows = await QUERIES.stored_lists.fetch(conn)
    return [Trend(row["period"], row["computed_at"], row["release_ids"], row["scores"]) for row in rows]


async def wal_position(conn: Connection) -> int | None:
    """Bytes of write-ahead log since the database was made, or None where the server does not tell."""
    try:
        position = await QUERIES.wal_position.fetchval(conn)
    except asyncpg.PostgresError:
        return None
    return None if position is None else int(position)


async def trending_page(conn: Connection, release_ids: Sequence[int]) -> list[str]:
    """The JSON of these releases in their order; what has become invisible is left out."""
    return [row["release"] for row in await QUERIES.trending_page.fetch(conn, list(release_ids))]


async def trending_of(
    conn: Connection, release_ids: Sequence[int], genres: Sequence[int], without: Sequence[int]
) -> list[int]:
    """What of a top carries these genres and none of the others; where that is little, behind it what is popular."""
    found = await QUERIES.trending_of.fetch(conn, list(release_ids), list(genres), list(without))
    top = [row["id"] for row in found]
    if len(top) >= ENOUGH:
        return top
    further = await QUERIES.popular_of.fetch(conn, list(genres), list(without), top, POPULAR, ENOUGH - len(top))
    return [*top, *(row["id"] for row in further)]


async def top_releases(conn: Connection, period: Period | None, limit: int) -> list[TopRelease]:
    """The most viewed releases of a period, or of all time."""
    if period is None:
        rows = await QUERIES.all_time_top.fetch(conn, limit)
    else:
        rows = await _visible_top(QUERIES.window_top, conn, period, limit=limit)
    return [TopRelease(*row) for row in rows]


async def top_genres(conn: Connection, period: Period | None, limit: int) -> list[TopGenre]:
    """The most viewed genres of a period, or of all time."""
    if period is None:
        rows = await QUERIES.all_time_genres.fetch(conn, limit)
    else:
        rows = await QUERIES.window_genres.fetch(conn, period, limit)
    return [TopGenre(*row) for row in rows]
