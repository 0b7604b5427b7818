"""Revocations: other processes hear of them within a tick, what is marked meanwhile is not lost, and they end."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from actors.revocations import RevocationKeeper
from server import revoking
from server.database import Database
from server.identity import Revocations
from sql import accounts, revocations
from tests.accounts import bearer, log_in, me, post, sign_up
from tests.http_fixture import ON_18
from tests.people import make_user
from tests.running import running


@ON_18
async def test_another_process_refuses_what_this_one_has_ended_within_a_tick(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert RevocationKeeper.interval is not None
    assert RevocationKeeper.interval <= 30
    monkeypatch.setattr(RevocationKeeper, "interval", 0.1)
    key = {"SECRET_KEY": "one key for the two of them"}
    async with running(dsn, tmp_path / "a", **key) as one, running(dsn, tmp_path / "b", **key) as other:
        account = await sign_up(one)
        tokens, changed = await log_in(one, account.email), await log_in(one, account.email)
        assert (await me(other, tokens), await me(other, changed)) == (200, 200)
        assert (await post(one, "logout", **bearer(tokens)))[0] == 204
        change = {"current_password": "three quiet lanterns", "new_password": "four louder lanterns"}
        status, fresh = await post(one, "password/change", change, **bearer(changed))
        assert status == 200
        async with asyncio.timeout(10):
            while [await me(other, one) for one in (tokens, changed)] != [401, 401]:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.02)
        assert (await me(other, fresh), await me(one, fresh)) == (200, 200)


async def test_sets_are_replaced_by_what_still_holds(dsn: str, conn: Any) -> None:
    session, token, ended = uuid4(), uuid4(), uuid4()
    await revocations.revoke_sessions(conn, [session, ended])
    await revocations.revoke_tokens(conn, [token])
    await revocations.revoke_versions(conn, 7, 5)
    await revocations.revoke_versions(conn, 7, 4)
    await conn.execute("update revocations set expires_at = now() where session_id = $1", ended)
    held = Revocations(sessions={uuid4()}, tokens={uuid4()}, versions={9: 2})
    database = Database(dsn)
    await database.open()
    keeper = RevocationKeeper(database, held)
    await keeper.on_start()
    assert (held.sessions, held.tokens, held.versions) == ({session}, {token}, {7: 5})
    # Longer than an access token lives.
    left = "select min(extract(epoch from expires_at - now())) from revocations where expires_at > now()"
    assert await conn.fetchval(left) > 900
    await conn.execute("update revocations set expires_at = now()")
    await keeper.on_tick()
    assert (held.sessions, held.tokens, held.versions) == (set(), set(), {})
    await database.close()


async def test_what_is_marked_while_the_query_runs_is_kept(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    held = Revocations(versions={7: 2})
    session, token = uuid4(), uuid4()
    read = revocations.current

    async def slowly(conn: Any, most: int) -> Any:
        rows = await read(conn, most)
        revoking.mark(held, sessions=[session], tokens=[token], versions={7: 3, 8: 1})
        return rows

    monkeypatch.setattr(revocations, "current", slowly)
    database = Database(dsn)
    await database.open()
    await RevocationKeeper(database, held).on_start()
    assert (held.sessions, held.tokens, held.versions) == ({session}, {token}, {7: 3, 8: 1})
    await database.close()


async def test_while_the_database_is_away_what_is_known_stays(dsn: str) -> None:
    session = uuid4()
    held = Revocations(sessions={session})
    keeper = RevocationKeeper(Database(dsn), held)
    await keeper.on_tick()
    assert held.sessions == {session}


async def test_a_changed_role_voids_access_tokens_and_leaves_sessions(dsn: str, conn: Any) -> None:
    user_id = await make_user(dsn)
    await conn.execute("insert into sessions (user_id, expires_at) values ($1, now() + interval '1 day')", user_id)
    assert await accounts.raise_version(conn, user_id) == 2
    rows = await revocations.current(conn, 10)
    assert [(row.user_id, row.credentials_version) for row in rows] == [(user_id, 2)]
    assert await conn.fetchval("select count(*) from sessions where revoked_at is null") == 1
