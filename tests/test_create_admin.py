"""`run.py create-admin`: makes or promotes an administrator, and ends what was signed in before."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from server.commands import create_admin
from server.errors import Unprocessable
from server.settings import Settings, load
from tests.accounts import API, bearer, log_in, me, sign_up
from tests.http_fixture import ON_18
from tests.running import running

pytestmark = ON_18
PASSWORD = "an operator's choice"
EMAIL = "Keeper@Example.org"


def settings(dsn: str, data_dir: Path, password: str = PASSWORD) -> Settings:
    return load({"DATABASE_URL": dsn, "DATA_DIR": str(data_dir), "ADMIN_PASSWORD": password})


async def make(given: Settings, email: str = EMAIL) -> int:
    return await create_admin.run(given, argparse.Namespace(email=email))


async def test_the_first_administrator_is_made_and_signs_in(
    dsn: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await make(settings(dsn, tmp_path)) == 0
    assert "created administrator Keeper" in capsys.readouterr().out
    async with running(dsn, tmp_path) as site:
        tokens = await log_in(site, EMAIL, PASSWORD)
        async with site.client.get(f"{API}/auth/me", headers=bearer(tokens)) as answer:
            who = await answer.json()
        assert (who["role"], who["email_verified"], who["username"]) == ("admin", True, "Keeper")


async def test_an_account_is_promoted_and_what_was_signed_in_no_longer_is(dsn: str, tmp_path: Path) -> None:
    async with running(dsn, tmp_path) as site:
        account = await sign_up(site, EMAIL)
        tokens = await log_in(site, EMAIL)
        later = await sign_up(site, EMAIL)
    await make(settings(dsn, tmp_path))
    async with running(dsn, tmp_path) as site:
        assert await me(site, tokens) == 401
        body = {"refresh_token": tokens["refresh_token"]}
        async with site.client.post(f"{API}/auth/refresh", json=body) as answer:
            assert answer.status == 401
        fresh = await log_in(site, account.username, PASSWORD)
        async with site.client.get(f"{API}/auth/me", headers=bearer(fresh)) as answer:
            assert (await answer.json())["role"] == "admin"
        # Who claims the same address is somebody else.
        other = await log_in(site, later.username)
        async with site.client.get(f"{API}/auth/me", headers=bearer(other)) as answer:
            assert (await answer.json())["role"] == "user"


async def test_a_promotion_is_written_down_once_and_a_new_account_is_no_change(
    dsn: str, conn: Any, tmp_path: Path
) -> None:
    await make(settings(dsn, tmp_path), "new@x.org")
    assert await conn.fetchval("select count(*) from revisions") == 0
    promoted = await conn.fetchval(
        "insert into users (username, username_key, email, email_key, role)"
        " values ('mod', 'mod', 'mod@x.org', 'mod@x.org', 'moderator') returning id"
    )
    for _ in range(2):
        await make(settings(dsn, tmp_path), "mod@x.org")
    rows = await conn.fetch("select noun, entity_id, action, origin, actor_id, diff from revisions")
    diff = {"role": ["moderator", "admin"]}
    assert [tuple(row) for row in rows] == [("user", promoted, "updated", "cms", None, diff)]


async def test_whoever_proved_the_address_is_promoted_before_who_claimed_it_first(
    dsn: str, conn: Any, tmp_path: Path
) -> None:
    add = (
        "insert into users (username, username_key, email, email_key, email_verified_at)"
        " values ($1, $1, 'a@x.org', 'a@x.org', $2) returning id"
    )
    await conn.fetchval(add, "claimant", None)
    proved = await conn.fetchval(add, "owner", await conn.fetchval("select now()"))
    await make(settings(dsn, tmp_path), "a@x.org")
    assert await conn.fetchval("select id from users where role = 'admin'") == proved


async def test_a_username_that_is_taken_gets_a_number(dsn: str, conn: Any, tmp_path: Path) -> None:
    await conn.execute("insert into users (username, username_key) values ('KEEPER', 'keeper')")
    await make(settings(dsn, tmp_path))
    assert await conn.fetchval("select username from users where role = 'admin'") == "Keeper-2"


@pytest.mark.parametrize(("email", "password"), [("nobody", PASSWORD), (EMAIL, "short"), (EMAIL, "password123")])
async def test_what_does_not_fit_is_refused(dsn: str, conn: Any, tmp_path: Path, email: str, password: str) -> None:
    with pytest.raises(Unprocessable):
        await make(settings(dsn, tmp_path, password), email)
    assert await conn.fetchval("select count(*) from users") == 0


async def test_the_prompt_asks_twice(dsn: str, conn: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = iter([PASSWORD, "something else", PASSWORD, PASSWORD])
    monkeypatch.setattr(create_admin, "getpass", lambda _: next(given))
    with pytest.raises(Unprocessable, match="terminal"):
        await make(settings(dsn, tmp_path, ""))
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(create_admin, "_let_interrupt", lambda: None)
    with pytest.raises(Unprocessable, match="differ"):
        await make(settings(dsn, tmp_path, ""))
    assert await make(settings(dsn, tmp_path, "")) == 0
    assert await conn.fetchval("select count(*) from users where role = 'admin'") == 1
