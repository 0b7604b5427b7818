"""Two servers on one database and one Redis: over HTTP they are one to whoever is counted."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from time import monotonic, perf_counter
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from server.keys import METER, REDIS
from tests.catalogue_seed import database
from tests.conftest import Server
from tests.http_fixture import SHARED, problem
from tests.people import Person, person, sign_in
from tests.redis_server import RedisServer, redis_server
from tests.running import Running, running

pytestmark = SHARED
QUOTA = 20
HOT, SLOW, OWN = "/api/v1/genres", "/api/v1/releases/random", "/api/v1/notifications/unread/count"
SETTINGS = {"RATE_LIMIT_MAX": str(QUOTA), "RATE_LIMIT_TTL": "86400000", "TRUSTED_PROXIES": "127.0.0.1"}
_clients = count(1)


def client() -> dict[str, str]:
    """A client nobody has seen yet."""
    number = next(_clients)
    return {"X-Forwarded-For": f"203.0.{number // 256}.{number % 256}"}


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with redis_server() as started:
        yield started


@asynccontextmanager
async def two(server: Server, directory: Path, url: str) -> AsyncIterator[tuple[Running, Running]]:
    """Two instances, as a load balancer would have them."""
    given = {**SETTINGS, "REDIS_URL": url, "SECRET_KEY": "as long as any secret should be"}
    async with (
        database(server, 30) as dsn,
        running(dsn, directory, **given) as one,
        running(dsn, directory, **given) as other,
    ):
        yield one, other


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(
    server: Server, redis: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Running, Running]]:
    async with two(server, tmp_path_factory.mktemp("pair"), redis.url) as started:
        yield started


async def get(site: Running, path: str, headers: dict[str, str]) -> tuple[int, Any]:
    async with site.client.get(path, headers=headers) as answer:
        await answer.read()
        return answer.status, answer.headers


async def somebody(pair: tuple[Running, Running]) -> Person:
    """Known to both."""
    found = await person(pair[0])
    return sign_in(pair[1], found.id, found.username)


# First, before the two others are there: a test cluster has few connections.
async def test_a_server_starts_and_serves_without_the_redis_it_was_told_of(server: Server, tmp_path: Path) -> None:
    given = {**SETTINGS, "REDIS_URL": "redis://127.0.0.1:1"}
    async with database(server, 30) as dsn, running(dsn, tmp_path, **given) as site:
        visitor = client()
        assert [(await get(site, HOT, visitor))[0] for _ in range(QUOTA + 1)] == [200] * QUOTA + [429]
        assert (await get(site, "/ready", {}))[0] == 200


@pytest.mark.parametrize("path", [HOT, SLOW])
async def test_two_servers_let_pass_as_much_as_one_would(pair: tuple[Running, Running], path: str) -> None:
    await asyncio.gather(*(get(site, path, client()) for site in pair))
    visitor = client()
    answers = await asyncio.gather(*(get(site, path, visitor) for site in pair for _ in range(QUOTA)))
    assert sorted(status for status, _ in answers) == [200] * QUOTA + [429] * QUOTA
    for site in pair:
        async with site.client.get(path, headers=visitor) as answer:
            assert "(api)" in (await problem(answer, 429))["detail"]


async def test_personal_answers_from_memory_are_counted_together(pair: tuple[Running, Running]) -> None:
    who = await somebody(pair)
    lefts = []
    for number in range(6):
        status, headers = await get(pair[number % 2], OWN, who.headers)
        assert status == 200
        lefts.append(int(headers["X-RateLimit-Remaining"]))
    assert lefts == [QUOTA - 1 - number for number in range(6)]


async def test_limits_of_actions_are_shared(pair: tuple[Running, Running]) -> None:
    limit, passed = pair[0].app[METER].limits["login"], 0
    visitor, started = client(), perf_counter()
    for number in range(limit.quota + 2):
        site = pair[number % 2]
        sent = {"email": f"{uuid4().hex}@example.org", "password": "three quiet lanterns"}
        async with site.client.post("/api/v1/auth/login", json=sent, headers=visitor) as answer:
            passed += answer.status == 401
    # A password takes its time, and time gives attempts back.
    assert limit.quota <= passed <= limit.quota + (perf_counter() - started) * limit.quota / limit.window


async def test_failed_attempts_on_an_account_are_counted_in_all_instances_and_others_are_not(
    pair: tuple[Running, Running],
) -> None:
    limit, email, password = (
        pair[0].app[METER].limits["login-account"],
        f"{uuid4().hex}@example.org",
        "quiet lanterns 3",
    )
    sent = {"email": email, "username": f"u{uuid4().hex[:12]}", "password": password}
    async with pair[0].client.post("/api/v1/auth/register", json=sent, headers=client()) as answer:
        assert answer.status == 201

    async def log_in(site: Running, typed: str) -> int:
        async with site.client.post(
            "/api/v1/auth/login", json={"email": email, "password": typed}, headers=client()
        ) as answer:
            return answer.status

    for number in range(limit.quota + 3):
        assert await log_in(pair[number % 2], password) == 200
    wrong = [await log_in(pair[number % 2], "something else") for number in range(limit.quota + 1)]
    assert wrong == [401] * limit.quota + [429]


async def test_metrics_tell_who_decides(pair: tuple[Running, Running]) -> None:
    await get(pair[0], HOT, client())
    async with pair[0].client.get("/metrics") as answer:
        text = await answer.text()
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("yojohan_limiter"))
    assert float(lines['yojohan_limiter_decisions_total{by="redis"}']) > 0
    assert lines["yojohan_limiter_redis_away"] == "0.0"
    assert float(lines["yojohan_limiter_question_seconds_count"]) > 0


async def until(true: Callable[[], bool]) -> None:
    end = monotonic() + 8
    while not true():
        assert monotonic() < end
        await asyncio.sleep(0.01)


async def health(site: Running) -> tuple[int, str, str]:
    """The status of the answer, of the server, and of Redis."""
    async with site.client.get("/health") as answer:
        found = await answer.json()
        return answer.status, found["status"], found["checks"]["redis"]["status"]


async def test_redis_killed_and_started_amid_a_load_fails_no_request(
    pair: tuple[Running, Running], redis: RedisServer
) -> None:
    known, statuses, slowest, stop = client(), Counter[int](), 0.0, False
    assert [(await get(pair[n % 2], HOT, known))[0] for n in range(QUOTA + 2)] == [200] * QUOTA + [429] * 2

    async def keep_asking(site: Running) -> None:
        nonlocal slowest
        visitor, used = client(), 0
        while not stop:
            started = perf_counter()
            status, _ = await get(site, HOT if used % 3 else SLOW, visitor)
            slowest = max(slowest, perf_counter() - started)
            statuses[status] += 1
            used += status == 200
            # Whoever decided: nobody gets more than the quota by one instance.
            assert used <= QUOTA
            if status == 429:
                visitor, used = client(), 0

    async with asyncio.TaskGroup() as tasks:
        for site in pair * 4:
            tasks.create_task(keep_asking(site))
        await asyncio.sleep(0.3)
        redis.kill()
        await until(lambda: all(site.app[REDIS].away for site in pair))
        enough = statuses.total() + 500
        for site in pair:
            assert await health(site) == (200, "degraded", "degraded")
            assert (await get(site, "/ready", {}))[0] == 200
            assert (await get(site, HOT, known))[0] == 429
        await until(lambda: statuses.total() > enough)
        redis.start()
        await until(lambda: not any(site.app[REDIS].away for site in pair))
        more = statuses.total() + 500
        await until(lambda: statuses.total() > more)
        stop = True
    assert statuses.keys() == {200, 429}
    assert slowest < 8.0
    end = monotonic() + 5
    while (found := [await health(site) for site in pair]) != [(200, "healthy", "ok")] * 2:
        assert monotonic() < end, found
        await asyncio.sleep(0.1)
    # Told by those who remember, where Redis knew nothing any more.
    assert [(await get(site, HOT, known))[0] for site in pair] == [429, 429]
