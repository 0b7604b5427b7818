"""The adaptive limit against simulated servers, by a clock of their own."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

import pytest

from server.rules.adaptive_limit import AdaptiveLimit

FLOOR, CEILING = 6, 64
# (kind of work, share of the requests, seconds without a queue, how many run side by side before they slow one another)
Mixture = tuple[tuple[Hashable, float, float], ...]
PLAIN: Mixture = (("release", 1.0, 0.02),)
MIXED: Mixture = (("release", 0.80, 0.002), ("list", 0.15, 0.020), ("analytics", 0.05, 0.300))


@dataclass
class Simulated:
    """A server that does `width` things at once; more than that share it. There is always somebody waiting."""

    adaptive: AdaptiveLimit
    mixture: Mixture
    width: float
    spread: float = 0.5
    now: float = 0.0
    slower: Callable[[float], float] = lambda _: 1.0
    demand: int = 10_000
    chance: random.Random = field(default_factory=lambda: random.Random(7))
    limits: list[tuple[float, int]] = field(default_factory=list)
    done: float = 0.0
    at_work: list[tuple[float, float, float, int, Hashable]] = field(default_factory=list)

    def run(self, seconds: float) -> float:
        """Go on for so long; how much of its width was busy: 1.0 is the most there is."""
        before, began = self.done, self.now
        while self.now < began + seconds:
            while len(self.at_work) < min(self.adaptive.limit, self.demand):
                self._begin()
            self._finish()
        return (self.done - before) / (self.now - began) / self.width

    def _begin(self) -> None:
        names, shares, costs = zip(*self.mixture, strict=True)
        index = self.chance.choices(range(len(names)), shares)[0]
        crowd = len(self.at_work) + 1
        cost = costs[index] * self.chance.uniform(1 - self.spread, 1 + self.spread) * self.slower(self.now)
        takes = cost * max(1.0, crowd / self.width)
        heapq.heappush(self.at_work, (self.now + takes, takes, cost, crowd, names[index]))

    def _finish(self) -> None:
        self.now, takes, cost, crowd, name = heapq.heappop(self.at_work)
        self.adaptive.observe(name, takes, max(crowd, len(self.at_work) + 1), self.now)
        self.done += cost
        self.limits.append((self.now, self.adaptive.limit))

    def since(self, moment: float) -> list[int]:
        return [limit for when, limit in self.limits if when >= moment]


def adaptive(start: int = 2 * FLOOR, floor: int = FLOOR, ceiling: int = CEILING) -> AdaptiveLimit:
    return AdaptiveLimit(floor, ceiling, start)


@pytest.mark.parametrize("width", [2.0, 8.0, 24.0])
@pytest.mark.parametrize("start", [FLOOR, CEILING])
@pytest.mark.parametrize("mixture", [PLAIN, MIXED], ids=["alike", "mixed"])
def test_it_finds_a_limit_near_the_best(mixture: Mixture, width: float, start: int) -> None:
    server = Simulated(adaptive(start), mixture, width)
    server.run(12.0)
    busy = server.run(20.0)
    settled = server.since(12.0)
    mean = sum(settled) / len(settled)
    # Enough to keep it busy, and not so much that answers take many times as long as they need to.
    assert busy >= 0.9
    assert mean <= max(FLOOR * 4, width * 4)
    assert mean >= min(width, CEILING) * 0.8


def test_it_shrinks_when_answers_slow_down_and_is_back_within_five_seconds() -> None:
    server = Simulated(adaptive(), PLAIN, 24.0, slower=lambda now: 6.0 if 20.0 <= now < 30.0 else 1.0)
    server.run(20.0)
    usual = server.adaptive.limit
    assert usual >= 24
    server.run(4.0)
    assert server.adaptive.limit <= usual * 0.6
    server.run(6.0)
    server.run(5.0)
    assert server.adaptive.limit >= usual * 0.8
    assert server.run(10.0) >= 0.9


def test_a_few_expensive_requests_among_many_cheap_ones_do_not_make_it_collapse() -> None:
    server = Simulated(adaptive(), PLAIN, 24.0)
    server.run(15.0)
    usual = server.adaptive.limit
    # One in twenty takes fifty times as long, first as work of its own, then under the same name.
    server.mixture = (("release", 0.95, 0.02), ("export", 0.05, 1.0))
    server.run(20.0)
    assert min(server.since(server.now - 10.0)) >= min(usual // 2, FLOOR)
    assert server.adaptive.limit >= usual // 2
    server.mixture = (("release", 0.99, 0.02), ("release", 0.01, 1.0))
    server.run(20.0)
    assert server.adaptive.limit >= usual // 2


def test_it_stays_between_floor_and_ceiling_whatever_comes() -> None:
    chance = random.Random(3)
    one = adaptive()
    now = 0.0
    for _ in range(20_000):
        now += chance.expovariate(1 / 0.005)
        one.observe(chance.randrange(5), chance.choice((0.0, 1e-9, 0.001, 0.5, 1e6)), chance.randint(1, 200), now)
        assert FLOOR <= one.limit <= CEILING


def test_it_does_not_grow_where_nobody_asks_for_more() -> None:
    server = Simulated(adaptive(), PLAIN, 100.0, demand=4)
    server.run(20.0)
    assert {limit for _, limit in server.limits} == {2 * FLOOR}


def test_a_server_that_is_always_full_is_looked_at_with_few_requests_now_and_then() -> None:
    server = Simulated(adaptive(), PLAIN, 12.0)
    server.run(30.0)
    assert 3 <= server.adaptive.probes <= 5
    at_floor = sum(limit == FLOOR for _, limit in server.limits) / len(server.limits)
    assert 0 < at_floor < 0.05


def test_the_ceiling_may_lie_below_the_floor() -> None:
    assert AdaptiveLimit(6, 1, 12).limit == 1
