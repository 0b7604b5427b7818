"""People in tests: accounts made straight in the database, signed in with a token the server itself would make."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from server.keys import DATABASE, IDENTITIES, METER
from tests.running import Running

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Person:
    """Somebody with an account and a session. `headers` sign a request."""

    id: int
    username: str
    session_id: UUID
    headers: dict[str, str]


async def make_user(dsn: str, username: str = "", *, role: str = "user", is_public: bool = True) -> int:
    """An account without a password; its id."""
    name = username or f"person-{next(_numbers)}-{uuid4().hex[:6]}"
    conn = await asyncpg.connect(dsn)
    try:
        found: int = await conn.fetchval(
            "insert into users (username, username_key, email, email_key, role, is_public)"
            " values ($1, lower($1), $2, lower($2), $3, $4) returning id",
            name, f"{name}@example.org", role, is_public,
        )  # fmt: skip
        return found
    finally:
        await conn.close()


def sign_in(running: Running, user_id: int, username: str = "", role: str = "user") -> Person:
    """A person with an access token for this account. The session it names is not stored."""
    session_id = uuid4()
    token = running.app[IDENTITIES].tokens.issue(user_id, role, 1, session_id)
    return Person(user_id, username, session_id, {"Authorization": f"Bearer {token}"})


async def person(running: Running, username: str = "", *, role: str = "user", is_public: bool = True) -> Person:
    """Somebody new, signed in."""
    name = username or f"person-{next(_numbers)}-{uuid4().hex[:6]}"
    dsn = running.app[DATABASE].dsn
    user_id = await make_user(dsn, name, role=role, is_public=is_public)
    return sign_in(running, user_id, name, role)


async def sql(running: Running, statement: str, *values: Any) -> Any:
    """The first value of the first row of a statement on the server's database, on a connection of its own."""
    conn = await asyncpg.connect(running.app[DATABASE].dsn)
    try:
        return await conn.fetchval(statement, *values)
    finally:
        await conn.close()


def restore_quotas(running: Running) -> None:
    """What one test used up of the limits is whole again for the next."""
    for table in running.app[METER].tables.values():
        table.younger, table.elder = {}, {}
