"""Tokens: refresh tokens rotate and tell of theft; access tokens are ours or are refused; keys rotate."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import jwt
import pytest
import pytest_asyncio

from server.accounts import GRACE
from server.identity import ALGORITHM, AUDIENCE, ISSUER, key_id, signing_key
from server.keys import DATABASE, IDENTITIES
from tests.accounts import WIDE, bearer, log_in, me, post, sign_up
from tests.conftest import Server
from tests.http_fixture import SHARED, shared_site
from tests.running import Running, running

pytestmark = SHARED
KEY = "a-key-for-the-tests-of-tokens"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with shared_site(server, tmp_path_factory.mktemp("site"), SECRET_KEY=KEY, **WIDE) as started:
        yield started


async def refreshed(site: Running, tokens: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    return await post(site, "refresh", {"refresh_token": tokens["refresh_token"]})


async def used_long_ago(site: Running, account_id: int) -> None:
    """Put the first use of every used refresh token of the account before its grace."""
    conn = await asyncpg.connect(site.app[DATABASE].dsn)
    await conn.execute(
        "update refresh_tokens t set used_at = used_at - make_interval(secs => $2)"
        " from sessions s where s.id = t.session_id and s.user_id = $1 and used_at is not null",
        account_id, GRACE + 1,
    )  # fmt: skip
    await conn.close()


async def test_a_refresh_token_gives_the_next_pair_of_the_same_session(site: Running) -> None:
    account = await sign_up(site)
    first = await log_in(site, account.email)
    status, second = await refreshed(site, first)
    assert (status, set(second)) == (200, {"access_token", "refresh_token", "token_type", "expires_in"})
    assert second["refresh_token"] != first["refresh_token"]
    check = site.app[IDENTITIES].tokens.check
    assert check(first["access_token"]).session_id == check(second["access_token"]).session_id
    assert (await refreshed(site, second))[0] == 200


async def test_within_its_grace_a_used_token_gives_another_pair(site: Running) -> None:
    account = await sign_up(site)
    first = await log_in(site, account.email)
    (_, second), (status, third) = await refreshed(site, first), await refreshed(site, first)
    assert status == 200
    assert [(await refreshed(site, one))[0] for one in (second, third)] == [200, 200]


async def test_a_used_token_that_comes_again_later_ends_the_whole_session(site: Running) -> None:
    account = await sign_up(site)
    first, elsewhere = await log_in(site, account.email), await log_in(site, account.email)
    _, second = await refreshed(site, first)
    assert await me(site, second) == 200
    await used_long_ago(site, account.id)
    assert (await refreshed(site, first))[0] == 401
    assert [await me(site, one) for one in (first, second, elsewhere)] == [401, 401, 200]
    assert (await refreshed(site, second))[0] == 401


async def test_parallel_refreshes_with_one_token_all_get_a_pair_of_their_own(site: Running) -> None:
    account = await sign_up(site)
    first = await log_in(site, account.email)
    answers = await asyncio.gather(*(refreshed(site, first) for _ in range(5)))
    assert [status for status, _ in answers] == [200] * 5
    assert len({body["refresh_token"] for _, body in answers}) == 5
    # The first use decides how long the grace lasts: it was noted once.
    await used_long_ago(site, account.id)
    assert (await refreshed(site, first))[0] == 401


async def test_a_refresh_and_a_new_password_at_once_leave_no_token_behind(site: Running) -> None:
    for _ in range(5):
        account = await sign_up(site)
        tokens, other = await log_in(site, account.email), await log_in(site, account.email)
        change = {"current_password": "three quiet lanterns", "new_password": "four louder lanterns"}
        outcomes = await asyncio.gather(
            post(site, "password/change", change, **bearer(tokens)), *(refreshed(site, one) for one in (other, tokens))
        )
        assert outcomes[0][0] == 200
        assert await me(site, outcomes[0][1]) == 200
        for status, body in outcomes[1:]:
            if status == 200:
                assert await me(site, body) == 401
                assert (await refreshed(site, body))[0] == 401


@pytest.mark.parametrize("token", ["x", "A" * 43, "nul\x00", "ключ"])
async def test_an_unknown_refresh_token_answers_401(site: Running, token: str) -> None:
    assert (await post(site, "refresh", {"refresh_token": token}))[0] == 401


async def test_an_expired_session_refreshes_no_more(site: Running) -> None:
    account = await sign_up(site)
    tokens = await log_in(site, account.email)
    conn = await asyncpg.connect(site.app[DATABASE].dsn)
    await conn.execute("update sessions set expires_at = now() where user_id = $1", account.id)
    await conn.close()
    assert (await refreshed(site, tokens))[0] == 401


def claims(**changed: Any) -> dict[str, Any]:
    now = int(time.time())
    whole = {
        "iss": ISSUER, "aud": AUDIENCE, "sub": "1", "sid": str(uuid4()), "role": "user", "ver": 1, "iat": now,
        "exp": now + 900,
    }  # fmt: skip
    return {name: value for name, value in (whole | changed).items() if value is not None}


def forged(*, key: bytes = signing_key(KEY.encode()), kid: Any = key_id(KEY.encode()), **changed: Any) -> str:  # noqa: B008
    headers = {} if kid is None else {"kid": kid}
    return jwt.encode(claims(**changed), key, ALGORITHM, headers=headers)


def unsigned() -> str:
    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'none', 'typ': 'JWT', 'kid': key_id(KEY.encode())})}.{part(claims())}."


def tampered() -> str:
    head, body, signature = forged().split(".")
    raised = base64.urlsafe_b64encode(json.dumps(claims(role="admin")).encode()).rstrip(b"=").decode()
    assert raised != body
    return f"{head}.{raised}.{signature}"


WRONG = {
    "unsigned": unsigned,
    "tampered with": tampered,
    "signed with the secret itself": lambda: forged(key=KEY.encode().ljust(32, b"x")),
    "signed with another key": lambda: forged(key=signing_key(b"another key")),
    "of an unknown key id": lambda: forged(kid="000000000000"),
    "of no key id": lambda: forged(kid=None),
    "of HS512": lambda: jwt.encode(
        claims(), signing_key(KEY.encode()) * 2, "HS512", headers={"kid": key_id(KEY.encode())}
    ),
    "of another issuer": lambda: forged(iss="somebody"),
    "for another audience": lambda: forged(aud="another-api"),
    "expired": lambda: forged(exp=int(time.time()) - 1),
    "of the future": lambda: forged(iat=int(time.time()) + 3600),
    "of a role there is not": lambda: forged(role="root"),
    "of a session that is none": lambda: forged(sid="x"),
    "of a user that is none": lambda: forged(sub="x"),
    "cut off": lambda: forged()[:-4],
    "empty": lambda: "..",
    **{
        f"without {name}": lambda name=name: forged(**{name: None})
        for name in ("exp", "iat", "iss", "aud", "sub", "sid", "role", "ver")
    },
}


async def test_a_token_as_we_make_it_counts(site: Running) -> None:
    account = await sign_up(site)
    assert await me(site, {"access_token": forged(sub=str(account.id))}) == 200


@pytest.mark.parametrize("make", WRONG.values(), ids=WRONG.keys())
async def test_a_token_that_is_not_ours_answers_401(site: Running, make: Any) -> None:
    assert await me(site, {"access_token": make()}) == 401


async def test_a_token_of_an_account_that_is_gone_answers_401(site: Running) -> None:
    assert await me(site, {"access_token": forged(sub="999999999")}) == 401


async def test_sessions_outlive_a_restart_and_a_rotated_key(dsn: str, tmp_path: Path) -> None:
    async with running(dsn, tmp_path, SECRET_KEY="the-first-key-of-three") as site:
        account = await sign_up(site)
        tokens, ended = await log_in(site, account.email), await log_in(site, account.email)
        assert (await post(site, "logout", **bearer(ended)))[0] == 204
    async with running(dsn, tmp_path, SECRET_KEY="the-second-key-of-three,the-first-key-of-three") as site:
        # The revocations were loaded before the first request.
        assert (await me(site, tokens), await me(site, ended)) == (200, 401)
        status, fresh = await refreshed(site, tokens)
        assert status == 200
        assert jwt.get_unverified_header(fresh["access_token"])["kid"] == key_id(b"the-second-key-of-three")
    async with running(dsn, tmp_path, SECRET_KEY="the-second-key-of-three") as site:
        assert (await me(site, tokens), await me(site, fresh)) == (401, 200)
        assert (await refreshed(site, fresh))[0] == 200


async def test_without_a_key_one_is_made_and_kept(dsn: str, tmp_path: Path) -> None:
    async with running(dsn, tmp_path) as site:
        account = await sign_up(site)
        tokens = await log_in(site, account.email)
    assert (tmp_path / "secret_key").stat().st_mode & 0o777 == 0o600
    async with running(dsn, tmp_path) as site:
        assert await me(site, tokens) == 200


async def test_the_lock_file_of_the_server_has_no_cryptography(server: Server) -> None:
    lines = Path(__file__).parents[1].joinpath("requirements.lock").read_text("utf-8").splitlines()
    names = {line.partition("==")[0].strip().lower() for line in lines if "==" in line}
    assert "pyjwt" in names
    assert "cryptography" not in names
