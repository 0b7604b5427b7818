"""The gauges for operators: exact on a small site, cheap on a large one, and never counted by a scrape."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from typing import Any

import pytest

from actors.gauges import Gauges
from server.database import Database
from server.events import OperatorGauges
from sql import gauges
from tests.http_fixture import ON_18, queries_seen
from tests.running import Running
from tests.seeding import seed_episodes, seed_partitions, seed_releases

MANY = 30_000


async def seed_users(conn: Any, count: int) -> list[int]:
    rows = await conn.fetch(
        """insert into users (username, username_key)
           select 'u' || n, 'u' || n from generate_series(1, $1::integer) n returning id""",
        count,
    )
    return [row["id"] for row in rows]


async def seed_views(conn: Any, count: int) -> None:
    await seed_partitions(conn)
    await conn.execute(
        """insert into view_metrics
           select current_date + n % 3, n, gen_random_uuid(), 1, null, n, 60, 50, now()
           from generate_series(1, $1::integer) n""",
        count,
    )


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


async def test_a_small_site_is_counted_exactly(conn: Any) -> None:
    one, two = await seed_releases(conn, 2)
    await seed_releases(conn, 3, visible=False)
    await seed_episodes(conn, [one, two], 3)
    await conn.execute("update episodes set deleted_at = now() where release_id = $1 and ordinal = 3", two)
    users = await seed_users(conn, 4)
    await conn.execute(
        """insert into user_presence values ($1, now()), ($2, now() - interval '23 hours'),
                                            ($3, now() - interval '25 hours')""",
        *users[:3],
    )
    await conn.execute(
        """insert into subscriptions (user_id, subscription_type, target_id, deleted_at)
           values ($1, 'release', $2, null), ($1, 'release', $3, now()), ($4, 'release', $2, null)""",
        users[0], one, two, users[1],
    )  # fmt: skip
    await seed_views(conn, 7)
    await conn.execute(
        """insert into comments (release_id, user_id, text, created_at, queued_at, deleted_at)
           values ($1, $2, 'a', now(), now(), null), ($1, $2, 'b', now(), null, null),
                  ($1, $2, 'c', now(), now(), now())""",
        one, users[0],
    )  # fmt: skip
    await conn.execute(
        """insert into reviews (release_id, user_id, rating, text, created_at, queued_at)
           values ($1, $2, 3, 'a', now(), now())""",
        one, users[0],
    )  # fmt: skip
    assert await gauges.count_all(conn) == gauges.Totals(
        users=4, active_users=2, releases=2, episodes=5, views=7, subscriptions=2, waiting=2
    )
    await conn.execute("analyze")
    assert (await gauges.count_all(conn)).views == 7


async def test_a_large_site_is_estimated_without_reading_its_tables(conn: Any) -> None:
    await seed_users(conn, MANY)
    await conn.execute("insert into user_presence select id, now() - id * interval '1 minute' from users")
    releases = await seed_releases(conn, 100)
    await seed_episodes(conn, releases, MANY // 100)
    await seed_views(conn, MANY)
    await conn.execute(
        "insert into subscriptions (user_id, subscription_type, target_id) select id, 'release', 1 from users"
    )
    await conn.execute("vacuum analyze")
    found = await gauges.count_all(conn)
    for count in (found.users, found.episodes, found.views, found.subscriptions):
        assert count == pytest.approx(MANY, rel=0.05)
    assert 1435 <= found.active_users <= 1441
    plan = await conn.fetchval(f"explain (analyze, format json) {gauges.QUERIES.count_all.text}", gauges.FEW)
    whole = list(nodes(plan[0]["Plan"]))
    read = {
        node["Relation Name"]: node["Actual Rows"] * node["Actual Loops"] for node in whole if "Relation Name" in node
    }
    assert {"users", "episodes", "subscriptions", "user_presence"} <= read.keys()
    assert all(rows <= 1 for name, rows in read.items() if name not in ("user_presence", "pg_inherits", "pg_class"))
    assert "user_presence_by_time" in {node.get("Index Name") for node in whole}
    # Nor where nobody has analyzed yet: then so many are read, and not one more.
    await conn.execute("update pg_class set reltuples = -1 where relname in ('users', 'subscriptions_active')")
    assert (await gauges.count_all(conn)).users == gauges.FEW


@ON_18
async def test_a_scrape_shows_the_gauges_and_counts_nothing(server_running: Running) -> None:
    async def scrape() -> dict[str, str]:
        async with server_running.client.get("/metrics") as answer:
            lines = (await answer.text()).splitlines()
        return dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))  # type: ignore[misc]

    async with asyncio.timeout(10):
        while "yojohan_users" not in (samples := await scrape()):  # noqa: ASYNC110 - another text a second
            await asyncio.sleep(0.05)
    names = ("users", "users_active_24h", "releases", "episodes", "views", "subscriptions", "moderation_waiting")
    assert {samples[f"yojohan_{name}"] for name in names} == {"0.0"}
    assert [f'yojohan_load_average{{minutes="{minutes}"}}' in samples for minutes in (1, 5, 15)] == [True] * 3
    assert 0 < float(samples["yojohan_uptime_seconds"]) < 60
    with queries_seen() as queries:
        await scrape()
    assert "count_all" not in queries


async def test_without_a_database_the_counts_stay_and_the_machine_is_still_watched(tmp_path: Any) -> None:
    shown = OperatorGauges(counts={"users": 7})
    database = Database(f"postgresql://nobody@/nowhere?host={tmp_path}")
    await database.open()
    await Gauges(database, shown).on_tick()
    await database.close()
    assert shown.counts == {"users": 7}
    assert shown.uptime > 0
    assert shown.load == pytest.approx(os.getloadavg(), abs=1)
