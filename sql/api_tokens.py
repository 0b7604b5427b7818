"""API tokens: what machines sign in with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sql.query import Connection, load

QUERIES = load("api_tokens")


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
