"""The pass: windows, scores, lists, totals and ranks equal a direct computation over the hourly rollups."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from server.database import connect
from server.events import PERIOD_HOURS, PERIODS, Trend
from sql import trends
from tests.seeding import commit, event, hours_ago, roll_up_all, seed_partitions, seed_releases, seed_rollup_partitions

START = datetime(2026, 3, 10, 7, 12, 30, tzinfo=UTC)


async def run(conn: Any, now: datetime) -> dict[str, Trend]:
    async with conn.transaction():
        found = await trends.run_pass(conn, now)
    assert found is not None
    return {trend.period: trend for trend in found}


async def add_views(conn: Any, hour: datetime, release_id: int, count: int, viewers: int) -> None:
    """What a rollup does to the tables that a pass reads."""
    hour = hour.replace(minute=0, second=0, microsecond=0)
    await conn.execute(
        """insert into view_hours as v
               (hour, release_id, episode_id, views, unique_viewers, watch_seconds, completion_sum)
           values ($1, $2, 0, $3, $4, 0, 0)
           on conflict (episode_id, hour, release_id) do update set views = v.views + excluded.views""",
        hour, release_id, count, viewers,
    )  # fmt: skip
    await conn.execute(
        """insert into view_days as v
               (day, release_id, episode_id, views, unique_viewers, watch_seconds, completion_sum)
           values ($1, $2, 0, $3, $4, 0, 0)
           on conflict (episode_id, day, release_id) do update set
               views = v.views + excluded.views, unique_viewers = v.unique_viewers + excluded.unique_viewers""",
        hour.date(), release_id, count, viewers,
    )  # fmt: skip
    await conn.execute("insert into trend_touched values ($1) on conflict do nothing", hour)


async def direct_scores(conn: Any, now: datetime) -> dict[str, dict[int, float]]:
    """Σ v · max(0, 1 - (now - hour) / W) of every release and period, from the rollups alone."""
    scores: dict[str, dict[int, float]] = {period: defaultdict(float) for period in PERIODS}
    for row in await conn.fetch("select hour, release_id, views from view_hours where episode_id = 0"):
        age = (now - row["hour"]).total_seconds() / 3600
        for period in PERIODS:
            scores[period][row["release_id"]] += row["views"] * max(0.0, 1 - age / PERIOD_HOURS[period])
    return scores


async def assert_pass_is_exact(conn: Any, now: datetime) -> None:
    found = await run(conn, now)
    direct = await direct_scores(conn, now)
    metrics = {row["release_id"]: row for row in await conn.fetch("select * from popularity_metrics")}
    visible = {row["id"] for row in await conn.fetch("select id from releases where visible")}
    for period in PERIODS:
        trend = found[period]
        scored = [(i, s) for i, s in zip(trend.release_ids, trend.scores, strict=True) if s > 0]
        expected = {i: s for i, s in direct[period].items() if s > 1e-9 and i in visible}
        assert {i for i, s in scored if s > 1e-6} == {i for i, s in expected.items() if s > 1e-6}
        for release_id, score in scored:
            assert score == pytest.approx(expected.get(release_id, 0), rel=1e-6, abs=1e-6)
        assert [s for _, s in scored] == sorted((s for _, s in scored), reverse=True)
        assert set(trend.release_ids) == visible
        filling = trend.release_ids[len(scored) :]
        assert list(filling) == sorted(filling, key=lambda i: (-metrics[i]["imported_popularity"], -i))
    for place, release_id in enumerate(found["month"].release_ids, 1):
        scored_month = found["month"].scores[place - 1] > 0
        assert metrics[release_id]["rank"] == (place if scored_month else None)
    totals = "select release_id, sum({}) as total from {} where episode_id = 0 group by 1"
    for column, source in (
        ("total_views", ("views", "view_hours")),
        ("unique_viewers", ("unique_viewers", "view_days")),
    ):
        sums = {row["release_id"]: row["total"] for row in await conn.fetch(totals.format(*source))}
        assert {i: row[column] for i, row in metrics.items()} == {i: sums.get(i, 0) for i in metrics}


@pytest.mark.parametrize("seed", [1, 2])
async def test_passes_at_many_moments_equal_a_direct_computation(conn: Any, seed: int) -> None:
    chance = random.Random(seed)
    await seed_rollup_partitions(conn, START.date() - timedelta(days=60), START.date() + timedelta(days=330))
    releases = await seed_releases(conn, 25) + await seed_releases(conn, 3, popularity=5000)
    releases += await seed_releases(conn, 2, visible=False)
    now = START
    for turn in range(45):
        for _ in range(chance.choice([0, 1, 12])):
            hour = now - timedelta(hours=chance.choice([-0.05, 0, chance.uniform(0, 30), chance.uniform(0, 168)]))
            await add_views(conn, hour, chance.choice(releases), chance.randint(1, 40), chance.randint(0, 3))
        if turn % 9 == 5:
            # What a crash leaves of unlogged tables.
            await conn.execute("truncate trend_windows, trend_positions")
        if turn % 11 == 7:
            # Nobody made passes for long.
            now += timedelta(days=40)
        await assert_pass_is_exact(conn, now)
        steps = [
            timedelta(minutes=1),
            timedelta(minutes=50),
            timedelta(hours=5),
            timedelta(hours=30),
            timedelta(days=4),
        ]
        now += chance.choice([*steps, timedelta(hours=-3), timedelta(minutes=-10)])
    # On the hour itself, the edge of every window.
    await assert_pass_is_exact(conn, now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=2))


async def test_hours_whose_partitions_are_gone_leave_the_windows_too(conn: Any) -> None:
    await seed_rollup_partitions(conn, START.date(), START.date() + timedelta(days=130))
    (release,) = await seed_releases(conn, 1)
    await add_views(conn, START, release, 10, 1)
    await run(conn, START)
    await conn.execute("delete from view_hours")
    await run(conn, START + timedelta(days=100))
    assert await conn.fetchval("select count(*) from trend_windows") == 0


async def test_views_while_a_pass_has_its_turn_are_counted_by_the_next_and_nobody_waits_in_a_ring(
    conn: Any, dsn: str
) -> None:
    await seed_partitions(conn)
    releases = await seed_releases(conn, 30)
    now = datetime.now(UTC)
    for turn in range(4):
        rows = [
            event(random.choice(releases), viewer=n % 7, viewed_at=hours_ago(random.uniform(0, 100)))
            for n in range(300)
        ]
        await commit(conn, *rows)
        async with conn.transaction():
            await trends.run_pass(conn, now + timedelta(minutes=turn))
            assert await roll_up_beside(dsn) == 0
        assert await roll_up_beside(dsn) == 300
    await assert_pass_is_exact(conn, now + timedelta(minutes=5))


async def roll_up_beside(dsn: str) -> int:
    other = await connect(dsn)
    taken = await roll_up_all(other)
    await other.close()
    return taken


async def test_the_list_has_a_thousand_visible_releases_even_if_the_best_are_hidden(conn: Any) -> None:
    await seed_rollup_partitions(conn, START.date(), START.date())
    seen = await seed_releases(conn, 1005)
    hidden = await seed_releases(conn, 300, visible=False)
    unseen = await seed_releases(conn, 2, popularity=9_000_000)
    await conn.execute(
        """insert into view_hours (hour, release_id, episode_id, views, unique_viewers, watch_seconds, completion_sum)
           select $1, id, 0, 1 + (row_number() over (order by id)), 0, 0, 0 from unnest($2::bigint[]) id""",
        START.replace(minute=0, second=0), seen + hidden,
    )  # fmt: skip
    await conn.execute("insert into trend_touched values ($1)", START.replace(minute=0, second=0))
    found = await run(conn, START)
    assert list(found["week"].release_ids) == seen[:4:-1]
    assert [top.release_id for top in await trends.top_releases(conn, "week", 100)] == seen[:-101:-1]
    assert not set(unseen) & set(found["day"].release_ids)


async def test_below_the_viewed_ones_stand_the_popular_ones_then_the_newest(conn: Any) -> None:
    await seed_rollup_partitions(conn, START.date(), START.date())
    plain = await seed_releases(conn, 3)
    liked = [*await seed_releases(conn, 1, popularity=10), *await seed_releases(conn, 1, popularity=500_000)]
    await seed_releases(conn, 1, popularity=900_000, visible=False)
    await add_views(conn, START, plain[0], 1, 1)
    for trend in (await run(conn, START)).values():
        assert list(trend.release_ids) == [plain[0], liked[1], liked[0], plain[2], plain[1]]
        assert list(trend.scores)[1:] == [0.0] * 4


async def test_stored_scores_decay_within_a_round_and_only_rows_that_changed_are_written(
    conn: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trends, "SLICE", 4)
    monkeypatch.setattr(trends, "TOP", 2)
    await seed_rollup_partitions(conn, START.date(), START.date() + timedelta(days=40))
    releases = await seed_releases(conn, 20, popularity=1000)
    for number, release in enumerate(releases):
        await add_views(conn, START, release, 100 + number, 1)
    await run(conn, START)
    now = START + timedelta(days=10)
    for minute in range(6):
        await run(conn, now + timedelta(minutes=minute))
    direct = (await direct_scores(conn, now))["month"]
    for row in await conn.fetch("select release_id, popularity_score from popularity_metrics"):
        wanted = direct[row["release_id"]] + 1000 / (1000 + 1e6)
        assert row["popularity_score"] == pytest.approx(wanted, rel=0.006)
    written = "select release_id, xmin::text from popularity_metrics order by 1"
    before = await conn.fetch(written)
    windows = "select release_id, xmin::text from trend_windows order by period, 1"
    windows_before = await conn.fetch(windows)
    await run(conn, now + timedelta(minutes=7))
    assert await conn.fetch(written) == before
    assert await conn.fetch(windows) == windows_before
    # The first of the list: nobody's rank moves.
    await add_views(conn, now, releases[-1], 50, 2)
    await run(conn, now + timedelta(minutes=8))
    after = await conn.fetch(written)
    assert [row["release_id"] for row, old in zip(after, before, strict=True) if row != old] == releases[-1:]


async def test_a_second_session_leaves_the_pass_to_the_first(conn: Any, dsn: str) -> None:
    other = await connect(dsn)
    async with conn.transaction():
        assert await trends.run_pass(conn, START) is not None
        async with other.transaction():
            assert await trends.run_pass(other, START) is None
    await other.close()
