"""The recommender: once a day it tells everybody who was here lately of one release they may like and do not know."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, date, datetime, timedelta
from typing import Any

from actors.base import Actor
from server.database import Database
from server.errors import Unavailable
from server.events import RecommendationCounters
from sql import recommendation_rounds
from sql.recommendation_rounds import Tops

log = logging.getLogger("yojohan.recommender")

# The day of recommendations begins at ten in the morning, UTC.
BEGINS = timedelta(hours=10)
# Slices of one tick, and the seconds between them that belong to everybody else. A tick is short: a server that stops
# waits for it.
SLICES = 10
PAUSE = 0.25


def day_of(moment: datetime) -> date:
    """The day whose round is due at this moment."""
    return (moment - BEGINS).date()


class Recommender(Actor[Any]):
    """Works through the round of the day. How far it has come is a row: a restart goes on there."""

    name = "recommender"
    yields_to_pressure = True
    interval = 2.0
    first_tick = 30.0

    def __init__(self, database: Database, counters: RecommendationCounters) -> None:
        self._database = database
        self._counters = counters
        # What is popular changes little in the minutes that a round takes.
        self._popular: tuple[date, Tops] | None = None
        self._done: date | None = None

    async def on_tick(self) -> None:
        """Some slices of today's round, if there is anything left of it."""
        today = day_of(datetime.now(UTC))
        if today == self._done:
            return
        try:
            popular = await self._prepare(today)
            if popular is None:
                return
            for _ in range(SLICES):
                if not await self._slice(today, popular):
                    return
                await asyncio.sleep(PAUSE)
        except Unavailable as error:
            log.warning("recommendations wait for the database", extra={"reason": error.code})

    async def _prepare(self, today: date) -> Tops | None:
        async with self._database.connection() as conn:
            if not await recommendation_rounds.is_open(conn, today):
                self._done, self._popular = today, None
                return None
            if self._popular is None or self._popular[0] != today:
                self._popular = (today, await recommendation_rounds.tops(conn))
            return self._popular[1]

    async def _slice(self, today: date, popular: Tops) -> bool:
        """One slice; False if there is no more to do now."""
        async with self._database.transaction() as conn:
            found = await recommendation_rounds.run_slice(conn, today, popular)
        if found is None:
            return False
        self._counters.looked_at += found.users
        self._counters.recommended += found.recommended
        if found.done:
            self._counters.rounds += 1
            self._done, self._popular = today, None
            log.info("recommendations of the day are out", extra={"day": str(today)})
        return not found.done
