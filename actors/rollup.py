"""The rollup: takes committed events into the hourly and daily tables, a few seconds behind the commits."""

from __future__ import annotations

import logging
from time import perf_counter
from typing import Any

from actors.base import Actor
from server.database import Database
from server.errors import Unavailable
from server.events import ViewCounters
from sql import views

log = logging.getLogger("yojohan.views")

# Larger passes group better (fewer rows written per event), smaller ones keep memory and lag down.
EVENTS_A_PASS = 60_000


class Rollup(Actor[Any]):
    """Rolls up what was committed since; passes follow each other without a pause while much is waiting."""

    name = "rollup"
    interval = 2.5
    first_tick = 0.1

    def __init__(self, database: Database, counters: ViewCounters) -> None:
        self._database = database
        self._counters = counters

    async def on_tick(self) -> None:
        """Pass after pass until little is left. An absent database is waited for, not crashed upon."""
        try:
            while await self._pass() >= EVENTS_A_PASS:
                pass
        except Unavailable as error:
            log.warning("rollup waits for the database", extra={"reason": error.code})

    async def _pass(self) -> int:
        started = perf_counter()
        async with self._database.transaction() as conn:
            done = await views.roll_up(conn, EVENTS_A_PASS)
        self._counters.rolled_up += done.events
        if done.events:
            self._counters.rollup_passes += 1
            self._counters.rollup_seconds += perf_counter() - started
        return done.events
