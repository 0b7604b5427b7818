"""Two instances that share their limits through Redis, and Redis killed and started again under load."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from server.identity import AccessTokens
from tests.chaos.bounds import Bound, Findings, percentile
from tests.chaos.process import RELEASES, Served, served
from tests.chaos.wire import HOST, Wire, request
from tests.redis_server import RedisServer, redis_server

KEY = "a key of nobody but this run"
STEP = 0.05
PEOPLE = 6
# Each asks for so many times what they are granted, half of it of either instance.
GREED = 2.0
LINES = 4
# How long instances may go on counting for themselves after Redis is back, in seconds.
RETURN = 3.0
EXACT = 0.01
SLOWEST_MS = 1000.0
P99_MS = 150.0
MAKE_PEOPLE = """
insert into users (username, username_key, created_at)
select 'guest' || n, 'guest' || n, now() - interval '90 days' from generate_series(1, $1::integer) n
returning id
"""


@dataclass(frozen=True)
class Course:
    """How long Redis runs before each kill and after the last, how long it stays away each time; what is allowed.

    `quota` requests in `quota * STEP` seconds.
    """

    up: tuple[float, ...] = (14.0, 9.0, 9.0)
    away: tuple[float, ...] = (6.0, 0.5)
    quota: int = 200


@dataclass
class Books:
    """The moments at which each person's requests passed, and what else came."""

    passed: dict[int, list[float]] = field(default_factory=dict)
    statuses: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)


class Load:
    """Everybody asks at a fixed rate, of one instance and the other in turn."""

    def __init__(self, ports: tuple[int, int], tokens: list[str]) -> None:
        self._ports, self._tokens = ports, tokens
        self._free: dict[int, list[Wire]] = {port: [] for port in ports}
        self._tasks: set[asyncio.Task[None]] = set()
        self.books = Books({person: [] for person in range(len(tokens))})

    async def run(self, stop: asyncio.Event) -> None:
        """Until told to stop; then until the last answer."""
        people = len(self._tokens)
        pause, number, started = STEP / GREED / people, 0, time.perf_counter()
        while not stop.is_set():
            while started + number * pause <= time.perf_counter():
                port = self._ports[number // people % 2]
                task = asyncio.create_task(self._ask(number % people, port))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                number += 1
            await asyncio.sleep(0.002)
        await asyncio.gather(*self._tasks)
        for wire in (one for many in self._free.values() for one in many):
            wire.close()

    async def _ask(self, person: int, port: int) -> None:
        path = f"/api/v1/releases/{random.randint(1, RELEASES)}"
        sent = request("GET", path, port, Authorization=f"Bearer {self._tokens[person]}")
        started = time.perf_counter()
        try:
            async with asyncio.timeout(10):
                status = await self._exchange(port, sent)
        except (OSError, TimeoutError) as error:
            self.books.statuses[repr(error)] += 1
            return
        now = time.perf_counter()
        self.books.statuses[str(status)] += 1
        self.books.latencies.append(now - started)
        if status == 200:
            self.books.passed[person].append(now)

    async def _exchange(self, port: int, sent: bytes) -> int:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[int] = loop.create_future()
        while self._free[port] and not self._free[port][-1].open:
            self._free[port].pop()
        if self._free[port]:
            wire = self._free[port].pop()
        else:
            _, wire = await loop.create_connection(lambda: Wire(_answered, _lost), HOST, port)
        wire.note = answer
        wire.send(sent)
        status = await answer
        self._free[port].append(wire)
        return status


def _answered(wire: Wire, status: int, _answer: bytes) -> None:
    if not wire.note.done():
        wire.note.set_result(status)


def _lost(wire: Wire) -> None:
    if wire.note is not None and not wire.note.done():
        wire.note.set_exception(ConnectionError("cut off"))


@dataclass(frozen=True)
class Stretch:
    """A stretch of time and whether Redis was there."""

    begin: float
    end: float
    shared: bool


async def run(directory: Path, *, course: Course | None = None) -> Findings:
    """Load two instances and let Redis come and go."""
    course = course or Course()
    findings = Findings("redis")
    with redis_server() as redis:
        settings = {
            "SECRET_KEY": KEY,
            "REDIS_URL": redis.url,
            "RATE_LIMIT_MAX": str(course.quota),
            "RATE_LIMIT_TTL": str(round(course.quota * STEP * 1000)),
        }
        async with served(directory / "data", **settings) as first:  # type: ignore[arg-type]
            await first.start()
            tokens = await _people(first)
            second = Served(directory / "second", DATABASE_URL=first.cluster.dsn(), **settings)
            try:
                await second.start()
                load = Load((first.port, second.port), tokens)
                stretches = await _course(load, redis, course)
                for instance in (first, second):
                    if instance.process is None or instance.process.poll() is not None:
                        findings.complaints.append(f"a server ended: {instance.last_lines()}")
                judge(findings, load.books, stretches, course.quota)
            finally:
                await second.clean_up()
    return findings


async def _people(server: Served) -> list[str]:
    async with server.connection() as conn:
        rows = await conn.fetch(MAKE_PEOPLE, PEOPLE)
    maker = AccessTokens([KEY.encode()])
    return [maker.issue(row["id"], "user", 1, uuid4()) for row in rows]


async def _course(load: Load, redis: RedisServer, course: Course) -> list[Stretch]:
    """The load with Redis going away and coming back; the stretches of both."""
    stop = asyncio.Event()
    task = asyncio.create_task(load.run(stop))
    stretches: list[Stretch] = []
    try:
        for up, away in zip(course.up, (*course.away, 0.0), strict=True):
            began = time.perf_counter()
            await asyncio.sleep(up)
            gone = time.perf_counter()
            stretches.append(Stretch(began, gone, shared=True))
            if away:
                redis.kill()
                await asyncio.sleep(away)
                await asyncio.to_thread(redis.start)
                stretches.append(Stretch(gone, time.perf_counter(), shared=False))
    finally:
        stop.set()
        async with asyncio.timeout(20):
            await task
    return stretches


def granted(stretches: list[Stretch], quota: int, instances: int = 2) -> float:
    """The most that may pass of one person's requests: the quota, what refills, and once more of it for each further
    instance while they cannot know of each other."""
    total = stretches[-1].end - stretches[0].begin
    apart = sum(one.end - one.begin + RETURN for one in stretches if not one.shared)
    return quota + (total + (instances - 1) * apart) / STEP


def judge(findings: Findings, books: Books, stretches: list[Stretch], quota: int) -> None:
    """Hold what came of it against the bounds."""
    failed = sum(count for status, count in books.statuses.items() if status not in ("200", "429"))
    most = max(len(moments) for moments in books.passed.values())
    least = min(len(moments) for moments in books.passed.values())
    total = stretches[-1].end - stretches[0].begin
    times = sorted(books.latencies)
    findings.bounds += [
        Bound("failed requests", failed, 0),
        Bound("passed of one person, of what may", most / granted(stretches, quota), 1 + EXACT, "", at_least=False),
        Bound("passed of one person, of what must", least / (total / STEP), 1 - EXACT, "", at_least=True),
        Bound("passed in a stretch with Redis, of what may", _worst(books, stretches, quota), 1 + EXACT),
        Bound("p99", percentile(times, 0.99) * 1000, P99_MS, "ms"),
        Bound("slowest", (times[-1] if times else 0.0) * 1000, SLOWEST_MS, "ms"),
        Bound("refused requests", books.statuses["429"], 1, "", at_least=True),
    ]
    away = ", ".join(f"{one.end - one.begin:.1f} s" for one in stretches if not one.shared)
    findings.notes += [
        f"{sum(books.statuses.values())} requests of {len(books.passed)} people to two instances in {total:.0f} s",
        f"{quota} in {quota * STEP:.0f} s allowed; Redis was away for {away}",
        f"answers {dict(books.statuses)}, p50 {percentile(times, 0.5) * 1000:.1f} ms",
    ]


def _worst(books: Books, stretches: list[Stretch], quota: int) -> float:
    """Over the stretches with Redis, once everything saved up is spent: the largest share of the refill that passed."""
    worst = 0.0
    for place, one in enumerate(stretches):
        # At first the quota is spent, and after a return the instances tell what they have counted.
        begin = one.begin + (quota * STEP / (GREED - 1) if place == 0 else RETURN)
        if not one.shared or one.end - begin < 2:
            continue
        for moments in books.passed.values():
            passed = sum(begin <= moment < one.end for moment in moments)
            # One more than the refill may fall into any stretch.
            worst = max(worst, (passed - 1) / ((one.end - begin) / STEP))
    return worst
