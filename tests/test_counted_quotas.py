"""Quotas counted in the database, over HTTP: so many in any stretch of time, told in the headers, with a true wait."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from server.keys import METER
from tests.conftest import Server
from tests.http_fixture import SHARED, problem, shared_site
from tests.people import Person, person, sql
from tests.running import Running

pytestmark = SHARED
SETTINGS = {"COMMENT_RATE_LIMIT": "4/hour", "REVIEW_RATE_LIMIT": "3/day"}
API = "/api/v1"


@dataclass(frozen=True)
class Kind:
    """What is counted: its policy, and where it is written."""

    policy: str

    async def post(self, site: Running, who: Person, number: int, **headers: str) -> tuple[int, Any, dict[str, Any]]:
        """Write the `number`th one: status, headers, body."""
        said: dict[str, Any] = {"text": f"What I have to say about number {number}. " * 5}
        if self.policy == "reviews":
            said["rating"] = 7
        # Thirty releases: 3, 6, … 90; a review of each may be written once.
        path = f"{API}/releases/{3 * (number % 30 + 1)}/{self.policy}"
        async with site.client.post(path, json=said, headers={**who.headers, **headers}) as answer:
            return answer.status, answer.headers, json.loads(await answer.read())


KINDS = [pytest.param(Kind("comments"), id="comments"), pytest.param(Kind("reviews"), id="reviews")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """A server with small quotas."""
    async with shared_site(server, tmp_path_factory.mktemp("site"), **SETTINGS) as started:
        yield started


async def shift(site: Running, kind: Kind, who: Person, seconds: float) -> None:
    """As if so much time had passed."""
    await sql(
        site,
        f"update {kind.policy} set created_at = created_at - make_interval(secs => $2) where user_id = $1",
        who.id,
        seconds,
    )


async def use_up(site: Running, kind: Kind, who: Person) -> None:
    for number in range(site.app[METER].limits[kind.policy].quota):
        assert (await kind.post(site, who, number))[0] == 201


@pytest.mark.parametrize("kind", KINDS)
class TestEach:
    """Comments and reviews."""

    async def test_the_quota_passes_the_next_is_refused_and_waiting_as_told_is_enough(
        self, site: Running, kind: Kind
    ) -> None:
        limit, who = site.app[METER].limits[kind.policy], await person(site)
        for number in range(limit.quota):
            status, headers, _ = await kind.post(site, who, number)
            assert status == 201
            assert f'"{kind.policy}";q={limit.quota};w={limit.window:.0f}' in headers["RateLimit-Policy"]
            assert f'"{kind.policy}";r={limit.quota - number - 1};t=' in headers["RateLimit"]
            assert headers["X-RateLimit-Remaining"] == str(limit.quota - number - 1)
        for _ in range(2):
            status, headers, found = await kind.post(site, who, 20)
            assert (status, found["code"]) == (429, "too_many_requests")
            assert f"({kind.policy})" in found["detail"]
            assert f'"{kind.policy}";r=0;t=' in headers["RateLimit"]
        wait = int(headers["Retry-After"])
        assert limit.window - 60 < wait <= limit.window
        # Not sooner: by a minute, as the test itself takes time.
        await shift(site, kind, who, wait - 60)
        assert (await kind.post(site, who, 21))[0] == 429
        await shift(site, kind, who, 60)
        assert (await kind.post(site, who, 22))[0] == 201

    async def test_deleting_gives_nothing_back_and_refused_ones_cost_nothing(self, site: Running, kind: Kind) -> None:
        who = await person(site)
        _, headers, _ = await kind.post(site, who, 0)
        async with site.client.delete(headers["Location"], headers=who.headers) as answer:
            assert answer.status == 204
        async with site.client.post(
            f"{API}/releases/3/{kind.policy}", json={"text": ""}, headers=who.headers
        ) as answer:
            await problem(answer, 422)
        left = site.app[METER].limits[kind.policy].quota - 2
        assert f'"{kind.policy}";r={left};' in (await kind.post(site, who, 1))[1]["RateLimit"]

    async def test_a_replayed_answer_costs_nothing(self, site: Running, kind: Kind) -> None:
        who, key = await person(site), uuid4().hex
        answers = [await kind.post(site, who, 0, **{"Idempotency-Key": key}) for _ in range(8)]
        assert [status for status, _, _ in answers] == [201] * 8
        assert len({found["id"] for _, _, found in answers}) == 1
        left = site.app[METER].limits[kind.policy].quota - 2
        assert f'"{kind.policy}";r={left};' in (await kind.post(site, who, 1))[1]["RateLimit"]

    async def test_a_refusal_is_not_kept_for_an_idempotency_key(self, site: Running, kind: Kind) -> None:
        who, key = await person(site), uuid4().hex
        await use_up(site, kind, who)
        assert (await kind.post(site, who, 20, **{"Idempotency-Key": key}))[0] == 429
        await shift(site, kind, who, site.app[METER].limits[kind.policy].window)
        assert (await kind.post(site, who, 20, **{"Idempotency-Key": key}))[0] == 201

    async def test_many_at_once_get_the_quota_and_no_more(self, site: Running, kind: Kind) -> None:
        who = await person(site)
        answers = await asyncio.gather(*(kind.post(site, who, number) for number in range(20)))
        quota = site.app[METER].limits[kind.policy].quota
        assert sorted(status for status, _, _ in answers) == [201] * quota + [429] * (20 - quota)

    async def test_one_persons_quota_is_nobody_elses(self, site: Running, kind: Kind) -> None:
        one, other = await person(site), await person(site)
        await use_up(site, kind, one)
        assert (await kind.post(site, one, 20))[0] == 429
        assert (await kind.post(site, other, 20))[0] == 201

    async def test_metrics_count_them(self, site: Running, kind: Kind) -> None:
        meter, who = site.app[METER], await person(site)
        before = meter.allowed[kind.policy], meter.refused[kind.policy]
        await use_up(site, kind, who)
        await kind.post(site, who, 20)
        after = meter.allowed[kind.policy], meter.refused[kind.policy]
        assert (after[0] - before[0], after[1] - before[1]) == (meter.limits[kind.policy].quota, 1)


async def test_they_stand_in_the_table_of_policies(site: Running) -> None:
    async with site.client.get(f"{API}/limits") as answer:
        rows = {row["name"]: row for row in (await answer.json())["results"]}
    assert [
        (rows[name]["quota"], rows[name]["window_seconds"], rows[name]["by"]) for name in ("comments", "reviews")
    ] == [
        (4, 3600.0, "user"),
        (3, 86_400.0, "user"),
    ]
    async with site.client.get("/openapi.json") as answer:
        paths = (await answer.json())["paths"]
    for name in ("comments", "reviews"):
        assert name in paths[f"{API}/releases/{{id}}/{name}"]["post"]["x-rate-limits"]


async def test_a_quota_of_nought_is_no_limit(server: Server, tmp_path_factory: pytest.TempPathFactory) -> None:
    off = {"COMMENT_RATE_LIMIT": "0/hour", "REVIEW_RATE_LIMIT": "0/day"}
    async with shared_site(server, tmp_path_factory.mktemp("off"), **off) as site:
        for name in ("comments", "reviews"):
            who = await person(site)
            answers = [await Kind(name).post(site, who, number) for number in range(12)]
            assert [status for status, _, _ in answers] == [201] * 12
            assert not any(f'"{name}"' in headers["RateLimit"] for _, headers, _ in answers)
