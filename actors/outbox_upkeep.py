"""The outbox's upkeep: cursors made at the start, what everybody has read deleted, and how far behind each one is."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

from actors.base import Actor
from server.database import Database
from server.errors import Unavailable
from server.events import OutboxProgress
from sql import outbox
from sql.query import Connection

log = logging.getLogger("yojohan.outbox")

EVENTS_A_SLICE = 5_000
DEAD_RETENTION_DAYS = 30
# What is counted exactly.
COUNTED = 10_000


class OutboxUpkeep(Actor[Any]):
    """Stands before the readers: they find their cursors made."""

    name = "outbox_upkeep"
    interval = 10.0

    def __init__(self, database: Database, topics: Mapping[str, Collection[str]], progress: OutboxProgress) -> None:
        self._database = database
        self._topics = topics
        self._progress = progress

    async def on_start(self) -> None:
        """Register the consumers; an absent database fails the start, and the supervisor tries again."""
        async with self._database.transaction() as conn:
            if await outbox.register(conn, self._topics):
                log.warning("the outbox comes from another server; what waited in it was parked")

    async def on_tick(self) -> None:
        """Trim and measure; an absent database is waited for."""
        try:
            await self._in_slices(lambda conn: outbox.trim(conn, EVENTS_A_SLICE))
            await self._in_slices(lambda conn: outbox.forget_dead(conn, DEAD_RETENTION_DAYS, EVENTS_A_SLICE))
            await self._measure()
        except Unavailable as error:
            log.warning("outbox upkeep waits for the database", extra={"reason": error.code})

    async def _in_slices(self, delete: Callable[[Connection], Awaitable[int]]) -> None:
        deleted = EVENTS_A_SLICE
        while deleted >= EVENTS_A_SLICE:
            async with self._database.connection() as conn:
                deleted = await delete(conn)

    async def _measure(self) -> None:
        async with self._database.connection() as conn:
            measured = await outbox.measure(conn, COUNTED)
        for one in measured:
            progress = self._progress.by_consumer.get(one.name)
            if progress is not None:
                progress.waiting, progress.lag_seconds = one.waiting, one.seconds
                progress.parked, progress.dead = one.parked, one.dead
