"""Thousands of connections at once, most of them a nuisance: `python -m tests.chaos.throng PLAN.json`.

Some sit idle, some send their header a line at a time, some their body a byte at a time; among them readers, and people
who post views and comments and write down what was acknowledged. Whoever is cut off comes again.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import uvloop

from tests.chaos.bounds import percentile
from tests.chaos.clients import event
from tests.chaos.process import RELEASES
from tests.chaos.wire import HOST, Wire, request

PATIENCE = 30.0
# How long those who write may take to hear of what they have sent when it is over, in seconds.
FINISH = 20.0
SLOW_BODY = 600


class Cut(Exception):
    """The connection ended before the answer came."""


@dataclass
class Books:
    """What everybody saw: acknowledged events and comments, answers and ends by kind of client."""

    events: set[str] = field(default_factory=set)
    comments: dict[int, str] = field(default_factory=dict)
    statuses: dict[str, Counter[str]] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)
    retry_after_missing: int = 0
    connected: int = 0
    samples: list[int] = field(default_factory=list)

    def note(self, kind: str, what: int | str) -> None:
        """An answer or an end."""
        self.statuses.setdefault(kind, Counter())[str(what)] += 1


class Line:
    """One client's connection; `ask` waits for the answer."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._future: asyncio.Future[tuple[int, bytes]] | None = None
        self.ended = asyncio.Event()
        self.wire = Wire(self._answered, self._lost)

    async def open(self, port: int) -> None:
        """Connect."""
        await asyncio.get_running_loop().create_connection(lambda: self.wire, HOST, port)
        self._books.connected += 1

    async def ask(self, sent: bytes) -> tuple[int, bytes]:
        """Send a request; the status of its answer and the whole of it. Cut if there is none."""
        self.begin(sent)
        return await self.answer()

    def begin(self, sent: bytes) -> None:
        """Send the beginning of a request."""
        if not self.wire.open:
            raise Cut
        self._future = asyncio.get_running_loop().create_future()
        self.wire.send(sent)

    def more(self, sent: bytes) -> bool:
        """Send a further piece of it; False when that is of no use any more."""
        if not self.wire.open or self._future is None or self._future.done():
            return False
        assert self.wire.transport is not None
        self.wire.transport.write(sent)
        return True

    async def answer(self) -> tuple[int, bytes]:
        """The answer to what was begun."""
        assert self._future is not None
        async with asyncio.timeout(PATIENCE):
            return await self._future

    def close(self) -> None:
        """Hang up."""
        self.wire.close()

    def _answered(self, _wire: Wire, status: int, answer: bytes) -> None:
        if self._future is not None and not self._future.done():
            self._future.set_result((status, answer))

    def _lost(self, _wire: Wire) -> None:
        self._books.connected -= 1
        self.ended.set()
        if self._future is not None and not self._future.done():
            self._future.set_exception(Cut())
            # Whoever left without waiting for the answer does not want to hear that there is none.
            self._future.exception()


class Throng:
    """All of them. `behave` is what one does on one connection, for as long as it lasts."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._plan = plan
        self._port: int = plan["port"]
        self._over = False
        # What was sent and not acknowledged yet: sent again, the same, until it is.
        self._owed: dict[tuple[str, int], tuple[bytes, list[str]]] = {}
        self.books = Books()

    async def run(self) -> dict[str, Any]:
        """From the first connection to the last answer."""
        kinds: list[tuple[str, Callable[[Line, random.Random, int], Awaitable[None]]]] = [
            ("idle", self._idle), ("headers", self._headers), ("bodies", self._body),
            ("readers", self._reader), ("viewers", self._viewer), ("talkers", self._talker),
        ]  # fmt: skip
        each = [(kind, act, number) for kind, act in kinds for number in range(self._plan[kind])]
        random.Random(1).shuffle(each)
        pause = self._plan["ramp"] / max(len(each), 1)
        before, started = time.process_time(), time.perf_counter()
        tasks: dict[str, list[asyncio.Task[None]]] = {kind: [] for kind, _ in kinds}
        for index, (kind, act, number) in enumerate(each):
            if (wait := started + index * pause - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            tasks[kind].append(asyncio.create_task(self._live(kind, act, number)))
        await self._watch()
        self._over = True
        cpu = (time.process_time() - before) / (time.perf_counter() - started)
        writers = tasks["viewers"] + tasks["talkers"]
        if writers:
            await asyncio.wait(writers, timeout=FINISH)
        unfinished = sum(not task.done() for task in writers)
        for task in (one for many in tasks.values() for one in many):
            task.cancel()
        return self._report(cpu, unfinished)

    async def _watch(self) -> None:
        """Count who is connected for the time of the plan."""
        end = time.perf_counter() + self._plan["seconds"]
        while time.perf_counter() < end:
            self.books.samples.append(self.books.connected)
            await asyncio.sleep(0.5)

    def _report(self, cpu: float, unfinished: int) -> dict[str, Any]:
        books, times = self.books, sorted(self.books.latencies)
        samples = sorted(books.samples)
        return {
            "events": sorted(books.events),
            "comments": books.comments,
            "statuses": books.statuses,
            "retry_after_missing": books.retry_after_missing,
            "connected_median": percentile(samples, 0.5),
            "connected_least": samples[0] if samples else 0,
            "answers": len(times),
            "p50_ms": percentile(times, 0.5) * 1000,
            "p99_ms": percentile(times, 0.99) * 1000,
            "unfinished": unfinished,
            "client_cpu": cpu,
        }

    async def _live(self, kind: str, act: Callable[[Line, random.Random, int], Awaitable[None]], number: int) -> None:
        chance = random.Random(f"{self._plan['seed']}/{kind}/{number}")
        while not self._over or (kind, number) in self._owed:
            line = Line(self.books)
            try:
                await line.open(self._port)
                await act(line, chance, number)
                self.books.note(kind, "ended")
            except Cut:
                self.books.note(kind, "cut off")
            except OSError:
                self.books.note(kind, "not connected")
            except TimeoutError:
                self.books.note(kind, "no answer")
            finally:
                line.close()
            await asyncio.sleep(chance.uniform(0.2, 1.0))

    async def _idle(self, line: Line, chance: random.Random, number: int) -> None:
        path = f"/api/v1/releases/{1 + number % RELEASES}"
        self.books.note("idle", (await line.ask(request("GET", path, self._port)))[0])
        await line.ended.wait()

    async def _headers(self, line: Line, chance: random.Random, number: int) -> None:
        line.begin(f"GET /api/v1/releases HTTP/1.1\r\nHost: {HOST}:{self._port}\r\n".encode())
        for number_of_line in itertools.count():
            if not line.more(f"X-Slow-{number_of_line}: {chance.randrange(10**6)}\r\n".encode()):
                break
            await asyncio.sleep(chance.uniform(1.0, 3.0))
        self.books.note("headers", (await line.answer())[0])

    async def _body(self, line: Line, chance: random.Random, number: int) -> None:
        made = event(chance)
        body = json.dumps(made).encode().ljust(SLOW_BODY)
        whole = request("POST", "/api/v1/views", self._port, body)
        line.begin(whole[:-SLOW_BODY])
        for place in range(SLOW_BODY):
            if not line.more(body[place : place + 1]):
                break
            await asyncio.sleep(chance.uniform(0.5, 1.5))
        status, _ = await line.answer()
        self.books.note("bodies", status)
        if status == 202:
            self.books.events.add(made["event_id"])

    async def _reader(self, line: Line, chance: random.Random, number: int) -> None:
        while not self._over:
            # Some targets are nobody else's: those reads take the whole way.
            one = chance.random() < 0.75
            path = f"/{chance.randint(1, RELEASES)}" if one else f"?limit=10&x={chance.getrandbits(60)}"
            await self._timed("readers", line, request("GET", f"/api/v1/releases{path}", self._port), 200)
            await asyncio.sleep(chance.uniform(1.0, 7.0))

    async def _viewer(self, line: Line, chance: random.Random, number: int) -> None:
        while not self._over or ("viewers", number) in self._owed:
            sent, events = self._owed.setdefault(("viewers", number), self._views(chance))
            if await self._timed("viewers", line, sent, 202):
                self.books.events.update(events)
                del self._owed["viewers", number]
            await asyncio.sleep(chance.uniform(1.0, 4.0))

    def _views(self, chance: random.Random) -> tuple[bytes, list[str]]:
        events = [event(chance) for _ in range(chance.randint(1, 20) if chance.random() < 0.3 else 1)]
        body = json.dumps(events if len(events) > 1 else events[0]).encode()
        return request("POST", "/api/v1/views", self._port, body), [one["event_id"] for one in events]

    async def _talker(self, line: Line, chance: random.Random, number: int) -> None:
        while not self._over or ("talkers", number) in self._owed:
            sent, texts = self._owed.setdefault(("talkers", number), self._comment(chance, number))
            if answer := await self._timed("talkers", line, sent, 201):
                self.books.comments[json.loads(answer.partition(b"\r\n\r\n")[2])["id"]] = texts[0]
                del self._owed["talkers", number]
            await asyncio.sleep(chance.uniform(2.0, 8.0))

    def _comment(self, chance: random.Random, number: int) -> tuple[bytes, list[str]]:
        tokens = self._plan["tokens"]
        text = f"This is said once: {UUID(int=chance.getrandbits(128))}"
        headers = {"Authorization": f"Bearer {tokens[number % len(tokens)]}", "Idempotency_Key": str(uuid4())}
        path = f"/api/v1/releases/{chance.randint(1, RELEASES)}/comments"
        return request("POST", path, self._port, json.dumps({"text": text}).encode(), **headers), [text]

    async def _timed(self, kind: str, line: Line, sent: bytes, expect: int) -> bytes:
        """Ask; the answer if it is the one that was hoped for, else nothing."""
        started = time.perf_counter()
        status, answer = await line.ask(sent)
        self.books.note(kind, status)
        if status == expect:
            self.books.latencies.append(time.perf_counter() - started)
            return answer
        if status in (429, 503):
            self.books.retry_after_missing += b"\r\nretry-after:" not in answer[:1500].lower()
        return b""


if __name__ == "__main__":
    said = json.loads(Path(sys.argv[1]).read_text())
    Path(said["report"]).write_text(json.dumps(uvloop.run(Throng(said).run())))
