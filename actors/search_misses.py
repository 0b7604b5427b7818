"""Writes down what was searched in vain, every few seconds."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from actors.base import Actor
from server.database import Database
from server.errors import Unavailable
from sql import search_misses

log = logging.getLogger("yojohan.search")

# Different queries in one round.
MOST = 200


class SearchMisses(Actor[Any]):
    """`take` gives what waits to be written down, `keep` takes it back where that could not be done."""

    name = "search_misses"
    yields_to_pressure = True
    interval = 5.0

    def __init__(
        self, database: Database, take: Callable[[int], dict[str, int]], keep: Callable[[dict[str, int]], None]
    ) -> None:
        self._database = database
        self._take = take
        self._keep = keep

    async def on_tick(self) -> None:
        """One round."""
        await self._write_down()

    async def on_stop(self) -> None:
        """What was searched last."""
        await self._write_down()

    async def _write_down(self) -> None:
        misses = self._take(MOST)
        if not misses:
            return
        try:
            async with self._database.connection() as conn:
                await search_misses.add(conn, misses)
        except Unavailable as error:
            self._keep(misses)
            log.warning("misses wait for the database", extra={"reason": error.code})
