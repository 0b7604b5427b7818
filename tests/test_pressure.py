"""Pressure: when the server gives way, how it comes back, and what the governor and paused actors do meanwhile."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Any

import pytest

from actors import supervisor
from actors.base import Actor
from actors.governor import Governor
from actors.supervisor import RestartPolicy, Supervisor
from server.cache import Policy, ResponseCache
from server.metrics import Metrics
from server.metrics_pressure import of_pressure
from server.pressure import Pressure
from server.rules import pressure as rules
from server.rules.pressure import (
    CALM,
    GROW_EVERY,
    HOLD,
    LEAST_CACHE,
    MIB,
    PAUSE,
    SHED,
    SHRINK,
    Reading,
    Standing,
    cache_budget,
    decide,
    mean_lag,
)  # fmt: skip

pytestmark = pytest.mark.usefixtures("as_served")
LIMIT = 400 * MIB


def reading(free_share: float = 1.0, lag: float = 0.0) -> Reading:
    return Reading(LIMIT, int(LIMIT * (1 - free_share)), lag)


@pytest.mark.parametrize(
    ("free_share", "level"), [(0.5, CALM), (0.21, CALM), (0.19, SHRINK), (0.11, PAUSE), (0.05, SHED), (-0.1, SHED)]
)
def test_the_level_rises_at_once_with_the_room_that_is_left(free_share: float, level: int) -> None:
    standing = decide(Standing(), reading(free_share), 1.0)
    assert standing.level == level
    assert standing.reason == ("memory" if level else "")


def test_much_memory_is_not_wanted_in_proportion() -> None:
    huge = 64 * 1024 * MIB
    assert decide(Standing(), Reading(huge, huge - 300 * MIB, 0.0), 1.0).level == CALM
    assert decide(Standing(), Reading(huge, huge - 50 * MIB, 0.0), 1.0).level == SHED


def test_without_a_limit_only_the_event_loop_counts() -> None:
    assert decide(Standing(), Reading(None, 10**12, 0.0), 1.0).level == CALM
    standing = decide(Standing(), Reading(None, 10**12, 0.3), 1.0)
    assert (standing.level, standing.reason, standing.memory.level) == (PAUSE, "event_loop", CALM)
    assert decide(Standing(), Reading(None, 0, 1.5), 1.0).level == SHED


def test_a_level_falls_step_by_step_and_only_when_things_are_clearly_better() -> None:
    standing = decide(Standing(), reading(0.05), 10.0)
    # Better than the mark, not clearly.
    standing = decide(standing, reading(0.07), 10.0 + 100 * HOLD)
    assert standing.level == SHED
    # Clearly better, but only just.
    held = decide(Standing(), reading(0.05), 10.0)
    assert decide(held, reading(0.9), 10.0 + HOLD / 2).level == SHED
    levels, now = [], 10.0
    for _ in range(5):
        now += HOLD
        held = decide(held, reading(0.9), now)
        levels.append(held.level)
    assert levels == [PAUSE, SHRINK, CALM, CALM, CALM]


def test_shedding_on_account_of_a_late_loop_is_over_within_five_seconds_of_the_lag() -> None:
    held, now = decide(Standing(), reading(lag=2.0), 0.0), 100.0
    # The mean of a lag that stood, second by second after it ended: ten timers each.
    mean = 0.0
    for _ in range(100):
        mean = mean_lag(mean, 60.0, 60.1)
    for _ in range(4):
        for _ in range(10):
            mean = mean_lag(mean, 0.0, 0.1)
        lag = mean
        held = decide(held, reading(lag=lag), now)
        now += 1.0
    assert held.level < SHED
    assert HOLD * 2 <= 5


@pytest.mark.parametrize("seconds", [1.5, 5.0, 600.0])
def test_one_long_halt_refuses_nobody_and_a_lag_that_stands_does(seconds: float) -> None:
    mean = mean_lag(0.0, seconds, seconds + 0.1)
    assert decide(Standing(), reading(lag=mean), 1.0).level < SHED
    for _ in range(10):
        mean = mean_lag(mean, 0.0, 0.1)
    # Gone a second later.
    assert decide(Standing(), reading(lag=mean), 2.0).level == CALM
    for _ in range(4):
        mean = mean_lag(mean, seconds, seconds + 0.1)
    assert decide(Standing(), reading(lag=mean), 3.0).level == SHED


def test_the_cache_halves_to_its_floor_and_doubles_back() -> None:
    full, budgets = 32 * MIB, [32 * MIB]
    while (budget := cache_budget(full, budgets[-1], SHRINK)) != budgets[-1]:
        budgets.append(budget)
    assert [budget // MIB for budget in budgets] == [32, 16, 8, 4]
    while (budget := cache_budget(full, budgets[-1], CALM)) != budgets[-1]:
        budgets.append(budget)
    assert budgets[-1] == full
    assert budgets.index(LEAST_CACHE) < len(budgets)
    assert [cache_budget(small, small, SHED) for small in (0, 100)] == [0, 100]


class Weather:
    """What the governor sees."""

    def __init__(self) -> None:
        self.now = reading()
        self.tidied = 0

    def look(self) -> Reading:
        return self.now

    def tidy(self) -> None:
        self.tidied += 1


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The governor's clock, one second a tick."""
    now = [1000.0]
    monkeypatch.setattr("actors.governor.perf_counter", lambda: now[0])
    return now


async def filled(max_bytes: int) -> ResponseCache:
    cache = ResponseCache(max_bytes)
    policy = Policy("test", 1000, 1, 1)

    async def body() -> bytes:
        return b"x" * 100_000

    for number in range(200):
        await cache.fetch(number, body, policy, ("t",))
    return cache


async def tick(governor: Governor, clock: list[float], times: int) -> None:
    for _ in range(times):
        clock[0] += 1.0
        await governor.on_tick()


async def test_caches_shrink_under_memory_pressure_and_everything_comes_back(clock: list[float]) -> None:
    weather, pressure, cache = Weather(), Pressure(), await filled(16 * MIB)
    governor = Governor(pressure, cache, 16 * MIB, weather.look, weather.tidy)
    assert cache.bytes > 8 * MIB
    weather.now = reading(0.15)
    await tick(governor, clock, 5)
    assert pressure.level == SHRINK
    assert (pressure.pauses, pressure.sheds) == (False, False)
    assert cache.max_bytes == LEAST_CACHE
    assert 0 < cache.bytes <= LEAST_CACHE
    assert weather.tidied == 1
    weather.now = reading(0.03)
    await tick(governor, clock, 1)
    assert (pressure.level, pressure.pauses, pressure.sheds) == (SHED, True, True)
    assert pressure.entered == {SHRINK: 1, PAUSE: 1, SHED: 1}
    weather.now = reading(0.8)
    await tick(governor, clock, int(3 * HOLD) + 1)
    assert pressure.level == CALM
    assert cache.max_bytes < 16 * MIB
    await tick(governor, clock, int(3 * GROW_EVERY))
    assert cache.max_bytes == 16 * MIB
    assert weather.tidied == 2


async def test_a_late_loop_keeps_its_cache(clock: list[float]) -> None:
    weather, pressure, cache = Weather(), Pressure(), ResponseCache(16 * MIB)
    governor = Governor(pressure, cache, 16 * MIB, weather.look, weather.tidy)
    weather.now = reading(lag=3.0)
    await tick(governor, clock, 10)
    assert (pressure.level, pressure.reason) == (SHED, "event_loop")
    assert cache.max_bytes == 16 * MIB
    assert weather.tidied == 0


class Sweeper(Actor[Any]):
    """Something that can wait, and counts."""

    name = "sweeper"
    interval = 0.02
    yields_to_pressure = True
    ticks = 0

    async def on_tick(self) -> None:
        type(self).ticks += 1

    async def receive(self, message: Any) -> Any:
        return message


class Stubborn(Sweeper):
    """Something that was promised."""

    name = "stubborn"
    yields_to_pressure = False
    ticks = 0


async def until(true: Any) -> None:
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.005)


def supervised(actor: type[Actor[Any]], pressure: Pressure) -> Supervisor:
    def dead(name: str, error: BaseException) -> None:
        raise AssertionError(name, error)

    return Supervisor(actor, RestartPolicy(), dead, lambda: pressure.pauses)


async def test_who_yields_waits_with_its_ticks_only_and_does_not_look_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "LOOK_AGAIN", 0.01)
    pressure = Pressure()
    pressure.become(decide(Standing(), reading(0.1), 1.0), reading(0.1))
    yielding, promised = supervised(Sweeper, pressure), supervised(Stubborn, pressure)
    for one in (yielding, promised):
        await one.start(5)
    await until(lambda: Stubborn.ticks >= 3 and yielding.stats.put_off >= 3)
    assert Sweeper.ticks == 0
    assert yielding.stats.paused
    assert perf_counter() - yielding.stats.last_tick < 5
    # Whoever asks is answered in any case.
    assert await yielding.ref.ask("hello", timeout=1) == "hello"  # type: ignore[arg-type]
    pressure.become(Standing(), reading())
    await until(lambda: Sweeper.ticks >= 3)
    assert not yielding.stats.paused
    assert promised.stats.put_off == 0
    for one in (yielding, promised):
        assert await one.stop(1)


async def test_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "LOOK_AGAIN", 0.01)
    monkeypatch.setattr(supervisor, "PATIENCE", 0.05)
    monkeypatch.setattr(Sweeper, "ticks", 0)
    pressure = Pressure()
    pressure.become(decide(Standing(), reading(0.1), 1.0), reading(0.1))
    yielding = supervised(Sweeper, pressure)
    await yielding.start(5)
    await until(lambda: Sweeper.ticks >= 2)
    assert yielding.stats.put_off > Sweeper.ticks
    assert await yielding.stop(1)


def test_the_marks_are_in_order() -> None:
    assert [mark.level for mark in rules.MARKS] == [SHED, PAUSE, SHRINK]
    assert sorted(mark.share for mark in rules.MARKS) == [mark.share for mark in rules.MARKS]
    assert sorted(mark.most for mark in rules.MARKS) == [mark.most for mark in rules.MARKS]


def test_metrics_show_pressure() -> None:
    metrics, pressure = Metrics(lambda name, seconds: None, 0), Pressure()
    pressure.become(decide(Standing(), reading(0.1), 1.0), reading(0.1))
    metrics.add(of_pressure(pressure))
    text = metrics.exposition().decode()
    assert "yojohan_pressure_level 2.0" in text
    assert "yojohan_memory_limit_bytes 4.194304e+08" in text
    assert 'yojohan_pressure_entered_total{level="2"} 1.0' in text
