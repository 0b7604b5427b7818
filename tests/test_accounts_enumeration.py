"""Whether an address is known here is told by no answer and by no amount of work; and whose it is in the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio

from server.keys import DATABASE, HASHER, METER
from server.rules.limits import account_key
from tests.accounts import API, PASSWORD, WIDE, log_in, post, sign_up
from tests.conftest import Server
from tests.http_fixture import SHARED, queries_seen, shared_site
from tests.running import Running, running

pytestmark = SHARED


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with shared_site(server, tmp_path_factory.mktemp("site"), **WIDE) as started:
        yield started


def address() -> str:
    return f"{uuid4().hex[:12]}@example.org"


def name() -> str:
    return f"n{uuid4().hex[:12]}"


async def verified(site: Running, user_id: int) -> None:
    conn = await asyncpg.connect(site.app[DATABASE].dsn)
    await conn.execute("update users set email_verified_at = now() where id = $1", user_id)
    await conn.close()


async def answered(site: Running, path: str, body: dict[str, Any]) -> tuple[int, set[str], dict[str, Any], list[str]]:
    """What an observer sees, less what is of this request alone; and the work behind it."""
    with queries_seen() as queries:
        async with site.client.post(f"{API}/auth/{path}", json=body) as answer:
            fields = await answer.json()
            seen = {key for key in answer.headers if key not in ("Date", "X-Request-ID")}
    for own in ("id", "email", "username", "created_at", "request_id"):
        fields.pop(own, None)
    ours = [query for query in queries if query in ("username_taken", "create", "me", "claimants", "by_username")]
    return answer.status, seen, fields, ours


@pytest.mark.parametrize("settled", [False, True])
async def test_registering_a_known_address_answers_as_for_an_unknown_one(site: Running, settled: bool) -> None:
    known = await sign_up(site)
    if settled:
        await verified(site, known.id)
    hasher = site.app[HASHER]
    work = []
    outcomes = []
    for email in (known.email, address()):
        before = hasher.hashes, hasher.verifications
        outcomes.append(await answered(site, "register", {"email": email, "username": name(), "password": PASSWORD}))
        work.append((hasher.hashes - before[0], hasher.verifications - before[1]))
    assert outcomes[0] == outcomes[1]
    assert outcomes[0][0] == 201
    assert work == [(1, 0)] * 2


async def test_a_failed_login_verifies_two_hashes_whoever_it_is_about(site: Running) -> None:
    one, two, three, settled = address(), address(), address(), address()
    single = await sign_up(site, one)
    for count, email in ((2, two), (3, three)):
        for _ in range(count):
            await sign_up(site, email)
    await verified(site, (await sign_up(site, settled)).id)
    await sign_up(site, settled)
    hasher = site.app[HASHER]
    outcomes = []
    for given in (one, two, three, settled, address(), single.username, name()):
        before = hasher.verifications
        found = await answered(site, "login", {"email": given, "password": "not the password"})
        assert hasher.verifications - before == 2, given
        outcomes.append(found[:3])
    assert all(outcome == outcomes[0] for outcome in outcomes)
    assert outcomes[0][0] == 401


async def test_a_name_that_cannot_be_one_is_refused_as_such(site: Running) -> None:
    for given in ("odd\x00@example.org", "odd\x00", "x" * 255):
        assert (await post(site, "login", {"email": given, "password": PASSWORD}))[0] == 422


async def test_a_first_claim_keeps_no_other_from_signing_in_and_the_other_way_round(site: Running) -> None:
    email = address()
    first = await sign_up(site, email, password="the first password")
    second = await sign_up(site, email, password="the second password")
    assert first.id != second.id
    await log_in(site, email, "the first password")
    await log_in(site, email, "the second password")


async def test_whoever_proved_the_address_signs_in_with_it_however_many_claim_it(site: Running) -> None:
    email = address()
    await sign_up(site, email, password="the first password")
    owner = await sign_up(site, email, password="the owner's password")
    await verified(site, owner.id)
    for number in range(3):
        # Three claims a day are all that one address is granted.
        site.app[METER].tables["register-account"].younger.clear()
        await sign_up(site, email, password=f"another password {number}")
    await log_in(site, email, "the owner's password")
    await log_in(site, email, "another password 2")
    # A claim that is neither the newest nor the proved one still has its username.
    for given in ("the first password", "another password 1"):
        assert (await post(site, "login", {"email": email, "password": given}))[0] == 401
    assert (await post(site, "login", {"email": owner.username, "password": "the owner's password"}))[0] == 200


async def test_an_account_without_a_password_lets_nobody_in(site: Running) -> None:
    account = await sign_up(site)
    conn = await asyncpg.connect(site.app[DATABASE].dsn)
    await conn.execute("update users set password_hash = null where id = $1", account.id)
    await conn.close()
    for password in ("", PASSWORD):
        assert (await post(site, "login", {"email": account.email, "password": password}))[0] == 401


async def test_ten_failed_logins_of_one_account_and_the_next_waits_even_if_it_is_right(site: Running) -> None:
    account = await sign_up(site)
    wrong = {"email": account.email, "password": "not the password"}
    assert [(await post(site, "login", wrong))[0] for _ in range(10)] == [401] * 10
    async with site.client.post(f"{API}/auth/login", json=wrong | {"password": PASSWORD}) as answer:
        assert answer.status == 429
        assert 1 <= int(answer.headers["Retry-After"]) <= 31
        assert '"login-account";q=10;w=300' in answer.headers["RateLimit-Policy"]
    # An address nobody has is refused alike.
    nobody = {"email": address(), "password": "not the password"}
    assert [(await post(site, "login", nobody))[0] for _ in range(11)] == [401] * 10 + [429]


async def test_logins_that_succeed_and_those_turned_away_cost_the_account_nothing(site: Running) -> None:
    account = await sign_up(site)
    for _ in range(12):
        await log_in(site, account.email)
    hasher = site.app[HASHER]
    hasher.most_waiting = -1
    try:
        for _ in range(12):
            async with site.client.post(
                f"{API}/auth/login", json={"email": account.email, "password": PASSWORD}
            ) as answer:
                assert (answer.status, int(answer.headers["Retry-After"]) >= 1) == (503, True)
    finally:
        hasher.most_waiting = 8
    meter = site.app[METER]
    assert meter.tables["login-account"].get(account_key(account.email)) <= meter.clock() + 0.01


async def test_what_is_left_of_an_accounts_quota_shows_in_no_header(site: Running) -> None:
    email = address()
    wanted = {"email": email, "username": name(), "password": PASSWORD}
    async with site.client.post(f"{API}/auth/register", json=wanted) as answer:
        assert "-account" not in answer.headers["RateLimit"]
    async with site.client.post(f"{API}/auth/login", json={"email": email, "password": PASSWORD}) as answer:
        assert answer.status == 200
        assert "-account" not in answer.headers["RateLimit"]


async def test_one_address_is_claimed_three_times_a_day(site: Running) -> None:
    email = address()
    for _ in range(3):
        await sign_up(site, email)
    status, _ = await post(site, "register", {"email": email.upper(), "username": name(), "password": PASSWORD})
    assert status == 429
    # A refusal for a bad value is none for the address.
    assert (await post(site, "register", {"email": email, "username": "x", "password": PASSWORD}))[0] == 422


async def test_two_who_want_one_username_at_once_do_not_both_get_it(site: Running) -> None:
    wanted = {"username": name(), "password": PASSWORD}
    outcomes = await asyncio.gather(*(post(site, "register", wanted | {"email": address()}) for _ in range(4)))
    assert sorted(status for status, _ in outcomes) == [201, 409, 409, 409]


async def test_logins_and_registrations_of_one_address_of_the_network_are_limited(dsn: str, tmp_path: Any) -> None:
    limits = {"LOGIN_RATE_LIMIT": "3/minute", "REGISTER_RATE_LIMIT": "2/hour"}
    async with running(dsn, tmp_path, **limits) as own:
        made = [
            (await post(own, "register", {"email": address(), "username": name(), "password": PASSWORD}))[0]
            for _ in range(3)
        ]
        assert made == [201, 201, 429]
        tried = [(await post(own, "login", {"email": address(), "password": "x"}))[0] for _ in range(4)]
        assert tried == [401, 401, 401, 429]


@pytest.mark.parametrize("mail", [False, True])
async def test_a_verification_is_asked_for_where_there_is_a_mail_server(dsn: str, tmp_path: Any, mail: bool) -> None:
    settings = {"SMTP_URL": "smtp://127.0.0.1:1", "MAIL_FROM": "y@example.org", "PUBLIC_URL": "https://y.example"}
    async with running(dsn, tmp_path, **(settings if mail else {})) as own:
        account = await sign_up(own)
        conn = await asyncpg.connect(dsn)
        events = await conn.fetch("select entity, user_id, payload::text from outbox where topic = 'mail'")
        await conn.close()
    expected = [(f"user:{account.id}", account.id, '{"kind": "verify"}')]
    assert [tuple(event) for event in events] == (expected if mail else [])
