"""The numbers of releases have several writers, who take the rows in the order of their ids: none waits in a ring."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import pytest

from server.database import connect
from sql import imports, recount, release_counts, trends
from tests.elastic_server import until
from tests.seeding import hours_ago, seed_releases, seed_rollup_partitions

Prepare = Callable[[Any, list[int]], Awaitable[None]]
Write = Callable[[Any, list[int]], Awaitable[object]]


@pytest.fixture
async def others(dsn: str) -> AsyncIterator[list[Any]]:
    """Three connections more."""
    async with AsyncExitStack() as stack:
        found = []
        for _ in range(3):
            found.append(await connect(dsn))
            stack.push_async_callback(found[-1].close)
        yield found


async def stage(conn: Any, ids: list[int]) -> None:
    """What an import says of them, the last release first."""
    staged = dict.fromkeys(imports.COLUMNS["import_releases"]) | {"said": imports.POPULARITY, "replaces": False}
    rows = [tuple((staged | {"release_id": one, "popularity": 7}).values()) for one in reversed(ids)]
    await imports.copy(conn, "import_releases", rows)


async def import_popularity(conn: Any, _: list[int]) -> object:
    return await imports.merge_staged(conn, imports.POPULARITY)


async def view(conn: Any, ids: list[int]) -> None:
    """Views of the last one, which no pass has taken up; of the first the score is to fade."""
    hour = hours_ago(1).replace(minute=0, second=0, microsecond=0)
    await seed_rollup_partitions(conn, hour.date(), hour.date())
    await conn.execute(
        """insert into view_hours (hour, release_id, episode_id, views, unique_viewers, watch_seconds, completion_sum)
           values ($1, $2, 0, 3, 2, 0, 0)""",
        hour, ids[-1],
    )  # fmt: skip
    await conn.execute("insert into trend_touched values ($1)", hour)
    await conn.execute("update popularity_metrics set popularity_score = 5 where release_id = $1", ids[0])


async def pass_over_trends(conn: Any, _: list[int]) -> object:
    return await trends.run_pass(conn, datetime.now(UTC))


async def miscount(conn: Any, ids: list[int]) -> None:
    """Totals that no views stand behind, in a table that is read as it lies."""
    await conn.execute("set enable_indexscan = off; set enable_bitmapscan = off; set enable_nestloop = off")
    for one in reversed(ids):
        await conn.execute("update popularity_metrics set total_views = 5 where release_id = $1", one)


@pytest.mark.parametrize(
    ("prepare", "write", "becomes"),
    [
        (stage, import_popularity, [(7, 0), (7, 0)]),
        (view, pass_over_trends, [(0, 0), (0, 3)]),
        (miscount, recount.mend_views, [(0, 0), (0, 0)]),
    ],
    ids=["import", "trends", "repair"],
)
async def test_no_writer_waits_in_a_ring_with_new_ratings(
    conn: Any, others: list[Any], prepare: Prepare, write: Write, becomes: list[tuple[int, int]]
) -> None:
    low, high = ids = await seed_releases(conn, 2)
    # The last one first in the table, too: what reads it from end to end meets it first.
    await conn.execute("update popularity_metrics set total_views = 0 where release_id = $1", low)
    await prepare(conn, ids)
    holder, rating, observer = others
    processes = [await one.fetchval("select pg_backend_pid()") for one in (rating, conn)]

    async def waits(process: int) -> bool:
        return bool(await observer.fetchval("select cardinality(pg_blocking_pids($1))", process))

    async def rate() -> None:
        async with rating.transaction():
            await release_counts.apply(rating, [(low, 0, 1, 8), (high, 0, 1, 8)])

    async def written() -> None:
        async with conn.transaction():
            await write(conn, ids)

    async with asyncio.TaskGroup() as tasks, holder.transaction():
        await holder.execute("select from popularity_metrics where release_id = $1 for update", low)
        # The rating is the first in the queue for the first row, then somebody who must not have the second by now.
        tasks.create_task(rate())
        await until(lambda: waits(processes[0]))
        tasks.create_task(written())
        await until(lambda: waits(processes[1]))
    rows = await conn.fetch(
        "select rating_count, imported_popularity, total_views from popularity_metrics order by release_id"
    )
    assert [tuple(row) for row in rows] == [(1, *both) for both in becomes]
