"""The view buffer under load while its connections are cut: what it answered is stored, each event once."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from actors.system import ActorSystem
from actors.view_buffer import RecordViews, ViewBuffer
from server.database import Database
from server.errors import Unavailable
from server.events import ViewCounters
from tests.seeding import event, roll_up_all, seed_partitions, seed_releases
from tests.test_rollup import assert_exact

CUT = """select count(pg_terminate_backend(pid)) from pg_stat_activity
         where datname = current_database() and pid <> pg_backend_pid() and application_name = 'yojohan'"""


async def test_what_was_answered_is_stored_once_while_backends_are_cut_at_random(conn: Any, dsn: str) -> None:
    await seed_partitions(conn)
    await conn.execute("set application_name = 'the test'")
    releases = await seed_releases(conn, 3)
    counters, database = ViewCounters(), Database(dsn)
    await database.open()
    system = ActorSystem(lambda name, error: None)
    buffer = system.add(lambda: ViewBuffer(database, counters))
    await system.start()
    answered: list[Any] = []
    sent: list[Any] = []
    stop = asyncio.Event()

    async def client() -> None:
        while not stop.is_set():
            rows = [event(random.choice(releases), viewer=random.randint(0, 50)) for _ in range(random.choice([1, 40]))]
            rows.append(rows[0])
            sent.extend(row.event_id for row in rows[:-1])
            try:
                recorded = await buffer.ask(RecordViews(rows), timeout=5, weight=len(rows))
            except Unavailable:
                continue
            assert (recorded.accepted, recorded.duplicates) == (len(rows) - 1, 1)
            answered.extend(row.event_id for row in rows[:-1])

    clients = [asyncio.create_task(client()) for _ in range(12)]
    cut = 0
    while cut < 20:
        await asyncio.sleep(random.uniform(0.005, 0.06))
        cut += await conn.fetchval(CUT)
    stop.set()
    await asyncio.gather(*clients)
    await system.stop(5)
    await database.close()
    stored = [row["event_id"] for row in await conn.fetch("select event_id from view_metrics")]
    assert counters.retries > 5
    assert len(answered) > 200
    assert len(stored) == len(set(stored))
    assert set(answered) <= set(stored) <= set(sent)
    assert len(stored) == await conn.fetchval("select count(*) from view_receipts")
    await roll_up_all(conn)
    assert await conn.fetchval("select sum(views) from view_days where episode_id = 0") == len(stored)
    await assert_exact(conn)
