"""Micro costs in microseconds: what one message, one log line, one observation takes inside the process.

No target: the figures explain the ratios of the big scenarios.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from actors.base import Actor, ActorRef, Request
from actors.system import ActorSystem
from server.cache import ResponseCache, policies
from server.logs import LogWriter, RequestLog, Sink
from server.meter import Meter
from server.metrics import RouteStats
from server.rules.limits import Limit, address_key
from tests.bench.context import Bench, Result

REPEATS = 7
OPERATIONS = 5_000
# Tells are sent in bursts that fit the mailbox, then an ask waits until all were handled.
BURST = 500
ENTRIES = 1_000
CLIENTS = 4_000


@dataclass(frozen=True, slots=True)
class Ping(Request[int]):
    """A message that is asked or told."""


class Pinged(Actor[Ping]):
    """Counts its messages and does nothing else."""

    name = "bench"

    def __init__(self) -> None:
        self.count = 0

    async def receive(self, message: Ping) -> int:
        """Count one."""
        self.count += 1
        return self.count


def costs(bench: Bench) -> list[Result]:
    """Measure every micro cost."""
    return [
        *uvloop.run(_actor_costs()),
        uvloop.run(_cache_lookup()),
        _log_line(bench.root / "micro.log"),
        _line("metrics: one request observed", _timed(_observe())),
        _line("rate limit: one request charged", _timed(_charge()), f"{CLIENTS} clients in turn"),
    ]


def _line(name: str, seconds: list[float], note: str = "") -> Result:
    return Result(name, "none", statistics.median(seconds) * 1e6, "µs", None, {"note": note} if note else {})


def _timed(operation: Callable[[], Any]) -> list[float]:
    """Return the seconds of one call of `operation`, several times over; the loop's own share is part of it."""
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        for _ in range(OPERATIONS):
            operation()
        seconds.append((time.perf_counter() - started) / OPERATIONS)
    return seconds


def _die(name: str, error: BaseException) -> None:
    raise SystemExit(f"the actor {name} could not be kept alive: {error!r}")


async def _actor_costs() -> list[Result]:
    system = ActorSystem(_die)
    ref: ActorRef[Ping] = system.add(Pinged)
    await system.start()
    try:
        asks = [await _asks(ref) for _ in range(REPEATS)]
        tells = [await _tells(ref) for _ in range(REPEATS)]
    finally:
        await system.stop(5.0)
    return [
        _line("actor ask, there and back", asks),
        _line("actor tell, until handled", tells, f"in bursts of {BURST}"),
    ]


async def _asks(ref: ActorRef[Ping]) -> float:
    started = time.perf_counter()
    for _ in range(OPERATIONS):
        await ref.ask(Ping(), timeout=5.0)
    return (time.perf_counter() - started) / OPERATIONS


async def _tells(ref: ActorRef[Ping]) -> float:
    started = time.perf_counter()
    for _ in range(OPERATIONS // BURST):
        for _ in range(BURST - 1):
            ref.tell(Ping())
        await ref.ask(Ping(), timeout=5.0)
    return (time.perf_counter() - started) / OPERATIONS


async def _cache_lookup() -> Result:
    cache, policy = ResponseCache(32 << 20), policies({})["release"]

    async def load() -> bytes:
        return b"x" * 2000

    for number in range(ENTRIES):
        await cache.fetch(("release", number), load, policy, (f"release-{number}",))
    key = ("release", ENTRIES // 2)
    if cache.get(key) is None:
        raise SystemExit("the cache kept nothing, so there is no hit to measure")
    return _line("cache lookup, a hit", _timed(lambda: cache.get(key)), f"among {ENTRIES} entries")


def _log_line(path: Path) -> Result:
    writer = LogWriter(Sink(path))
    log = RequestLog(writer, enabled=True, console=False)
    where = "/api/v1/releases/5000"
    writer.start()
    try:
        seconds = _timed(
            lambda: log.line(
                "0f8fad5b-d9cb-469f-a165-70867728950e", None, "GET", where, "/api/v1/releases/{id}", 200, 0.0004, 2000,
                "hit", "127.0.0.0/24",
            )
        )  # fmt: skip
    finally:
        writer.close()
    return _line("log line of a request", seconds, f"{writer.dropped} dropped")


def _observe() -> Callable[[], None]:
    stats = RouteStats("GET", "/api/v1/releases/{id}")
    return lambda: stats.observe(200, 0.0004)


def _charge() -> Callable[[], None]:
    limit = Limit("bench", 10_000_000, 60.0, "client", "Measures.")
    meter = Meter({limit.name: limit})
    addresses = itertools.cycle([f"10.1.{number // 256}.{number % 256}" for number in range(CLIENTS)])

    def charge() -> None:
        if not meter.charge(limit, address_key(next(addresses))).allowed:
            raise SystemExit("the limit refused a request, so there is no charge to measure")

    return charge
