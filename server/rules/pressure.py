"""When the server is under pressure, and how far it gives way: watermarks on memory and on the lag of the event loop.

A level rises at once and falls one step at a time, some seconds later and only once things are clearly better: what
was given up must not come back into the same trouble.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

CALM, SHRINK, PAUSE, SHED = 0, 1, 2, 3
MIB = 2**20


@dataclass(frozen=True, slots=True)
class Mark:
    """A level, and the room below which it begins: a share of the limit, or so many bytes if that is less."""

    level: int
    share: float
    most: int


# With 435 MB: 87, 52 and 26 MB. With much more, absolute figures: a tenth of 64 GB is no trouble.
MARKS = (Mark(SHED, 0.06, 64 * MIB), Mark(PAUSE, 0.12, 128 * MIB), Mark(SHRINK, 0.20, 256 * MIB))
# Leaving a level takes so much more room than entering it.
RELIEF = 1.25
# The lag, averaged over a second or so, from which background work waits, and from which visitors do. Leaving: half.
LAGS = ((SHED, 1.0), (PAUSE, 0.25))
LAG_RELIEF = 0.5
# A timer that comes later than this is taken to be so late: one long halt (a machine that was suspended, a disk that
# hung) is over when it is seen, and refusing visitors then helps nobody. It must stay above the last mark.
LATEST = 2.0
# What one observation adds to the mean at most.
HEAVIEST = 0.25
# Seconds a level is held at least before it falls by one.
HOLD = 2.0
# The cache never shrinks below this, unless it is meant to be smaller; and how long it stays before it grows again.
LEAST_CACHE = 4 * MIB
GROW_EVERY = 5.0


@dataclass(frozen=True, slots=True)
class Reading:
    """What was found: `limit` is None where nothing is limited; `lag` in seconds."""

    limit: int | None
    used: int
    lag: float


@dataclass(frozen=True, slots=True)
class Held:
    """A level, and since when (a clock that only goes forward)."""

    level: int = CALM
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class Standing:
    """What is held on account of memory and of the event loop; the higher counts."""

    memory: Held = field(default_factory=Held)
    lag: Held = field(default_factory=Held)

    @property
    def level(self) -> int:
        """How far the server gives way."""
        return max(self.memory.level, self.lag.level)

    @property
    def since(self) -> float:
        """Since when."""
        return (self.memory if self.memory.level >= self.lag.level else self.lag).since

    @property
    def reason(self) -> str:
        """`memory`, `event_loop`, or nothing."""
        if self.level == CALM:
            return ""
        return "memory" if self.memory.level >= self.lag.level else "event_loop"


def decide(standing: Standing, reading: Reading, now: float) -> Standing:
    """The standing after this reading."""
    return Standing(
        _settle(standing.memory, _memory(reading, 1.0), _memory(reading, RELIEF), now),
        _settle(standing.lag, _lag(reading.lag, 1.0), _lag(reading.lag, LAG_RELIEF), now),
    )


def mean_lag(mean: float, lag: float, seconds: float) -> float:
    """The lag averaged over a second or so, after one more timer that came so late, so long after the one before."""
    return mean + (min(lag, LATEST) - mean) * min(HEAVIEST, seconds)


def cache_budget(full: int, budget: int, level: int) -> int:
    """The next step of a cache's budget: half of it under pressure, twice of it without."""
    if level == CALM:
        return min(full, budget * 2)
    return max(min(full, LEAST_CACHE), budget // 2)


def _memory(reading: Reading, relief: float) -> int:
    if reading.limit is None:
        return CALM
    room, limit = reading.limit - reading.used, reading.limit
    return next((mark.level for mark in MARKS if room < min(limit * mark.share, mark.most) * relief), CALM)


def _lag(lag: float, relief: float) -> int:
    return next((level for level, bound in LAGS if lag >= bound * relief), CALM)


def _settle(held: Held, wanted: int, kept: int, now: float) -> Held:
    """`wanted`: what this reading asks for at least; `kept`: what it does not allow to leave."""
    if wanted > held.level:
        return Held(wanted, now)
    if kept >= held.level or now - held.since < HOLD:
        return held
    return replace(held, level=held.level - 1, since=now)
