"""The rate limiter: keeps the meter small. Requests are decided in plain calls on the meter, never by a message.

Where instances share their counts, `actors.limit_exchange` asks for them.
"""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import Any

from actors.base import Actor
from server.meter import Meter

# Keys looked at before the loop gets its turn.
SLICE = 2_000


class RateLimiter(Actor[Any]):
    """Every half minute forgets the keys whose quota is whole again."""

    name = "rate_limiter"
    interval = 30.0

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    async def on_tick(self) -> None:
        """Look through all keys, a slice at a time."""
        now = self._meter.clock()
        for table in self._meter.tables.values():
            keys = iter([*table.younger, *table.elder])
            while some := list(islice(keys, SLICE)):
                table.drop(some, now)
                await asyncio.sleep(0)
