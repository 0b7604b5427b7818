"""Housekeeping: deletes what has expired, a slice at a time, so that nobody waits for it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from actors.base import Actor
from server.database import Database
from server.errors import Unavailable
from sql import housekeeping
from sql.housekeeping import Rule

log = logging.getLogger("yojohan.housekeeping")

SLICE = 1_000
# Slices of one rule in one round; what is left waits for the next.
MOST_SLICES = 200


class Housekeeping(Actor[Any]):
    """Applies every rule every ten minutes, each slice in a transaction of its own."""

    name = "housekeeping"
    yields_to_pressure = True
    interval = 600.0
    first_tick = 60.0

    def __init__(self, database: Database, rules: Sequence[Rule] = housekeeping.RULES) -> None:
        self._database = database
        self._rules = rules

    async def on_tick(self) -> None:
        """A round. One rule that fails (a lock it did not get, a database away) is tried again in the next."""
        for rule in self._rules:
            try:
                deleted = await self._apply(rule)
            except Unavailable as error:
                log.warning("housekeeping put off", extra={"rule": rule.query.name, "reason": error.code})
                continue
            if deleted:
                log.info("housekeeping", extra={"rule": rule.query.name, "deleted": deleted})

    async def _apply(self, rule: Rule) -> int:
        total = 0
        for _ in range(MOST_SLICES):
            async with self._database.connection() as conn:
                deleted = await housekeeping.sweep(conn, rule, SLICE)
            total += deleted
            # A rule may take less than it is allowed to, or find rows that somebody holds.
            if deleted == 0:
                break
        return total
