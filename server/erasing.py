"""Erasing an account: what somebody has said goes first, in slices of their own, as there may be a great deal of it."""

from __future__ import annotations

from collections.abc import Callable, Collection

from server.database import Database
from server.errors import Overloaded
from server.rules import cache_tags
from sql import erasure

# How often somebody may say something new at the very moment in which their account is to go.
TRIES = 20


async def erase(database: Database, user_id: int, changed: Callable[[Collection[str]], None]) -> None:
    """Erase everything; NotFound if there is no such account. `changed` hears the tags of what is stale.

    Cut short, it leaves an account that has said less; the next try goes on from there.
    """
    for _ in range(TRIES):
        await _forget(database, user_id, changed)
        async with database.transaction() as conn:
            if silent := await erasure.silence(conn, user_id):
                stale = await erasure.erase(conn, user_id)
        if silent:
            _tell(changed, {*stale, cache_tags.personal(user_id)})
            return
    raise Overloaded("This account is still busy; try again when it is not.")


async def _forget(database: Database, user_id: int, changed: Callable[[Collection[str]], None]) -> None:
    count = 1
    while count:
        async with database.single() as conn:
            forgotten = await erasure.forget_said(conn, user_id)
        _tell(changed, forgotten.tags)
        count = forgotten.count


def _tell(changed: Callable[[Collection[str]], None], tags: Collection[str]) -> None:
    if tags:
        changed(tags)
