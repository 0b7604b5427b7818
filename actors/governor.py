"""The governor: looks every second how tight memory is and how late the event loop, and says how far to give way.

Level 1 shrinks caches and gives memory back to the system, level 2 makes background actors wait (`yields_to_pressure`),
level 3 has the gate turn expensive visitors away. Everything comes back by itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import perf_counter
from typing import Any, Protocol

from actors.base import Actor
from server.pressure import Pressure
from server.rules.pressure import CALM, GROW_EVERY, SHED, Reading, cache_budget, decide

log = logging.getLogger("yojohan.pressure")

# Collecting and giving back take milliseconds: not more often than this, and not while the loop is late, in seconds.
TIDY_EVERY = 10.0
QUIET_LAG = 0.05


class Cache(Protocol):
    """What shrinks and grows."""

    max_bytes: int

    def resize(self, max_bytes: int) -> None:
        """Keep at most so much."""


class Governor(Actor[Any]):
    """Writes `pressure`. `look` reads memory and lag; `tidy` gives back what nobody needs; both return at once."""

    name = "governor"
    interval = 1.0
    first_tick = 0.5

    def __init__(
        self, pressure: Pressure, cache: Cache, full: int, look: Callable[[], Reading], tidy: Callable[[], None]
    ) -> None:
        self._pressure = pressure
        self._cache = cache
        # What the cache has in good times.
        self._full = full
        self._look = look
        self._tidy = tidy
        self._grew_at = self._tidied_at = float("-inf")

    async def on_tick(self) -> None:
        """Look, decide, and take one step."""
        now, before = perf_counter(), self._pressure.level
        reading = self._look()
        self._pressure.become(decide(self._pressure.standing, reading, now), reading)
        if (level := self._pressure.level) != before:
            say = log.warning if level > before else log.info
            say("pressure", extra={"level": level, "reason": self._pressure.reason, **_shown(reading)})
        self._resize(now)
        # With the loop late there is something better to do, unless memory is about to end.
        tight = self._pressure.standing.memory.level
        if tight > CALM and now - self._tidied_at >= TIDY_EVERY and (reading.lag < QUIET_LAG or tight >= SHED):
            self._tidied_at = now
            self._tidy()

    def _resize(self, now: float) -> None:
        """One step of the cache: down at once on account of memory, up again slowly. A late loop needs its cache."""
        tight = self._pressure.standing.memory.level
        if tight > CALM:
            self._grew_at = now
        elif now - self._grew_at < GROW_EVERY:
            return
        budget = cache_budget(self._full, self._cache.max_bytes, tight)
        if budget != self._cache.max_bytes:
            self._grew_at = now
            self._cache.resize(budget)


def _shown(reading: Reading) -> dict[str, int | float]:
    shown: dict[str, int | float] = {"used_bytes": reading.used, "loop_lag": round(reading.lag, 3)}
    return shown if reading.limit is None else {**shown, "limit_bytes": reading.limit}
