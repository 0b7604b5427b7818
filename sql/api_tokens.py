"""API tokens: what machines sign in with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from server.errors import Conflict, Unauthenticated
from sql.query import Connection, load

QUERIES = load("api_tokens")
# How many one user may hold.
MOST_TOKENS = 50


@dataclass(frozen=True, slots=True)
class FoundToken:
    """A token that counts, and whose it is."""

    user_id: int
    role: str
    credentials_version: int
    token_id: UUID
    scopes: list[str]
    expires_at: datetime | None


async def find(conn: Connection, token_hash: bytes) -> FoundToken | None:
    """The token with this SHA-256, unless it has expired."""
    row = await QUERIES.find_token.fetchrow(conn, token_hash)
    return FoundToken(*row) if row is not None else None


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that was just made: its id, and the JSON that shows it for the only time."""

    id: UUID
    body: str


async def create(
    conn: Connection,
    user_id: int,
    name: str,
    scopes: Sequence[str],
    expires_at: datetime | None,
    token: str,
    token_hash: bytes,
) -> NewToken:
    """Store a token by its hash. Conflict if the user holds MOST_TOKENS, Unauthenticated if there is no such user.

    Call it in a transaction: it locks the user's row, so that the number holds.
    """
    if not await QUERIES.lock_owner.fetchval(conn, user_id):
        raise Unauthenticated("There is no such account any more.", error="invalid_token")
    if await QUERIES.count_tokens.fetchval(conn, user_id) >= MOST_TOKENS:
        raise Conflict(f"At most {MOST_TOKENS} API tokens; delete one first.")
    row = await QUERIES.create_token.fetchrow(conn, user_id, name, token_hash, list(scopes), expires_at, token)
    assert row is not None
    return NewToken(*row)


async def page(conn: Connection, user_id: int, limit: int, offset: int) -> tuple[int, list[str]]:
    """How many tokens the user has, and some of them as JSON, the newest first."""
    count = int(await QUERIES.count_tokens.fetchval(conn, user_id))
    rows = await QUERIES.list_tokens.fetch(conn, user_id, limit, offset)
    return count, [row["token"] for row in rows]


async def get(conn: Connection, user_id: int, token_id: UUID) -> str | None:
    """One of the user's tokens as JSON."""
    found: str | None = await QUERIES.get_token.fetchval(conn, token_id, user_id)
    return found


async def delete(conn: Connection, user_id: int, token_id: UUID) -> bool:
    """Delete one of the user's tokens; whether there was one."""
    return await QUERIES.delete_token.execute(conn, token_id, user_id) > 0
