"""How many requests are worked on at once: a limit that follows latency.

The algorithm is the gradient of Netflix's concurrency-limits (`GradientLimit`): the limit is multiplied by how much
slower answers have become against what they cost without a queue, and a little headroom, its square root, is added.
Two things differ, because requests here are anything between a millisecond and a second. What an answer costs without
a queue is kept for each kind of work by itself, and a window compares the sum of what its answers took with the sum of
what they should have: a mixture that changes does not look like a slower server. And that cost is learnt at low
concurrency only; where there has been none for a while, the limit goes down to its floor for a moment (as BBR's
ProbeRTT does), or the baseline would follow the queue it is there to reveal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from math import sqrt

# How much slower than without a queue answers may be before the limit shrinks.
TOLERANCE = 2.0
# The most it shrinks by in one step, and how far a step goes towards what it aims at.
STEEPEST, SMOOTHING = 0.5, 0.3
# A window lasts at least this many seconds and answers; few answers are enough once it has lasted long.
WINDOW, LEAST_ANSWERS = 0.1, 10
LONG_WINDOW, FEW_ANSWERS = 1.0, 3
# One answer counts for at most so many times what it should have taken: a single slow one says little.
OUTLIER = 8.0
# How fast the cost of a kind of work follows what is seen at low concurrency.
GAIN = 0.1
# Until it was seen there so often, it follows, slowly, what is seen at any, less the queue that the other kinds see.
SURE, UNSURE_GAIN = 20, 0.02
# After so many seconds without low concurrency the limit goes down: for so long, or until so many answers.
PROBE_EVERY, PROBE_SECONDS, PROBE_ANSWERS = 8.0, 0.25, 24
# The first probe of a crowded start comes early.
FIRST_PROBE = 1.0
# The limit grows only where it was used: up to this share of it at least.
IN_DEMAND = 0.8


@dataclass(slots=True)
class _Window:
    """What was seen since the last step."""

    began: float
    answers: int = 0
    took: float = 0.0
    should: float = 0.0
    peak: int = 0


class AdaptiveLimit:
    """The limit between `floor` and `ceiling`. All times are seconds of a clock that only goes forward."""

    def __init__(self, floor: int, ceiling: int, start: int) -> None:
        self.floor = min(floor, ceiling)
        self.ceiling = ceiling
        # How many times slower answers are than without a queue, and how many there can be a second, as the last window
        # saw it; 0 as long as none did.
        self.inflation = 1.0
        self.capacity = 0.0
        self.probes = 0
        # How many at once; kept, because every request looks at it.
        self.limit = min(max(start, self.floor), ceiling)
        self._limit = float(self.limit)
        self._costs: dict[Hashable, float] = {}
        # How often each was seen at low concurrency.
        self._seen: Counter[Hashable] = Counter()
        self._window: _Window | None = None
        self._calm_at = 0.0
        self._probe_until = 0.0
        self._probed = 0

    def observe(self, work: Hashable, seconds: float, in_use: int, now: float) -> None:
        """One answer: what kind of work it was, how long it was worked on, how many at once at most meanwhile."""
        window = self._window
        if window is None:
            window = self._window = _Window(now)
            self._calm_at = now - PROBE_EVERY + FIRST_PROBE
        cost = self._cost(work, seconds, in_use, now)
        window.answers += 1
        window.took += min(seconds, cost * OUTLIER)
        window.should += cost
        window.peak = max(window.peak, in_use)
        lasted = now - window.began
        if self._probe_until:
            if now >= self._probe_until or self._probed >= PROBE_ANSWERS:
                self._probe_until = 0.0
                self._calm_at = now
                self._window = _Window(now)
                self.limit = int(self._limit)
        elif lasted >= WINDOW and window.answers >= (LEAST_ANSWERS if lasted < LONG_WINDOW else FEW_ANSWERS):
            self._step(window, now)

    def _cost(self, work: Hashable, seconds: float, in_use: int, now: float) -> float:
        """What this kind of work costs without a queue, as far as is known."""
        cost = self._costs.get(work)
        if cost is None:
            # Until there is better: what it took, less the queue that the others see.
            cost = self._costs[work] = max(seconds, 1e-6) / self.inflation
        if in_use <= self.floor:
            gain, takes = GAIN, seconds
            self._seen[work] += 1
            if self._probe_until:
                self._probed += 1
            else:
                self._calm_at = now
        elif self._seen[work] < SURE:
            gain, takes = UNSURE_GAIN, seconds / self.inflation
        else:
            return cost
        self._costs[work] = cost + gain * (min(max(takes, 1e-6), cost * OUTLIER) - cost)
        return cost

    def _step(self, window: _Window, now: float) -> None:
        self.inflation = max(1.0, window.took / window.should)
        # Little's law: so many at once, each taking so long.
        self.capacity = self._limit * window.answers / max(window.took, 1e-6)
        gradient = min(1.0, max(STEEPEST, TOLERANCE / self.inflation))
        aim = self._limit * gradient + sqrt(self._limit)
        if aim < self._limit or window.peak >= self._limit * IN_DEMAND:
            self._limit += SMOOTHING * (aim - self._limit)
            self._limit = min(max(self._limit, self.floor), self.ceiling)
            self.limit = int(self._limit)
        self._window = _Window(now)
        if now - self._calm_at > PROBE_EVERY and self._limit > self.floor:
            self.probes += 1
            self._probed = 0
            self._probe_until = now + PROBE_SECONDS
            self.limit = self.floor
