"""Ten comments an hour: counted in the database, so that nothing that happens beside them gives anybody more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import ClientResponse

from tests import catalogue_seed
from tests.conftest import Server
from tests.http_fixture import SHARED, problem
from tests.people import Person, person, restore_quotas, sign_in, sql
from tests.running import Running, running

pytestmark = SHARED
PATH = "/api/v1/releases/{}/comments"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def dsn(server: Server) -> AsyncIterator[str]:
    async with catalogue_seed.database(server, 30) as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(dsn: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with running(dsn, tmp_path_factory.mktemp("site")) as started:
        yield started


async def say(site: Running, who: Person, text: str = "", **headers: str) -> ClientResponse:
    """A comment by a moderator, whom no rule holds; the answer is read."""
    async with site.client.post(
        PATH.format(3), json={"text": text or "Something"}, headers=who.headers | headers
    ) as answer:
        await answer.read()
        return answer


async def used(site: Running, who: Person) -> int:
    found: int = await sql(site, "select count(*) from comments where user_id = $1", who.id)
    return found


async def test_the_eleventh_comment_within_an_hour_waits_and_says_how_long(site: Running) -> None:
    who = await person(site, role="moderator")
    left = []
    for _ in range(10):
        answer = await say(site, who)
        assert answer.status == 201
        left.append(answer.headers["X-RateLimit-Remaining"])
        assert '"comments";q=10;w=3600' in answer.headers["RateLimit-Policy"]
    assert left == [str(number) for number in range(9, -1, -1)]
    await sql(
        site,
        "update comments set created_at = created_at - interval '50 minutes' where id ="
        " (select min(id) from comments where user_id = $1)",
        who.id,
    )
    answer = await say(site, who)
    assert answer.status == 429
    assert 590 <= int(answer.headers["Retry-After"]) <= 600
    assert answer.headers["X-RateLimit-Remaining"] == "0"
    await sql(site, "update comments set created_at = created_at - interval '601 seconds' where user_id = $1", who.id)
    assert (await say(site, who)).status == 201
    assert (await say(site, who)).status == 429


async def test_of_many_at_once_ten_pass(site: Running) -> None:
    who = await person(site, role="moderator")
    answers = await asyncio.gather(*(say(site, who, f"Number {number}") for number in range(30)))
    assert sorted(answer.status for answer in answers) == [201] * 10 + [429] * 20
    assert await used(site, who) == 10


async def test_deleting_gives_nothing_back(site: Running) -> None:
    who = await person(site, role="moderator")
    for _ in range(10):
        answer = await say(site, who)
        async with site.client.delete(answer.headers["Location"], headers=who.headers) as gone:
            assert gone.status == 204
    assert (await say(site, who)).status == 429


async def test_what_is_refused_or_said_again_costs_nothing(site: Running) -> None:
    who = await person(site, role="moderator")
    for text in ("", "x" * 1001, "\u202e"):
        async with site.client.post(PATH.format(3), json={"text": text}, headers=who.headers) as answer:
            await problem(answer, 422)
    async with site.client.post(PATH.format(3), json={"text": "x", "parent_id": 2**40}, headers=who.headers) as answer:
        await problem(answer, 422)
    async with site.client.post(PATH.format(1), json={"text": "x"}, headers=who.headers) as answer:
        await problem(answer, 404)
    for _ in range(3):
        answer = await say(site, who, "Once", **{"Idempotency-Key": "same"})
        assert answer.status == 201
    assert "comments" not in answer.headers.get("RateLimit-Policy", "")
    assert [(await say(site, who)).status for _ in range(10)] == [201] * 9 + [429]
    # Nor does a refusal for the quota: it is not remembered under a key.
    assert (await say(site, who, "Later", **{"Idempotency-Key": "later"})).status == 429
    await sql(site, "update comments set created_at = created_at - interval '1 hour' where user_id = $1", who.id)
    assert (await say(site, who, "Later", **{"Idempotency-Key": "later"})).status == 201


async def test_a_restart_forgets_nothing(site: Running, dsn: str, tmp_path: Path) -> None:
    who = await person(site, role="moderator")
    for _ in range(6):
        assert (await say(site, who)).status == 201
    restore_quotas(site)
    async with running(dsn, tmp_path) as again:
        back = sign_in(again, who.id, who.username, "moderator")
        statuses = [(await say(again, back)).status for _ in range(5)]
    assert statuses == [201] * 4 + [429]


async def test_quotas_are_everybody_s_own_and_stand_in_the_table(site: Running) -> None:
    one, other = await person(site, role="moderator"), await person(site, role="moderator")
    assert [(await say(site, one)).status for _ in range(11)][-1] == 429
    assert (await say(site, other)).status == 201
    async with site.client.get("/api/v1/limits") as answer:
        rows: list[dict[str, Any]] = (await answer.json())["results"]
    (row,) = [row for row in rows if row["name"] == "comments"]
    assert (row["quota"], row["window_seconds"]) == (10, 3600)


async def test_a_quota_of_nought_is_none(dsn: str, tmp_path: Path) -> None:
    async with running(dsn, tmp_path, COMMENT_RATE_LIMIT="0/hour") as site:
        who = await person(site, role="moderator")
        answers = [await say(site, who) for _ in range(12)]
        assert {answer.status for answer in answers} == {201}
        assert "comments" not in answers[-1].headers.get("RateLimit-Policy", "")
