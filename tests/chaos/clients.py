"""Clients that send views and keep books: what was acknowledged, what must be sent again under the same event id."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any
from uuid import UUID, uuid4

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector

from tests.chaos.process import EPISODES, RELEASES

LARGEST_ARRAY = 20
PAUSE = 0.03


@dataclass
class Books:
    """What all clients saw. `slowest` is the longest wait for an acknowledgement, in seconds."""

    acknowledged: set[UUID] = field(default_factory=set)
    accepted: int = 0
    duplicates: int = 0
    sent: int = 0
    broken: int = 0
    slowest: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    retry_after_missing: int = 0
    reads: Counter[str] = field(default_factory=Counter)


def event(chance: random.Random) -> dict[str, Any]:
    """A view of some release, and of an episode of it every other time."""
    release = chance.randint(1, RELEASES)
    made: dict[str, Any] = {
        "event_id": str(UUID(int=chance.getrandbits(128), version=4)),
        "release_id": release,
        "duration_seconds": chance.randint(0, 1440),
        "completion_percentage": chance.randint(0, 100),
    }
    if chance.random() < 0.5:
        made["episode_id"] = (release - 1) * EPISODES + chance.randint(1, EPISODES)
    return made


class Clients:
    """`writers` post events one at a time or in arrays, `readers` read lists; `stop` lets each finish what it has."""

    def __init__(
        self,
        base: str,
        *,
        writers: int = 8,
        readers: int = 2,
        seed: int = 0,
        deadline: float = 30.0,
        persistent: bool = True,
    ) -> None:
        """`persistent` clients try until they are served, others leave when they are not."""
        self.books = Books()
        self._persistent = persistent
        self.stopping = False
        self._base = base
        self._writers = writers
        self._readers = readers
        self._seed = seed
        self._deadline = deadline
        self._tasks: list[asyncio.Task[None]] = []

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[Books]:
        """Run them; at the end wait until every event that was ever sent is acknowledged."""
        connector = TCPConnector(limit=0)
        async with ClientSession(connector=connector, timeout=ClientTimeout(total=self._deadline)) as session:
            self._tasks = [asyncio.create_task(self._write(session, number)) for number in range(self._writers)]
            self._tasks += [asyncio.create_task(self._read(session)) for _ in range(self._readers)]
            try:
                yield self.books
                self.stopping = True
                async with asyncio.timeout(60):
                    await asyncio.gather(*self._tasks)
            finally:
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _write(self, session: ClientSession, number: int) -> None:
        chance = random.Random(f"{self._seed}/{number}")
        while not self.stopping:
            many = chance.random() < 0.3
            events = [event(chance) for _ in range(chance.randint(1, LARGEST_ARRAY) if many else 1)]
            started = perf_counter()
            if not await self._insist(session, events if many else events[0]):
                return
            self.books.slowest = max(self.books.slowest, perf_counter() - started)
            self.books.acknowledged.update(UUID(one["event_id"]) for one in events)

    async def _insist(self, session: ClientSession, body: Any) -> bool:
        """Send it until it is acknowledged; False if that is given up."""
        while not await self._post(session, body):
            if not self._persistent:
                return False
            await asyncio.sleep(PAUSE)
        return True

    async def _post(self, session: ClientSession, body: Any) -> bool:
        self.books.sent += 1
        try:
            async with session.post(f"{self._base}/api/v1/views", json=body) as answer:
                self.books.statuses[answer.status] += 1
                if answer.status != 202:
                    assert answer.status == 503, await answer.text()
                    self.books.retry_after_missing += "Retry-After" not in answer.headers
                    return False
                said = await answer.json()
        except (ClientError, OSError, TimeoutError):
            self.books.broken += 1
            return False
        assert not said["rejected"], said
        self.books.accepted += said["accepted"]
        self.books.duplicates += said["duplicates"]
        return True

    async def _read(self, session: ClientSession) -> None:
        while not self.stopping:
            try:
                # A target of its own each time: half of the reads take the whole way.
                one = f"/{random.randint(1, RELEASES)}" if random.random() < 0.5 else f"?x={uuid4()}"
                async with session.get(f"{self._base}/api/v1/releases{one}") as answer:
                    await answer.read()
                    self.books.reads[str(answer.status)] += 1
            except (ClientError, OSError, TimeoutError):
                self.books.reads["broken"] += 1
            await asyncio.sleep(PAUSE)
