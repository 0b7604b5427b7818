"""The body of a user's statistics."""

from __future__ import annotations

from server.database import Database
from server.errors import Forbidden, NotFound, Unauthenticated
from sql import user_stats


async def own(database: Database, user_id: int) -> bytes:
    """One's own statistics."""
    async with database.connection() as conn:
        found = await user_stats.get(conn, user_id)
    if found is None:
        raise Unauthenticated("There is no such account any more.", error="invalid_token")
    return found.stats.encode()


async def of_user(database: Database, user_id: int, viewer: int | None, *, sees_all: bool) -> bytes:
    """Somebody's statistics; Forbidden where their profile is private, unless `viewer` is they or sees all."""
    async with database.connection() as conn:
        found = await user_stats.get(conn, user_id)
    if found is None:
        raise NotFound("There is no such user.")
    if not (found.is_public or sees_all or viewer == user_id):
        raise Forbidden("This profile is private.")
    return found.stats.encode()
