"""From a stored API token to a principal."""

from __future__ import annotations

import time

from server.database import Database
from server.identity import TOKEN_MEMORY, Principal
from sql import api_tokens


async def find(database: Database, token_hash: bytes) -> Principal | None:
    """Whom the token with this SHA-256 speaks for, or None. Good for TOKEN_MEMORY seconds, then asked for again."""
    async with database.connection() as conn:
        found = await api_tokens.find(conn, token_hash)
    if found is None:
        return None
    until = time.time() + TOKEN_MEMORY
    if found.expires_at is not None:
        until = min(until, found.expires_at.timestamp())
    return Principal(
        found.user_id,
        # The column's check lets through these words only.
        found.role,  # type: ignore[arg-type]
        found.credentials_version,
        until,
        token_id=found.token_id,
        scopes=frozenset(found.scopes),
    )
