"""Pressure: how far the server gives way at the moment. The governor writes it, everybody else reads it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from server.rules.pressure import PAUSE, SHED, Reading, Standing


@dataclass(slots=True)
class Pressure:
    """0 calm, 1 caches shrink, 2 background work pauses as well, 3 expensive requests of visitors are turned away."""

    standing: Standing = field(default_factory=Standing)
    reading: Reading = field(default_factory=lambda: Reading(None, 0, 0.0))
    # How often each level was entered, from below.
    entered: Counter[int] = field(default_factory=Counter)

    @property
    def level(self) -> int:
        """The level, 0 to 3."""
        return self.standing.level

    @property
    def reason(self) -> str:
        """`memory`, `event_loop`, or nothing."""
        return self.standing.reason

    @property
    def since(self) -> float:
        """Since when the level holds, by the clock of `perf_counter`."""
        return self.standing.since

    @property
    def pauses(self) -> bool:
        """Whether work in the background should wait."""
        return self.level >= PAUSE

    @property
    def sheds(self) -> bool:
        """Whether what is expensive and nobody's in particular should be turned away."""
        return self.level >= SHED

    def become(self, standing: Standing, reading: Reading) -> None:
        """What the governor found."""
        for level in range(self.level + 1, standing.level + 1):
            self.entered[level] += 1
        self.standing, self.reading = standing, reading
