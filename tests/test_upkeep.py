"""Partitions are made ahead and dropped in time, and salts live as long as their day."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from actors.upkeep import AHEAD_DAYS, Upkeep, keep_partitions, rules
from server.database import Database, connect
from server.errors import Unavailable
from server.events import ViewerSalts
from sql import views
from tests.seeding import commit, event, seed_partitions, seed_releases

DAY = date(2026, 6, 28)
PARENTS = [rule.parent for rule in rules(180)]


async def partitions(conn: Any, parent: str) -> list[str]:
    rows = await conn.fetch(
        """select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
           where i.inhparent = $1::text::regclass""",
        parent,
    )
    return sorted(row["relname"].removeprefix(f"{parent}_") for row in rows)


def days(first: int, last: int, today: date = DAY) -> list[str]:
    return [f"{today + timedelta(days=n):%Y%m%d}" for n in range(first, last + 1)]


async def test_partitions_are_made_three_days_ahead_and_dropped_when_their_time_is_over(conn: Any) -> None:
    for step in range(0, 61, 3):
        await seed_partitions(conn, DAY + timedelta(days=step), retention=40)
    last = DAY + timedelta(days=60)
    assert await partitions(conn, "view_metrics") == days(-40, 3, last)
    assert await partitions(conn, "view_filtered") == days(-30, 3, last)
    assert await partitions(conn, "view_receipts") == days(-2, 3, last)
    assert await partitions(conn, "view_viewers") == days(-8, 3, last)
    assert await partitions(conn, "view_hours") == ["20260701", "20260801"]
    assert await partitions(conn, "view_days") == ["20260101"]
    await seed_partitions(conn, DAY + timedelta(days=8 * 365), retention=40)
    assert (await partitions(conn, "view_days"))[0] >= "2029"


async def test_two_processes_that_start_at_once_make_each_partition_once(conn: Any, dsn: str) -> None:
    connections = [await connect(dsn) for _ in range(3)]

    async def make(connection: Any) -> None:
        for rule in rules(180):
            async with connection.transaction():
                await keep_partitions(connection, rule, DAY)

    await asyncio.gather(*(make(connection) for connection in connections))
    for connection in connections:
        await connection.close()
    assert await partitions(conn, "view_receipts") == days(-2, AHEAD_DAYS)


async def test_making_partitions_does_not_wait_for_readers_and_writers_nor_they_for_it(conn: Any, dsn: str) -> None:
    await seed_partitions(conn)
    (release,) = await seed_releases(conn, 1)
    other = await connect(dsn, lock_timeout="300")
    async with conn.transaction():
        await commit(conn, event(release))
        async with other.transaction():
            for rule in rules(180):
                await views.make_partitions(
                    other, rule.parent, rule.step, DAY - timedelta(days=400), DAY - timedelta(days=399)
                )
            # The other way round: views go on while partitions are being made.
            assert (await commit(conn, event(release))).exceptions == {}
    await other.close()


async def test_views_are_taken_at_midnight_and_for_days_when_no_upkeep_runs(conn: Any, dsn: str) -> None:
    await seed_partitions(conn)
    (release,) = await seed_releases(conn, 1)
    today = datetime.now(UTC).date()
    for days_on in (1, 2, 3):
        later = await connect(dsn, timezone=f"<later>-{days_on * 24}:00")
        assert await later.fetchval("select current_date") == today + timedelta(days=days_on)
        assert (await commit(later, event(release))).exceptions == {}
        await later.close()
    rows = await conn.fetch("select received_on from view_metrics order by 1")
    assert [row["received_on"] for row in rows] == [today + timedelta(days=n) for n in (1, 2, 3)]


async def test_a_start_after_days_makes_what_is_missing_before_anything_else(conn: Any, dsn: str) -> None:
    today = datetime.now(UTC).date()
    await seed_partitions(conn, today - timedelta(days=5))
    await views.ensure_salt(conn, today - timedelta(days=5), b"old")
    database, salts = Database(dsn), ViewerSalts()
    await database.open()
    await Upkeep(database, salts, 180).on_start()
    await database.close()
    (release,) = await seed_releases(conn, 1)
    assert (await commit(conn, event(release))).exceptions == {}
    assert (await partitions(conn, "view_receipts")) == days(-2, 3, today)
    assert sorted(salts.by_day) == [today, today + timedelta(days=1)]
    assert [row["day"] for row in await conn.fetch("select day from viewer_salts order by 1")] == sorted(salts.by_day)


async def test_two_instances_have_one_salt_a_day_and_it_is_random_and_does_not_outlive_its_day(
    conn: Any, dsn: str
) -> None:
    database, one, two = Database(dsn), ViewerSalts(), ViewerSalts()
    await database.open()
    await asyncio.gather(Upkeep(database, one, 180).on_start(), Upkeep(database, two, 180).on_start())
    today = datetime.now(UTC).date()
    assert one.by_day == two.by_day
    assert len(set(one.by_day.values())) == 2
    assert all(len(salt) == 32 for salt in one.by_day.values())
    # As if the salts had been made two days ago.
    await conn.execute("update viewer_salts set day = day - 2")
    await Upkeep(database, one, 180).on_tick()
    await database.close()
    assert set(one.by_day) == {today, today + timedelta(days=1)}
    assert not set(one.by_day.values()) & set(two.by_day.values())
    assert {row["salt"] for row in await conn.fetch("select salt from viewer_salts")} == set(one.by_day.values())


async def test_old_batch_ids_are_forgotten_however_many_there_are(conn: Any, dsn: str) -> None:
    await conn.execute(
        """insert into view_batches (batch_id, received_on, events, rolled_up, committed_at)
           select gen_random_uuid(), current_date, 1, true, now() - interval '5 days' from generate_series(1, 25000)"""
    )
    database = Database(dsn)
    await database.open()
    await Upkeep(database, ViewerSalts(), 180).on_tick()
    await database.close()
    assert await conn.fetchval("select count(*) from view_batches") == 0


async def test_an_absent_database_fails_a_start_and_is_waited_for_by_a_tick(tmp_path: Any) -> None:
    database = Database(f"postgresql://nobody@/none?host={tmp_path}")
    await database.open()
    upkeep = Upkeep(database, ViewerSalts(), 180)
    await upkeep.on_tick()
    with pytest.raises(Unavailable):
        await upkeep.on_start()
    await database.close()
