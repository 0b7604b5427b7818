"""Signing up, in and out over HTTP; sessions; a changed password."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio

from server.keys import DATABASE
from tests.accounts import API, PASSWORD, WIDE, bearer, log_in, me, post, sign_up
from tests.conftest import Server
from tests.http_fixture import SHARED, check_problem, exchange, shared_site
from tests.people import person
from tests.running import Running

pytestmark = SHARED


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with shared_site(server, tmp_path_factory.mktemp("site"), **WIDE) as started:
        yield started


async def statement(site: Running, text: str, *parameters: Any) -> Any:
    conn = await asyncpg.connect(site.app[DATABASE].dsn)
    try:
        return await conn.fetchval(text, *parameters)
    finally:
        await conn.close()


async def test_a_registered_account_signs_in_and_is_told_who_it_is(site: Running) -> None:
    wanted = {"email": "Mira@Example.org", "username": "Ｍira", "password": PASSWORD}
    async with site.client.post(f"{API}/auth/register", json=wanted) as answer:
        made = await answer.json()
        assert answer.status == 201, made
        assert answer.headers["Location"] == f"{API}/users/{made['id']}"
        assert answer.headers["Cache-Control"] == "no-store"
    tokens = await log_in(site, "mira@example.ORG")
    assert (tokens["token_type"], tokens["expires_in"]) == ("Bearer", 900)
    async with site.client.get(f"{API}/auth/me", headers=bearer(tokens)) as answer:
        assert answer.headers["Cache-Control"] == "private, no-store"
        who = await answer.json()
    assert who["session_id"] is not None
    assert {**who, "session_id": None} == made
    assert {name: who[name] for name in ("email", "email_verified", "username", "role", "scopes")} == {
        "email": "Mira@Example.org",
        "email_verified": False,
        "username": "Mira",
        "role": "user",
        "scopes": None,
    }


async def test_a_login_by_username_works_whatever_its_case(site: Running) -> None:
    account = await sign_up(site, username="Straße-7")
    assert await me(site, await log_in(site, "STRASSE-7")) == 200
    assert account.username == "Straße-7"


async def test_neither_password_nor_token_is_stored_as_it_is(site: Running) -> None:
    account = await sign_up(site)
    tokens = await log_in(site, account.email)
    stored = await statement(site, "select password_hash from users where id = $1", account.id)
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    known = "select count(*) from refresh_tokens where token_hash = sha256($1)"
    assert await statement(site, known, tokens["refresh_token"].encode()) == 1


async def test_a_username_that_is_taken_answers_409_whatever_its_case(site: Running) -> None:
    await sign_up(site, username="Keeper")
    status, body = await post(site, "register", {"email": "k@example.org", "username": "KEEPER", "password": PASSWORD})
    assert (status, body["code"]) == (409, "conflict")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", "nobody"),
        ("email", "a@b"),
        ("email", "a b@example.org"),
        ("email", "a\x00b@example.org"),
        ("email", "a@@example.org"),
        ("username", "ab"),
        ("username", "a" * 33),
        ("username", "_begins"),
        ("username", "with space"),
        ("username", "with@sign"),
        ("username", "nul\x00nul"),
        ("username", "Admin"),
        ("password", "short"),
        ("password", "zzzzzzzzzzzz"),
        ("password", "Password123"),
        ("password", "я" * 513),
        ("password", "xx-fresh-name-xx"),
        ("password", "Fresh-NamePassword1"),
    ],
)
async def test_a_value_that_does_not_fit_is_named(site: Running, field: str, value: str) -> None:
    wanted = {"email": "fresh@example.org", "username": "fresh-name", "password": PASSWORD} | {field: value}
    status, body = await post(site, "register", wanted)
    assert (status, [fault["pointer"] for fault in body["errors"]]) == (422, [f"/{field}"])


async def test_all_faults_of_a_registration_are_named_at_once(site: Running) -> None:
    status, body = await post(site, "register", {"email": "x", "username": "x", "password": "x"})
    assert status == 422
    assert {fault["pointer"] for fault in body["errors"]} == {"/email", "/username", "/password"}


async def test_a_lone_surrogate_is_the_clients_fault(site: Running) -> None:
    for path in ("register", "login", "refresh", "logout"):
        body = b'{"email": "a@example.org", "username": "\\ud800abc", "password": "\\udfffxxxxxxxx"}'
        headers = {"Content-Type": "application/json"}
        async with site.client.post(f"{API}/auth/{path}", data=body, headers=headers) as answer:
            assert answer.status in (400, 422), path


async def test_a_wrong_password_answers_401_and_says_how_to_authenticate(site: Running) -> None:
    account = await sign_up(site)
    wanted = {"email": account.email, "password": "something else"}
    async with site.client.post(f"{API}/auth/login", json=wanted) as answer:
        check_problem(401, answer.headers, await answer.read())
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_signing_out_ends_the_session_and_its_refresh_token(site: Running) -> None:
    account = await sign_up(site)
    tokens, other = await log_in(site, account.email), await log_in(site, account.email)
    assert (await post(site, "logout", **bearer(tokens)))[0] == 204
    assert await me(site, tokens) == 401
    assert (await post(site, "refresh", {"refresh_token": tokens["refresh_token"]}))[0] == 401
    assert await me(site, other) == 200


async def test_a_refresh_token_is_enough_to_sign_out(site: Running) -> None:
    account = await sign_up(site)
    tokens = await log_in(site, account.email)
    body = {"refresh_token": tokens["refresh_token"]}
    assert (await post(site, "logout", body, Authorization="Bearer nonsense"))[0] == 204
    assert await me(site, tokens) == 401
    # Once more is no fault: it has ended.
    assert (await post(site, "logout", body))[0] == 204


async def test_signing_out_as_nobody_answers_401(site: Running) -> None:
    assert (await post(site, "logout"))[0] == 401
    assert (await post(site, "logout", {}))[0] == 401


async def test_another_password_ends_everything_else_and_keeps_the_session_that_asked(site: Running) -> None:
    account = await sign_up(site)
    tokens, other = await log_in(site, account.email), await log_in(site, account.email)
    await statement(
        site,
        "insert into api_tokens (user_id, name, token_hash, scopes) values ($1, 'x', sha256('yjh_x'), '{read}')",
        account.id,
    )
    machine = {"access_token": "yjh_x"}
    assert await me(site, machine) == 200
    change = {"current_password": PASSWORD, "new_password": "four louder lanterns"}
    status, fresh = await post(site, "password/change", change, **bearer(tokens))
    assert status == 200, fresh
    assert [await me(site, one) for one in (tokens, other, machine, fresh)] == [401, 401, 401, 200]
    for old in (tokens, other):
        assert (await post(site, "refresh", {"refresh_token": old["refresh_token"]}))[0] == 401
    assert (await post(site, "refresh", {"refresh_token": fresh["refresh_token"]}))[0] == 200
    assert (await post(site, "login", {"email": account.email, "password": PASSWORD}))[0] == 401
    await log_in(site, account.email, "four louder lanterns")


@pytest.mark.parametrize(
    ("current", "new", "pointer"),
    [
        ("not my password", "four louder lanterns", "/current_password"),
        (PASSWORD, "short", "/new_password"),
        (PASSWORD, PASSWORD, "/new_password"),
    ],
)
async def test_a_password_that_does_not_fit_changes_nothing(
    site: Running, current: str, new: str, pointer: str
) -> None:
    account = await sign_up(site)
    tokens = await log_in(site, account.email)
    change = {"current_password": current, "new_password": new}
    status, body = await post(site, "password/change", change, **bearer(tokens))
    assert (status, [fault["pointer"] for fault in body["errors"]]) == (422, [pointer])
    assert await me(site, tokens) == 200


async def test_sessions_are_listed_and_ended_one_by_one(site: Running) -> None:
    account = await sign_up(site)
    tokens, other = await log_in(site, account.email), await log_in(site, account.email)
    async with site.client.get(f"{API}/auth/sessions?limit=1", headers=bearer(tokens)) as answer:
        first = await answer.json()
    assert (first["count"], len(first["results"])) == (2, 1)
    async with site.client.get(first["next"], headers=bearer(tokens)) as answer:
        listed = first["results"] + (await answer.json())["results"]
    current = {row["current"]: row for row in listed}
    assert set(current) == {True, False}
    assert current[True]["network"] == "127.0.0.0/24"
    assert current[True]["user_agent"].startswith("Python")
    path = f"{API}/auth/sessions/{current[False]['id']}"
    async with site.client.delete(path, headers=bearer(tokens)) as answer:
        assert answer.status == 204
    assert (await me(site, tokens), await me(site, other)) == (200, 401)
    async with site.client.delete(path, headers=bearer(tokens)) as answer:
        assert answer.status == 404


async def test_nobody_ends_the_session_of_another(site: Running) -> None:
    account, stranger = await sign_up(site), await person(site)
    tokens = await log_in(site, account.email)
    async with site.client.get(f"{API}/auth/me", headers=bearer(tokens)) as answer:
        session_id = (await answer.json())["session_id"]
    for path in (session_id, uuid4(), "nonsense", "a" * 36):
        async with site.client.delete(f"{API}/auth/sessions/{path}", headers=stranger.headers) as answer:
            assert answer.status == 404
    assert await me(site, tokens) == 200


async def test_all_other_sessions_end_at_once(site: Running) -> None:
    account = await sign_up(site)
    tokens, *others = [await log_in(site, account.email) for _ in range(3)]
    async with site.client.delete(f"{API}/auth/sessions", headers=bearer(tokens)) as answer:
        assert answer.status == 204
    assert [await me(site, one) for one in (tokens, *others)] == [200, 401, 401]


async def test_beyond_a_hundred_sessions_the_least_recently_used_goes(site: Running) -> None:
    account = await sign_up(site)
    oldest = await log_in(site, account.email)
    await statement(
        site,
        "with made as (insert into sessions (user_id, expires_at)"
        " select $1, now() + interval '1 day' from generate_series(1, 99) returning 1) select count(*) from made",
        account.id,
    )
    assert await me(site, oldest) == 200
    newest = await log_in(site, account.email)
    assert (await me(site, oldest), await me(site, newest)) == (401, 200)
    alive = "select count(*) from sessions where user_id = $1 and revoked_at is null"
    assert await statement(site, alive, account.id) == 100


async def test_a_hash_of_older_parameters_is_made_anew_at_the_next_login(site: Running) -> None:
    from argon2 import PasswordHasher  # noqa: PLC0415 - only here

    account = await sign_up(site)
    old = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
    await statement(site, "update users set password_hash = $2 where id = $1", account.id, old)
    await log_in(site, account.email)
    stored = await statement(site, "select password_hash from users where id = $1", account.id)
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    await log_in(site, account.email)


async def test_an_odd_user_agent_is_stored_as_far_as_it_can_be(site: Running) -> None:
    account = await sign_up(site)
    body = json.dumps({"email": account.email, "password": PASSWORD}).encode()
    head = f"POST {API}/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\nUser-Agent: odd ".encode()
    answer = await exchange(site.port, head + b"\xff" + b"x" * 500 + b"\r\n\r\n" + body)
    assert answer.status == 200, answer
    stored = await statement(site, "select user_agent from sessions where user_id = $1", account.id)
    assert (len(stored), stored[:5]) == (200, "odd ?")


async def test_a_token_of_a_machine_manages_no_credentials(site: Running) -> None:
    account = await sign_up(site)
    await statement(
        site,
        "insert into api_tokens (user_id, name, token_hash, scopes)"
        " values ($1, 'x', sha256('yjh_all'), '{read,write,admin}')",
        account.id,
    )
    machine = {"Authorization": "Bearer yjh_all"}
    calls = (("GET", "sessions"), ("DELETE", "sessions"), ("POST", "password/change"), ("POST", "logout"))
    for method, path in calls:
        async with site.client.request(method, f"{API}/auth/{path}", headers=machine, json=None) as answer:
            assert (path, answer.status) == (path, 403)
