"""Upkeep: partitions made ahead and dropped in time, viewer salts made and destroyed, old batch ids forgotten."""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from actors.base import Actor
from server.database import Database
from server.errors import Unavailable
from server.events import ViewerSalts
from sql import views
from sql.query import Connection

log = logging.getLogger("yojohan.upkeep")

# A view may be dated up to seven days back, and unique viewers of that day must still be known.
LATEST_VIEW_DAYS = 7
AHEAD_DAYS = 3
# The 30-day trend lets go of hours it must still be able to read.
SHORTEST_HOURS_RETENTION = 32
DAYS_RETENTION = 365 * 5
BATCHES_A_SLICE = 10_000


@dataclass(frozen=True, slots=True)
class PartitionRule:
    """A partitioned table: its step, how far back partitions are made, how long they are kept (days)."""

    parent: str
    step: str
    back: int
    keep: int
    # Whether the rollup reads or writes it.
    rolled_up: bool = True


def rules(view_retention_days: int) -> tuple[PartitionRule, ...]:
    """Every partitioned table of the server."""
    return (
        PartitionRule("view_metrics", "day", 0, view_retention_days),
        PartitionRule("view_filtered", "day", 0, min(30, view_retention_days), rolled_up=False),
        PartitionRule("view_receipts", "day", 2, 2, rolled_up=False),
        PartitionRule("view_viewers", "day", LATEST_VIEW_DAYS + 1, LATEST_VIEW_DAYS + 1),
        PartitionRule("view_hours", "month", LATEST_VIEW_DAYS + 1, max(view_retention_days, SHORTEST_HOURS_RETENTION)),
        PartitionRule("view_days", "year", LATEST_VIEW_DAYS + 1, DAYS_RETENTION),
    )


async def keep_partitions(conn: Connection, rule: PartitionRule, today: date) -> None:
    """Make the partitions that will be needed of one table and drop those whose time is over.

    What was received but not rolled up yet (the server was down) still needs the days of its receipt and before.
    """
    needed = min(today, await views.oldest_waiting(conn) or today) if rule.rolled_up else today
    first, last = needed - timedelta(days=rule.back), today + timedelta(days=AHEAD_DAYS)
    made = await views.make_partitions(conn, rule.parent, rule.step, first, last)
    dropped = await views.drop_partitions(conn, rule.parent, rule.step, needed - timedelta(days=rule.keep))
    if made or dropped:
        log.info("partitions", extra={"made": made, "dropped": dropped})


class Upkeep(Actor[Any]):
    """Runs at the start (views need today's partitions and salt) and every ten minutes."""

    name = "upkeep"
    interval = 600.0

    def __init__(self, database: Database, salts: ViewerSalts, view_retention_days: int) -> None:
        self._database = database
        self._salts = salts
        self._retention = view_retention_days

    async def on_start(self) -> None:
        """The first round; an absent database fails the start, and the supervisor tries again."""
        await self._round()

    async def on_tick(self) -> None:
        """A round; an absent database is waited for."""
        try:
            await self._round()
        except Unavailable as error:
            log.warning("upkeep waits for the database", extra={"reason": error.code})

    async def _round(self) -> None:
        today = datetime.now(UTC).date()
        for rule in rules(self._retention):
            # Each in a transaction of its own: dropping locks the table, and two such locks would be one too many.
            async with self._database.transaction() as conn:
                await keep_partitions(conn, rule, today)
        while await self._trim() == BATCHES_A_SLICE:
            pass
        async with self._database.transaction() as conn:
            await self._keep_salts(conn, today)

    async def _trim(self) -> int:
        async with self._database.connection() as conn:
            return await views.trim_batches(conn, BATCHES_A_SLICE)

    async def _keep_salts(self, conn: Connection, today: date) -> None:
        await views.destroy_salts(conn, today)
        # Tomorrow's is made ahead, so that midnight needs no database.
        days = (today, today + timedelta(days=1))
        self._salts.by_day = {day: await views.ensure_salt(conn, day, secrets.token_bytes(32)) for day in days}
