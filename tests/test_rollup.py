"""The rollups hold exactly what a direct computation over the raw events gives, whatever happened on the way."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from actors.rollup import EVENTS_A_PASS, Rollup
from server.database import Database, connect
from server.errors import DatabaseUnavailable
from server.events import ViewCounters
from sql import views
from tests.seeding import commit, event, hours_ago, roll_up_all, seed_episodes, seed_partitions, seed_releases

LEVELS = """select 0::bigint as episode_id, release_id, viewer, duration_seconds, completion_percentage, viewed_at
            from view_metrics
            union all
            select episode_id, release_id, viewer, duration_seconds, completion_percentage, viewed_at
            from view_metrics where episode_id is not null"""
SUMS = """release_id, episode_id, count(*)::integer, count(distinct viewer)::integer, sum(duration_seconds)::bigint,
          round(sum(completion_percentage::double precision)::numeric, 6)"""
STORED = "release_id, episode_id, views, unique_viewers, watch_seconds, round(completion_sum::numeric, 6)"


async def assert_exact(conn: Any) -> int:
    """Both rollups equal the direct computation; how many rows they have."""
    hour, day = "date_trunc('hour', viewed_at, 'UTC')", "(viewed_at at time zone 'UTC')::date"
    total = 0
    for table, column, bucket in (("view_hours", "hour", hour), ("view_days", "day", day)):
        direct = await conn.fetch(f"select {bucket}, {SUMS} from ({LEVELS}) l group by 1, 2, 3 order by 1, 2, 3")
        found = await conn.fetch(f"select {column}, {STORED} from {table} order by 1, 2, 3")
        assert [tuple(row) for row in found] == [tuple(row) for row in direct]
        total += len(found)
    return total


def random_rows(chance: random.Random, releases: list[int], episodes: dict[int, list[int]], count: int) -> list[Any]:
    """Views of few things by few people over eight days, some just inside what is taken."""
    rows = []
    for _ in range(count):
        release = chance.choice(releases)
        episode = chance.choice([None, *episodes[release]])
        when = hours_ago(chance.choice([0, 0.01, chance.uniform(0, 48), chance.uniform(0, 7 * 24 - 0.1)]))
        rows.append(
            event(
                release,
                episode,
                viewer=chance.randint(-4, 12),
                duration_seconds=chance.choice([0, 1, 86_400, chance.randint(0, 3000)]),
                completion_percentage=chance.uniform(0, 100),
                viewed_at=chance.choice([when, when, None]),
            )
        )
    return rows


async def crashing_pass(dsn: str, chance: random.Random) -> None:
    """A rollup whose transaction goes away after a random number of its steps, or perhaps not."""
    conn = await connect(dsn)
    transaction = conn.transaction()
    await transaction.start()
    await views.roll_up(conn, chance.choice([1, 40, 1000]))
    fate = chance.random()
    if fate < 0.4:
        await transaction.rollback()
    elif fate < 0.7:
        # As when the process dies: nobody says goodbye.
        conn.terminate()
        return
    else:
        await transaction.commit()
    await conn.close()


@pytest.mark.parametrize("seed", [1, 2])
async def test_rollups_equal_a_direct_computation_after_random_batches_crashes_and_concurrent_passes(
    conn: Any, dsn: str, seed: int
) -> None:
    chance = random.Random(seed)
    await seed_partitions(conn)
    releases = await seed_releases(conn, 5)
    episodes = await seed_episodes(conn, releases, 2)
    for _ in range(6):
        rows = random_rows(chance, releases, episodes, 250)
        while rows:
            size = chance.choice([1, 3, 50, 120])
            await commit(conn, *rows[:size])
            rows = rows[size:]
        await asyncio.gather(*(crashing_pass(dsn, chance) for _ in range(chance.randint(1, 4))))
    await roll_up_all(conn, chance.choice([1, 100, 10_000]))
    assert await views.waiting_events(conn) == 0
    assert await assert_exact(conn) > 500


async def test_a_pass_that_is_cancelled_midway_leaves_nothing_and_the_next_takes_everything(
    conn: Any, dsn: str
) -> None:
    chance = random.Random(3)
    await seed_partitions(conn)
    releases = await seed_releases(conn, 20)
    episodes = await seed_episodes(conn, releases, 3)
    for _ in range(4):
        await commit(conn, *random_rows(chance, releases, episodes, 4000))
    cut = 0
    for milliseconds in (5, 20, 60, 120):
        other = await connect(dsn)
        try:
            async with other.transaction():
                task = asyncio.ensure_future(views.roll_up(other, 100_000))
                await asyncio.sleep(milliseconds / 1000)
                await conn.execute("select pg_terminate_backend($1, 5000)", other.get_server_pid())
                await task
        except (
            asyncpg.PostgresError,
            asyncpg.InterfaceError,
            asyncpg.InternalClientError,
            DatabaseUnavailable,
            OSError,
        ):
            cut += 1
        await other.close()
    assert cut >= 3
    assert await roll_up_all(conn) > 15_000
    await assert_exact(conn)


async def test_only_one_session_rolls_up_at_a_time_and_the_other_does_not_wait(conn: Any, dsn: str) -> None:
    await seed_partitions(conn)
    releases = await seed_releases(conn, 1)
    await commit(conn, event(*releases))
    other = await connect(dsn)
    async with conn.transaction():
        assert (await views.roll_up(conn, 10)).events == 1
        async with other.transaction():
            assert await views.roll_up(other, 10) == views.RollupPass(0, 0)
    async with other.transaction():
        assert (await views.roll_up(other, 10)).events == 0
    await other.close()


async def test_a_batch_that_commits_late_is_taken_although_later_ones_are_rolled_up(conn: Any, dsn: str) -> None:
    await seed_partitions(conn)
    releases = await seed_releases(conn, 1)
    other = await connect(dsn)
    transaction = other.transaction()
    await transaction.start()
    await commit(other, event(*releases))
    await commit(conn, event(*releases))
    assert await roll_up_all(conn) == 1
    await transaction.commit()
    await other.close()
    assert await roll_up_all(conn) == 1
    await assert_exact(conn)


async def test_views_rolled_up_only_days_after_their_receipt_are_exact(conn: Any) -> None:
    # The server was down for five days right after it took views that were seven days old.
    await seed_partitions(conn)
    releases = await seed_releases(conn, 2)
    oldest = hours_ago(7 * 24 - 0.05)
    await commit(conn, event(releases[0], viewed_at=oldest), event(releases[0]), event(releases[1], reason="seo"))
    later = datetime.now(UTC).date() + timedelta(days=5)
    await seed_partitions(conn, later, retention=1)
    assert await roll_up_all(conn) == 3
    await assert_exact(conn)
    # Once nothing waits their time is over.
    await seed_partitions(conn, later, retention=1)
    assert not await conn.fetchval("select to_regclass($1)", f"view_viewers_{oldest:%Y%m%d}")


async def test_the_actor_takes_pass_after_pass_until_little_is_left_and_counts(conn: Any, dsn: str) -> None:
    await seed_partitions(conn)
    releases = await seed_releases(conn, 3)
    for _ in range(3):
        await commit(conn, *(event(random.choice(releases), viewer=number % 50) for number in range(400)))
    # Two passes' worth as far as the pass can tell.
    await conn.execute("update view_batches set events = $1", EVENTS_A_PASS)
    database, counters = Database(dsn), ViewCounters()
    await database.open()
    await Rollup(database, counters).on_tick()
    await database.close()
    assert (counters.rollup_passes, counters.rolled_up) == (3, 3 * EVENTS_A_PASS)
    await assert_exact(conn)


async def test_a_batch_id_is_forgotten_after_four_days_once_it_is_rolled_up(conn: Any) -> None:
    await seed_partitions(conn)
    (release,) = await seed_releases(conn, 1)
    batches = [uuid4() for _ in range(3)]
    for batch_id in batches:
        await commit(conn, event(release), event(987654321), batch_id=batch_id)
    await conn.execute(
        "update view_batches set committed_at = now() - interval '5 days' where batch_id <> $1", batches[2]
    )
    await conn.execute("update view_batches set rolled_up = true where batch_id <> $1", batches[1])
    assert await views.trim_batches(conn, 10) == 1
    assert {row["batch_id"] for row in await conn.fetch("select batch_id from view_batches")} == set(batches[1:])
    assert await conn.fetchval("select count(*) from view_batch_outcomes") == 2
