"""The gauges for operators: counted once a minute, whoever scrapes and however often."""

from __future__ import annotations

import logging
import os
from time import monotonic
from typing import Any

from actors.base import Actor
from server.database import Database
from server.errors import Unavailable
from server.events import OperatorGauges
from sql import gauges as sql

log = logging.getLogger("yojohan.gauges")


class Gauges(Actor[Any]):
    """Refreshes what `/metrics` shows of people, catalogue and machine."""

    name = "gauges"
    interval = 60.0
    # The start does not wait for it.
    first_tick = 0.1

    def __init__(self, database: Database, gauges: OperatorGauges) -> None:
        self._database = database
        self._gauges = gauges

    async def on_tick(self) -> None:
        """Look once. Without a database the counts stay as they were."""
        self._gauges.load = os.getloadavg()
        self._gauges.uptime = monotonic() - self._gauges.started
        try:
            async with self._database.connection() as conn:
                found = await sql.count_all(conn)
        except Unavailable as error:
            log.warning("gauges wait for the database", extra={"reason": error.code})
            return
        self._gauges.counts = {
            "users": found.users,
            "users_active_24h": found.active_users,
            "releases": found.releases,
            "episodes": found.episodes,
            "views": found.views,
            "subscriptions": found.subscriptions,
            "moderation_waiting": found.waiting,
        }
