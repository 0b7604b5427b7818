"""The trending calculator: every interval one incremental pass from the rollups, the tops then kept in memory."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

from actors.base import Actor
from actors.jobs import Jobs
from server.database import Database
from server.errors import Unavailable
from server.events import Trend, Trends
from sql import trends as sql

log = logging.getLogger("yojohan.trends")


class TrendingCalculator(Actor[Any]):
    """Keeps `trends` fresh. `warm` is run as a job after each pass: it makes the answers most asked for."""

    name = "trending"
    yields_to_pressure = True
    # What is shown at the start is of the last run.
    first_tick = 0.1

    def __init__(
        self, database: Database, trends: Trends, interval: float, jobs: Jobs, warm: Callable[[], Awaitable[None]]
    ) -> None:
        self.interval = interval
        self._database = database
        self._trends = trends
        self._jobs = jobs
        self._warm = warm

    async def on_start(self) -> None:
        """Show the last tops there were, or what is popular otherwise; the first pass follows as a tick.

        That pass may read a month of rollups, which the start should not wait for.
        """
        try:
            async with self._database.connection() as conn:
                self._publish(await sql.stored_lists(conn) or await sql.fallback_lists(conn, datetime.now(UTC)))
        except Unavailable as error:
            log.warning("trends wait for the database", extra={"reason": error.code})

    async def on_tick(self) -> None:
        """One pass."""
        started = perf_counter()
        try:
            async with self._database.transaction() as conn:
                before = await sql.wal_position(conn)
                found = await sql.run_pass(conn, datetime.now(UTC))
                after = await sql.wal_position(conn)
        except Unavailable as error:
            log.warning("trends wait for the database", extra={"reason": error.code})
            return
        if found is None:
            return
        self._trends.passes += 1
        self._trends.pass_seconds = perf_counter() - started
        self._trends.pass_wal_bytes = (after or 0) - (before or 0)
        self._publish(found)
        await self._jobs.spawn(self._warm_up())

    def _publish(self, found: list[Trend]) -> None:
        for trend in found:
            self._trends.by_period[trend.period] = trend

    async def _warm_up(self) -> None:
        try:
            await self._warm()
        except Unavailable as error:
            log.warning("trending pages wait for the database", extra={"reason": error.code})
