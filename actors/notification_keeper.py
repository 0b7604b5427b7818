"""The keeper of notifications: what was read goes after a while, and the rest in the end, a slice at a time."""

from __future__ import annotations

import logging
from typing import Any

from actors.base import Actor
from server.database import Database
from server.errors import Unavailable
from sql import notification_keeping
from sql.query import Query

log = logging.getLogger("yojohan.notifications")

SLICE = 1_000
# Slices of one rule in one round; what is left waits for the next.
MOST_SLICES = 200


class NotificationKeeper(Actor[Any]):
    """Applies each rule of `sql/notification_keeping.sql` every ten minutes, each slice in a transaction of its own."""

    name = "notification_keeper"
    interval = 600.0
    first_tick = 75.0

    def __init__(self, database: Database, read_days: int) -> None:
        self._database = database
        self._rules = notification_keeping.rules(read_days)

    async def on_tick(self) -> None:
        """A round. One rule that fails (a lock it did not get, a database away) is tried again in the next."""
        for rule, days in self._rules:
            try:
                deleted = await self._apply(rule, days)
            except Unavailable as error:
                log.warning("keeping put off", extra={"rule": rule.name, "reason": error.code})
                continue
            if deleted:
                log.info("keeping", extra={"rule": rule.name, "deleted": deleted})

    async def _apply(self, rule: Query, days: int) -> int:
        total = 0
        for _ in range(MOST_SLICES):
            async with self._database.connection() as conn:
                deleted = await notification_keeping.sweep(conn, rule, SLICE, days)
            total += deleted
            if deleted == 0:
                break
        return total
