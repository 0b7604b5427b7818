"""No statement about accounts and sessions reads a table from end to end once there are many."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from server.database import connect
from sql.query import load
from tests.conftest import Server
from tests.http_fixture import SHARED

pytestmark = SHARED
QUERIES = [query for noun in ("accounts", "sessions", "revocations") for query in load(noun)]
MANY = """
    insert into users (username, username_key, email, email_key, email_verified_at)
        select 'u' || n, 'u' || n, 'e' || n / 3, 'e' || n / 3, case n % 3 when 0 then now() end
        from generate_series(1, 20000) n;
    insert into sessions (user_id, expires_at) select id, now() + interval '1 day' from users, generate_series(1, 2);
    insert into refresh_tokens (token_hash, session_id) select sha256(id::text::bytea), id from sessions;
    insert into api_tokens (user_id, name, token_hash, scopes) select id, 'x', sha256(id::text::bytea), '{}' from users;
    insert into account_tokens (token_hash, user_id, purpose, email_key, expires_at)
        select sha256(id::text::bytea), id, 'reset', email_key, now() from users;
    insert into revocations (user_id, credentials_version, expires_at)
        select id, 1, now() + make_interval(secs => id % 960 - 900) from users;
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def conn(server: Server) -> AsyncIterator[Any]:
    admin = await asyncpg.connect(server.dsn("postgres"))
    await admin.execute(f"create database test_accounts_plans template {server.template} strategy file_copy")
    connection = await connect(server.dsn("test_accounts_plans"))
    await connection.execute(MANY)
    await connection.execute("analyze")
    await connection.execute("set plan_cache_mode = force_generic_plan")
    yield connection
    await connection.close()
    await admin.execute("drop database test_accounts_plans with (force)")
    await admin.close()


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.name)
async def test_a_statement_finds_its_rows_by_an_index(conn: Any, query: Any) -> None:
    count = max((int(number) for number in re.findall(r"\$(\d+)", query.text)), default=0)
    await conn.execute(f"prepare statement as {query.text}")
    try:
        # With the bound of a page, where there is one.
        given = ", ".join("100" if f"limit ${number}" in query.text else "null" for number in range(1, count + 1))
        plan = "\n".join(row[0] for row in await conn.fetch(f"explain execute statement ({given})"))
    finally:
        await conn.execute("deallocate statement")
    assert not re.search(r"Seq Scan on (users|sessions|refresh|api_tokens|account_tokens|revocations)", plan), plan
