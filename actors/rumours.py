"""Rumours: tells other instances which cached pages are stale, ten times a second at most.

Each NOTIFY takes one lock for the whole cluster until its transaction has committed: writers who all said theirs would
queue up behind it, one flush of the log after the other.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import ClassVar

from actors.base import BatchActor
from server.database import Database
from server.errors import Unavailable
from sql import rumours

log = logging.getLogger("yojohan.cache")


@dataclass(frozen=True, slots=True)
class Spread:
    """There is something to tell."""


class Rumours(BatchActor[Spread]):
    """`take` gives the tags that nobody was told of, `keep` takes them back where nobody could be."""

    name = "rumours"
    linger: ClassVar[float] = 0.1
    # What could not be told while the database was away.
    interval = 1.0

    def __init__(
        self, database: Database, take: Callable[[], set[str]], keep: Callable[[Collection[str]], None]
    ) -> None:
        self._database = database
        self._take = take
        self._keep = keep

    async def receive_batch(self, messages: Sequence[Spread]) -> Sequence[None]:
        """One round for all who wrote since the last."""
        await self._tell()
        return [None] * len(messages)

    async def on_tick(self) -> None:
        """What is left over."""
        await self._tell()

    async def on_stop(self) -> None:
        """What was written last."""
        await self._tell()

    async def _tell(self) -> None:
        tags = self._take()
        if not tags:
            return
        try:
            async with self._database.connection() as conn:
                await rumours.tell(conn, tags)
        except Unavailable as error:
            self._keep(tags)
            log.warning("other instances hear later what is stale", extra={"reason": error.code})
