"""API tokens: made by sessions, held to their scopes, refused the moment they are deleted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from actors.presence import Presence
from server.keys import DATABASE, IDENTITIES
from server.routes import table
from tests.conftest import Server
from tests.http_fixture import SHARED, problem, shared_site
from tests.people import Person, make_user, person, sign_in, sql
from tests.running import Running

pytestmark = SHARED
TOKENS = "/api/v1/auth/tokens"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with shared_site(server, tmp_path_factory.mktemp("site")) as started:
        yield started


async def make(site: Running, someone: Person, *scopes: str, **fields: Any) -> dict[str, Any]:
    body = {"name": "a machine", "scopes": list(scopes or ("read",)), **fields}
    async with site.client.post(TOKENS, json=body, headers=someone.headers) as answer:
        assert answer.status == 201, await answer.text()
        assert answer.headers["Cache-Control"] == "private, no-store"
        made: dict[str, Any] = await answer.json()
        assert answer.headers["Location"] == f"{TOKENS}/{made['id']}"
        return made


def bearer(made: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {made['token']}"}


async def status(site: Running, method: str, path: str, headers: dict[str, str], body: Any = None) -> int:
    async with site.client.request(method, path, headers=headers, json=body) as answer:
        return answer.status


async def test_a_token_is_shown_once_and_stored_as_its_hash(site: Running) -> None:
    someone = await person(site)
    made = await make(site, someone, "write", "read", "read")
    assert made["token"].startswith("yjh_")
    assert made["scopes"] == ["read", "write"]
    async with site.client.get(TOKENS, headers=someone.headers) as answer:
        listed = await answer.json()
    shown = {name: value for name, value in made.items() if name != "token"}
    assert (listed["count"], listed["results"]) == (1, [shown])
    async with site.client.get(f"{TOKENS}/{made['id']}", headers=someone.headers) as answer:
        assert await answer.json() == shown
    hashed = "select token_hash = sha256($2) from api_tokens where user_id = $1"
    assert await sql(site, hashed, someone.id, made["token"].encode())
    assert made["token"] not in await sql(site, "select t::text from api_tokens t where user_id = $1", someone.id)


@pytest.mark.parametrize(
    ("scopes", "reads", "writes"),
    [(("read",), 200, 403), (("write",), 403, 200), (("read", "write"), 200, 200), (("analytics",), 403, 403)],
)
async def test_a_token_may_do_what_its_scopes_say(
    site: Running, scopes: tuple[str, ...], reads: int, writes: int
) -> None:
    someone = await person(site, role="admin")
    headers = bearer(await make(site, someone, *scopes))
    assert await status(site, "GET", "/api/v1/profile", headers) == reads
    assert await status(site, "PATCH", "/api/v1/profile", headers, {"bio": "by a machine"}) == writes


async def test_no_token_may_manage_tokens_or_do_what_only_a_session_may(site: Running) -> None:
    someone = await person(site, role="admin")
    made = await make(site, someone, "read", "write", "analytics", "admin")
    for route in table():
        if route.needed_scope == "session" and route.access == "user":
            path = route.path.partition("{")[0] + (made["id"] if "{" in route.path else "")
            async with site.client.request(route.method, path, headers=bearer(made)) as answer:
                assert (await problem(answer, 403))["code"] == "insufficient_scope", path
    assert {route.path for route in table() if route.needed_scope == "session"} >= {TOKENS}


async def test_only_administrators_make_tokens_that_administer(site: Running) -> None:
    for role in ("user", "moderator"):
        someone = await person(site, role=role)
        for scope in ("analytics", "admin"):
            body = {"name": "x", "scopes": ["read", scope]}
            async with site.client.post(TOKENS, json=body, headers=someone.headers) as answer:
                assert scope in (await problem(answer, 403))["detail"]
    assert await make(site, await person(site, role="admin"), "admin", "analytics")


async def test_a_deleted_token_is_refused_at_once_and_everywhere(site: Running) -> None:
    someone, other = await person(site), await person(site)
    made = await make(site, someone)
    assert await status(site, "GET", "/api/v1/profile", bearer(made)) == 200
    assert await status(site, "DELETE", f"{TOKENS}/{made['id']}", other.headers) == 404
    assert await status(site, "DELETE", f"{TOKENS}/{made['id']}", someone.headers) == 204
    assert await status(site, "GET", "/api/v1/profile", bearer(made)) == 401
    assert await status(site, "DELETE", f"{TOKENS}/{made['id']}", someone.headers) == 404
    # Other processes read this.
    assert await sql(site, "select count(*) from revocations where token_id = $1", made["id"]) == 1


async def test_a_token_ends_when_it_says(site: Running) -> None:
    someone = await person(site)
    soon = datetime.now(UTC) + timedelta(seconds=1)
    made = await make(site, someone, expires_at=soon.isoformat())
    assert await status(site, "GET", "/api/v1/profile", bearer(made)) == 200
    await sql(site, "update api_tokens set expires_at = now() where user_id = $1", someone.id)
    deadline = asyncio.get_running_loop().time() + 5
    while await status(site, "GET", "/api/v1/profile", bearer(made)) != 401:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    "body",
    [
        {"name": "", "scopes": ["read"]}, {"name": "   ", "scopes": ["read"]}, {"name": "x" * 101, "scopes": ["read"]},
        {"name": "a\x00b", "scopes": ["read"]}, {"name": "x", "scopes": []}, {"name": "x", "scopes": ["session"]},
        {"name": "x", "scopes": ["everything"]}, {"name": "x"}, {"name": "x", "scopes": ["read"] * 5},
        {"name": "x", "scopes": ["read"], "user_id": 1},
        {"name": "x", "scopes": ["read"], "expires_at": "2020-01-01T00:00:00Z"},
        {"name": "x", "scopes": ["read"], "expires_at": "0001-01-01T00:00:00+14:00"},
        {"name": "x", "scopes": ["read"], "expires_at": "9999-12-31T23:59:59-14:00"},
        {"name": "x", "scopes": ["read"], "expires_at": "2030-01-01T00:00:00"},
    ],
)  # fmt: skip
async def test_a_token_that_makes_no_sense_is_not_made(site: Running, body: dict[str, Any]) -> None:
    someone = await person(site)
    async with site.client.post(TOKENS, json=body, headers=someone.headers) as answer:
        assert (await problem(answer, 422))["errors"]


async def test_fifty_tokens_and_no_more_however_fast_they_are_asked_for(site: Running) -> None:
    someone = await person(site)
    await sql(
        site, "insert into api_tokens (user_id, name, token_hash, scopes)"
        " select $1, 'x', uuid_send(gen_random_uuid()), '{read}' from generate_series(1, 48)", someone.id,
    )  # fmt: skip
    body = {"name": "x", "scopes": ["read"]}
    answers = await asyncio.gather(*(status(site, "POST", TOKENS, someone.headers, body) for _ in range(5)))
    assert sorted(answers) == [201, 201, 409, 409, 409]
    async with site.client.get(f"{TOKENS}?limit=30", headers=someone.headers) as answer:
        first = await answer.json()
    async with site.client.get(first["next"], headers=someone.headers) as answer:
        second = await answer.json()
    ids = {row["id"] for row in first["results"] + second["results"]}
    assert (first["count"], len(ids), second["next"]) == (50, 50, None)


async def test_an_account_that_is_gone_makes_no_tokens(site: Running) -> None:
    gone = sign_in(site, 2**40)
    assert await status(site, "POST", TOKENS, gone.headers, {"name": "x", "scopes": ["read"]}) == 401


@pytest.mark.parametrize("token_id", ["x", "1", "0" * 36, "00000000-0000-0000-0000-000000000000", "%00"])
async def test_what_is_no_token_of_mine_is_not_found(site: Running, token_id: str) -> None:
    someone = await person(site)
    for method in ("GET", "DELETE"):
        assert await status(site, method, f"{TOKENS}/{token_id}", someone.headers) == 404


async def test_who_was_here_and_which_token_was_used_is_written_down(site: Running) -> None:
    someone, silent = await person(site), await make_user(site.app[DATABASE].dsn)
    made = await make(site, someone)
    await status(site, "GET", "/api/v1/profile", bearer(made))
    gone = 2**40
    site.app[IDENTITIES].seen.add(gone)
    presence = Presence(site.app[DATABASE], site.app[IDENTITIES].take_seen)
    await presence.on_tick()
    used = "select last_used_at > now() - interval '1 minute' from api_tokens where user_id = $1"
    assert await sql(site, used, someone.id)
    seen = (
        "select count(*) from user_presence where user_id = any ($1) and last_active_at > now() - interval '1 minute'"
    )
    assert await sql(site, seen, [someone.id, silent, gone]) == 1
    assert site.app[IDENTITIES].seen == set()


async def test_what_was_seen_while_the_database_was_away_is_written_later(site: Running) -> None:
    someone = await person(site)
    waiting: list[tuple[set[int], set[Any]]] = [({someone.id}, set()), (set(), set())]
    database = site.app[DATABASE]
    presence = Presence(database, lambda: waiting.pop(0))
    away = type(database)("postgresql://127.0.0.1:1/none")
    presence._database = away
    await presence.on_tick()
    presence._database = database
    await presence.on_stop()
    assert await sql(site, "select count(*) from user_presence where user_id = $1", someone.id) == 1
