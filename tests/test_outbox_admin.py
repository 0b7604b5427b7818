"""Administrators see what was given up, and have it tried again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import pytest_asyncio

from server.database import connect
from server.keys import DATABASE
from tests.conftest import Server
from tests.http_fixture import SHARED, problem, shared_site
from tests.people import person
from tests.running import Running

pytestmark = SHARED
DEAD = "/api/v1/admin/outbox/dead"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """One server for all tests here."""
    async with shared_site(server, Path(tmp_path_factory.mktemp("data"))) as started:
        yield started


async def bury(site: Running, count: int, consumer: str = "user_stats") -> list[int]:
    """Dead events of a topic that nobody handles, the oldest first."""
    conn = await connect(site.app[DATABASE].dsn)
    try:
        await conn.execute("delete from outbox_deliveries")
        rows = await conn.fetch(
            """insert into outbox_deliveries
                   (consumer, xid, event_id, topic, entity, payload, created_at, attempts, error, dead_at)
               select $1, '3', -n, 'library', 'user:' || -n, '{"delta": {}}', now(), 12, 'ValueError',
                      now() - make_interval(secs => 100 - n / 2)
               from generate_series(1, $2::integer) n
               returning id""",
            consumer, count,
        )  # fmt: skip
        return [row["id"] for row in rows]
    finally:
        await conn.close()


async def get(site: Running, path: str, headers: dict[str, str]) -> Any:
    async with site.client.get(path, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        assert answer.headers["Cache-Control"] == "private, no-store"
        return await answer.json()


async def test_dead_events_are_listed_the_latest_first_page_by_page(site: Running) -> None:
    admin = await person(site, role="admin")
    ids = await bury(site, 5)
    page = await get(site, f"{DEAD}?limit=2", admin.headers)
    assert (page["count"], page["previous"]) == (5, None)
    assert set(page["results"][0]) == {
        "id", "consumer", "topic", "entity", "attempts", "error", "payload", "created_at", "dead_at",
    }  # fmt: skip
    seen = [row["id"] for row in page["results"]]
    while page["next"]:
        page = await get(site, page["next"], admin.headers)
        seen += [row["id"] for row in page["results"]]
    assert seen == ids[::-1]
    async with site.client.get(f"{DEAD}?cursor=x", headers=admin.headers) as answer:
        await problem(answer, 422)


async def test_a_replay_answers_202_and_the_event_is_handled(site: Running) -> None:
    admin = await person(site, role="admin")
    (dead,) = await bury(site, 1)
    async with site.client.post(f"{DEAD}/{dead}/replay", headers=admin.headers) as answer:
        assert (answer.status, await answer.json()) == (202, {"id": dead})
    assert (await get(site, DEAD, admin.headers))["count"] == 0
    deadline = monotonic() + 10
    async with site.app[DATABASE].connection() as conn:
        while await conn.fetchval("select count(*) from outbox_deliveries where id = $1 and attempts = 0", dead):
            assert monotonic() < deadline
            await asyncio.sleep(0.05)
    for gone in (dead, 987_654_321):
        async with site.client.post(f"{DEAD}/{gone}/replay", headers=admin.headers) as answer:
            await problem(answer, 404)


async def test_only_administrators_see_and_replay(site: Running) -> None:
    for role, status in (("user", 403), ("moderator", 403)):
        somebody = await person(site, role=role)
        async with site.client.get(DEAD, headers=somebody.headers) as answer:
            await problem(answer, status)
        async with site.client.post(f"{DEAD}/1/replay", headers=somebody.headers) as answer:
            await problem(answer, status)
    async with site.client.get(DEAD) as answer:
        await problem(answer, 401)


async def test_metrics_show_how_each_consumer_gets_on(site: Running) -> None:
    async with site.client.get("/metrics") as answer:
        text = await answer.text()
    assert 'yojohan_outbox_events_total{consumer="user_stats",outcome="handled"}' in text
    assert 'yojohan_outbox_rows{consumer="activity",state="waiting"}' in text
    assert 'yojohan_outbox_lag_seconds{consumer="activity"}' in text
