"""The publisher: drafts whose time has come become public within a second or so."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from actors.base import Actor
from server.cms import publishing
from server.database import Database
from server.errors import Unavailable

log = logging.getLogger("yojohan.publisher")

# Drafts published in one transaction.
SLICE = 100


class Publisher(Actor[Any]):
    """Looks every second, which costs a glance at an index. `drop` takes the cache tags of what was published."""

    name = "publisher"
    interval = 1.0

    def __init__(self, database: Database, drop: Callable[[Iterable[str]], object]) -> None:
        self._database = database
        self._drop = drop

    async def on_tick(self) -> None:
        """Slice after slice until nothing is due. An absent or busy database is waited for, not crashed upon."""
        try:
            while await self._slice():
                pass
        except Unavailable as error:
            log.warning("scheduled releases wait for the database", extra={"reason": error.code})

    async def _slice(self) -> int:
        async with self._database.connection() as conn:
            if not await publishing.anything_due(conn):
                return 0
        async with self._database.transaction() as conn:
            published = await publishing.publish_due(conn, SLICE)
        if published.ids:
            self._drop(published.tags)
            log.info("releases published as scheduled", extra={"count": len(published.ids)})
        return len(published.ids)
