"""Idempotency-Key: whatever breaks and however often it is sent, there is one effect and one answer."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

import server.app as server_app
from server.errors import Conflict, Fault, Overloaded, TooManyRequests, Unauthenticated, Unprocessable
from server.http.answer import Answer, plain
from server.http.guard import user_id
from server.http.idempotency import once
from server.http.route import Route
from server.keys import DATABASE
from sql import idempotency
from tests.conftest import Server
from tests.http_fixture import SHARED, exchange, problem, shared_site
from tests.people import Person, person
from tests.running import Running
from tests.working import execute, until

pytestmark = SHARED
PATH = "/api/v1/test/things"
Step = Callable[[Any], Awaitable[None]]


@dataclass
class Script:
    """What the effect does after it has written its row, one step a call; nothing once the steps are used up."""

    steps: list[Step] = field(default_factory=list)
    calls: int = 0


SCRIPT = Script()


async def make_thing(request: web.Request) -> web.StreamResponse:
    """POST /api/v1/test/things/{shelf}: writes a row, then does what the script says."""
    body = await request.read()
    owner = user_id(request)

    async def effect(conn: Any) -> Answer:
        SCRIPT.calls += 1
        shelf = request.match_info["shelf"]
        made = await conn.fetchval("insert into things (owner, shelf) values ($1, $2) returning id", owner, shelf)
        if SCRIPT.steps:
            await SCRIPT.steps.pop(0)(conn)
        return plain({"id": made, "said": body.decode()}, status=201, headers={"Location": f"{PATH}/{shelf}/{made}"})

    return await once(request, body, effect)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    patch = pytest.MonkeyPatch()
    route = Route(
        method="POST", path=f"{PATH}/{{shelf}}", handler=make_thing, summary="", tag="", access="user", status=201
    )
    rows = server_app.table()
    patch.setattr(server_app, "table", lambda: (*rows, route))
    async with shared_site(server, tmp_path_factory.mktemp("site")) as started:
        await execute(
            started.app[DATABASE].dsn,
            "create table things (id bigint generated always as identity, owner bigint not null, shelf text not null)",
        )
        yield started
    patch.undo()


@pytest.fixture(autouse=True)
def _nothing_scripted() -> None:
    SCRIPT.steps.clear()
    SCRIPT.calls = 0


@dataclass
class Got:
    status: int
    body: dict[str, Any]
    replayed: bool
    location: str | None


async def post(site: Running, who: Person, key: str | None, body: str = "a", shelf: str = "one") -> Got:
    headers = who.headers | ({} if key is None else {"Idempotency-Key": key})
    async with site.client.post(f"{PATH}/{shelf}", data=body, headers=headers) as answer:
        replayed = answer.headers.get("Idempotency-Replayed") == "true"
        if answer.status >= 400:
            await problem(answer, answer.status)
        return Got(answer.status, await answer.json(), replayed, answer.headers.get("Location"))


async def things(site: Running, who: Person) -> int:
    found: int = await execute(site.app[DATABASE].dsn, "select count(*) from things where owner = $1", who.id)
    return found


async def kept(site: Running, who: Person) -> int:
    text = "select count(*) from idempotency_keys where user_id = $1"
    found: int = await execute(site.app[DATABASE].dsn, text, who.id)
    return found


async def test_the_same_request_again_gets_the_first_answer_and_has_no_effect(site: Running) -> None:
    who = await person(site)
    first, again = await post(site, who, "k"), await post(site, who, "k")
    assert (first.status, first.replayed, again.replayed) == (201, False, True)
    assert (again.status, again.body, again.location) == (first.status, first.body, first.location)
    assert (await things(site, who), SCRIPT.calls) == (1, 1)


async def test_without_a_key_each_request_has_its_effect(site: Running) -> None:
    who = await person(site)
    assert [(await post(site, who, None)).status for _ in range(2)] == [201, 201]
    assert (await things(site, who), await kept(site, who)) == (2, 0)


async def test_a_key_belongs_to_one_person_one_address_and_one_body(site: Running) -> None:
    who, other = await person(site), await person(site)
    assert (await post(site, who, "k")).status == 201
    assert (await post(site, other, "k")).replayed is False
    assert (await post(site, who, "k", shelf="two")).replayed is False
    assert (await post(site, who, "k", body="b")).status == 422
    assert (await things(site, who), await things(site, other)) == (2, 1)
    # A slash at the end is the same address.
    assert (await post(site, who, "k", shelf="one/")).replayed is True


@pytest.mark.parametrize("key", ["", " ", "k" * 256, "ключ", "a\tb", "a\x7f"])
async def test_what_is_no_key_is_refused(site: Running, key: str) -> None:
    who = await person(site)
    token = who.headers["Authorization"]
    head = f"POST {PATH}/one HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\nIdempotency-Key: {key}\r\n"
    answer = await exchange(site.port, f"{head}Content-Length: 1\r\n\r\na".encode())
    assert answer.status in (400, 422)
    assert await things(site, who) == 0


async def test_two_keys_are_one_too_many_and_the_longest_fits(site: Running) -> None:
    who = await person(site)
    token = who.headers["Authorization"]
    head = f"POST {PATH}/one HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\n" + "Idempotency-Key: a\r\n" * 2
    assert (await exchange(site.port, f"{head}Content-Length: 1\r\n\r\na".encode())).status == 422
    assert (await post(site, who, "~!" * 127 + "k")).status == 201


@pytest.mark.parametrize("seed", range(3))
async def test_however_many_are_sent_at_once_each_key_has_one_effect(site: Running, seed: int) -> None:
    chance = random.Random(seed)
    who = await person(site)
    keys = [f"{seed}-{chance.randrange(6)}" for _ in range(40)]

    async def until_answered(key: str) -> Got:
        while True:
            got = await post(site, who, key, body=key)
            if got.status != 503:
                return got

    answers = await asyncio.gather(*(until_answered(key) for key in keys))
    assert {got.status for got in answers} <= {201, 409}
    for key in set(keys):
        made = [got for sent, got in zip(keys, answers, strict=True) if sent == key and got.status == 201]
        assert (len({got.body["id"] for got in made}), sum(not got.replayed for got in made)) == (1, 1)
    assert await things(site, who) == len(set(keys))


async def test_while_the_first_is_in_flight_the_second_is_told_so(site: Running) -> None:
    who = await person(site)
    begun, go = asyncio.Event(), asyncio.Event()

    async def hold(_: Any) -> None:
        begun.set()
        await go.wait()

    SCRIPT.steps.append(hold)
    first = asyncio.ensure_future(post(site, who, "k"))
    await begun.wait()
    second = await post(site, who, "k")
    go.set()
    assert (second.status, "in flight" in second.body["detail"]) == (409, True)
    assert (await first).status == 201
    # That it was in flight is not what is remembered.
    assert (await post(site, who, "k")).replayed is True
    assert await things(site, who) == 1


def refuse(error: Exception) -> Step:
    async def step(_: Any) -> None:
        raise error

    return step


async def test_a_refusal_is_kept_and_leaves_nothing_else(site: Running) -> None:
    who = await person(site)
    SCRIPT.steps.append(refuse(Conflict("There is one already.")))
    first, again = await post(site, who, "k"), await post(site, who, "k")
    assert (first.status, first.replayed, again.status, again.replayed) == (409, False, 409, True)
    assert {**again.body, "request_id": ""} == {**first.body, "request_id": ""}
    assert again.body["request_id"] != first.body["request_id"]
    assert (await things(site, who), SCRIPT.calls) == (0, 1)


async def test_a_refusal_is_replayed_with_all_its_faults(site: Running) -> None:
    who = await person(site)
    faults = [Fault("/a", "Too long."), Fault("/b", "Too short.")]
    SCRIPT.steps.append(refuse(Unprocessable("Bad values.", faults=faults)))
    first, again = await post(site, who, "k"), await post(site, who, "k")
    assert (again.status, again.body["errors"], len(again.body["errors"])) == (422, first.body["errors"], 2)


@pytest.mark.parametrize(
    "error", [Overloaded("Busy."), TooManyRequests("Later."), Unauthenticated("Who?"), ValueError("a bug")]
)
async def test_what_may_end_otherwise_is_not_kept(site: Running, error: Exception) -> None:
    who = await person(site)
    SCRIPT.steps.append(refuse(error))
    assert (await post(site, who, "k")).status in (401, 429, 500, 503)
    assert (await things(site, who), await kept(site, who)) == (0, 0)
    again = await post(site, who, "k")
    assert (again.status, again.replayed, await things(site, who)) == (201, False, 1)


async def test_a_connection_lost_before_the_commit_leaves_nothing(site: Running) -> None:
    who = await person(site)

    async def lose(conn: Any) -> None:
        dsn, pid = site.app[DATABASE].dsn, conn.get_server_pid()
        await execute(dsn, "select pg_terminate_backend($1, 5000)", pid)

    SCRIPT.steps.append(lose)
    assert (await post(site, who, "k")).status == 503
    assert (await things(site, who), await kept(site, who)) == (0, 0)
    assert (await post(site, who, "k")).status == 201
    assert (await post(site, who, "k")).replayed is True
    assert await things(site, who) == 1


async def test_whoever_hangs_up_finds_the_answer_when_asking_again(site: Running) -> None:
    who = await person(site)
    begun, go = asyncio.Event(), asyncio.Event()

    async def hold(_: Any) -> None:
        begun.set()
        await go.wait()

    SCRIPT.steps.append(hold)
    _, writer = await asyncio.open_connection("127.0.0.1", site.port)
    token = who.headers["Authorization"]
    head = f"POST {PATH}/one HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\nIdempotency-Key: k\r\n"
    writer.write(f"{head}Content-Length: 1\r\n\r\na".encode())
    await begun.wait()
    writer.close()
    go.set()

    async def settled() -> bool:
        return (await post(site, who, "k")).status == 201

    await until(settled)
    assert await things(site, who) == 1


async def test_after_a_day_a_key_is_new_again(site: Running) -> None:
    who = await person(site)
    await post(site, who, "k")
    dsn = site.app[DATABASE].dsn
    text = "update idempotency_keys set created_at = now() - interval '25 hours' where user_id = $1"
    await execute(dsn, text, who.id)
    assert (await post(site, who, "k", body="b")).replayed is False
    assert (await post(site, who, "k", body="b")).replayed is True
    assert (await things(site, who), await kept(site, who)) == (2, 1)


async def test_an_answer_too_large_to_keep_has_no_effect(site: Running) -> None:
    who = await person(site)
    assert (await post(site, who, "k", body="a" * 70_000)).status == 500
    assert (await things(site, who), await kept(site, who)) == (0, 0)


async def test_an_account_that_is_gone_can_keep_nothing(site: Running) -> None:
    who = await person(site)
    await execute(site.app[DATABASE].dsn, "delete from users where id = $1", who.id)
    assert (await post(site, who, "k")).status == 401
    assert await things(site, who) == 0


async def test_a_creation_of_the_api_takes_the_key_and_says_so(site: Running) -> None:
    who = await person(site)
    headers = who.headers | {"Idempotency-Key": "k"}
    answers = []
    for _ in range(2):
        body = {"subscription_type": "release", "target_id": 3}
        async with site.client.post("/api/v1/subscriptions", json=body, headers=headers) as answer:
            answers.append((answer.status, await answer.text(), answer.headers.get("Idempotency-Replayed")))
    assert answers == [(201, answers[0][1], None), (201, answers[0][1], "true")]
    async with site.client.get("/openapi.json") as answer:
        operation = json.loads(await answer.read())["paths"]["/api/v1/subscriptions"]["post"]
    assert "Idempotency-Key" in {parameter["name"] for parameter in operation["parameters"]}
    assert {"409", "422"} <= operation["responses"].keys()


async def test_a_key_is_found_by_an_index(site: Running) -> None:
    dsn = site.app[DATABASE].dsn
    who = await person(site)
    await execute(
        dsn,
        "insert into idempotency_keys (user_id, key, method, path, body_hash, status, headers, body)"
        " select $1, n::text, 'POST', '/x', '', 201, '{}', '' from generate_series(1, 20000) n",
        who.id,
    )
    await execute(dsn, "analyze idempotency_keys")
    text = idempotency.QUERIES.find_idempotent_answer.text
    plan = await execute(dsn, f"explain (format json) {text}", who.id, "5", "POST", "/x")
    assert json.loads(plan)[0]["Plan"]["Node Type"] == "Index Scan"
