"""The small client for machines without wrk: `python -m tests.bench.client PLAN.json`.

Raw asyncio protocols on uvloop, one request in flight on each kept-alive connection. It is slower than wrk, so ratios
of fast routes come out flattered; the report says which of the two made the load.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import uvloop

from tests.bench.lua import MARK

LATENCIES = 200_000


def events(chance: random.Random, ids: Sequence[int], batch: int) -> bytes:
    """Return the body of `batch` fresh events, an object where `batch` is 1."""
    made = [_event(chance, ids) for _ in range(batch)]
    return (made[0] if batch == 1 else f"[{','.join(made)}]").encode()


def _event(chance: random.Random, ids: Sequence[int]) -> str:
    digits = f"{chance.getrandbits(128):032x}"
    event_id = f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"
    release_id = ids[int(chance.random() * len(ids))]
    tail = f'"duration_seconds":{chance.randint(60, 1500)},"completion_percentage":{chance.randint(1, 100)}'
    return f'{{"event_id":"{event_id}","release_id":{release_id},{tail}}}'


class Tally:
    """What all connections of a run count together; latencies are kept up to a bound."""

    def __init__(self, expect: int) -> None:
        self.expect = b" %d " % expect
        self.answers = self.bad_status = self.socket_errors = 0
        self.latencies: list[float] = []
        self.open = True

    def answered(self, head: bytes, seconds: float) -> None:
        self.answers += 1
        self.bad_status += self.expect not in head[:16]
        if len(self.latencies) < LATENCIES:
            self.latencies.append(seconds)

    def report(self, seconds: float) -> str:
        """Return the line that `load.py` reads."""
        ordered = sorted(self.latencies) or [0.0]
        counts = {"answers": self.answers, "bad_status": self.bad_status, "socket_errors": self.socket_errors}
        slow = ordered[int(len(ordered) * 0.99) - 1] * 1000
        return MARK + json.dumps({**counts, "seconds": seconds, "p99_ms": slow})


class Connection(asyncio.Protocol):
    """One connection: sends a request, waits for the whole answer, sends the next."""

    def __init__(self, tally: Tally, request: Callable[[], bytes]) -> None:
        self.tally, self.request = tally, request
        self.buffer, self.wanted, self.sent_at = b"", -1, 0.0
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's transports do not inherit from asyncio's.
        self._send()

    def _send(self) -> None:
        assert self.transport is not None
        self.buffer, self.wanted, self.sent_at = b"", -1, time.perf_counter()
        self.transport.write(self.request())

    def data_received(self, data: bytes) -> None:
        self.buffer = self.buffer + data if self.buffer else data
        if self.wanted < 0 and (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            self.wanted = end + 4 + _content_length(self.buffer[:end])
        if 0 <= self.wanted <= len(self.buffer) and self.tally.open:
            self.tally.answered(self.buffer, time.perf_counter() - self.sent_at)
            self._send()

    def connection_lost(self, _error: Exception | None) -> None:
        self.tally.socket_errors += self.tally.open


def _content_length(head: bytes) -> int:
    at = head.find(b"Content-Length: ")
    # A 304 may carry no length; its body is empty.
    return int(head[at + 16 : head.find(b"\r", at) if head.find(b"\r", at) > 0 else len(head)]) if at >= 0 else 0


def requests(plan: dict[str, Any]) -> Callable[[], bytes]:
    """Return the function that makes the next request of a plan."""
    headers = "".join(f"{name}: {value}\r\n" for name, value in plan["headers"].items())
    head = f" HTTP/1.1\r\nHost: 127.0.0.1:{plan['port']}\r\n{headers}"
    if not plan["batch"]:
        prepared = [f"GET {path}{head}\r\n".encode() for path in plan["paths"]]
        turn = iter(range(sys.maxsize))
        return lambda: prepared[next(turn) % len(prepared)]
    chance, start = random.Random(), f"POST {plan['paths'][0]}{head}Content-Length: ".encode()

    def post() -> bytes:
        body = events(chance, plan["release_ids"], plan["batch"])
        return b"%b%d\r\n\r\n%b" % (start, len(body), body)

    return post


async def load(plan: dict[str, Any]) -> str:
    """Run a plan to its end and return its report."""
    loop, tally, request = asyncio.get_running_loop(), Tally(plan["expect"]), requests(plan)
    started = time.perf_counter()
    opening = (
        loop.create_connection(lambda: Connection(tally, request), "127.0.0.1", plan["port"])
        for _ in range(plan["connections"])
    )
    opened = await asyncio.gather(*opening)
    await asyncio.sleep(plan["seconds"])
    tally.open, seconds = False, time.perf_counter() - started
    for transport, _ in opened:
        transport.close()
    return tally.report(seconds)


if __name__ == "__main__":
    print(uvloop.run(load(json.loads(Path(sys.argv[1]).read_text()))))
