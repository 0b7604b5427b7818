"""Requests at a fixed rate, whatever the server does: `python -m tests.bench.openloop PLAN.json`.

An open loop: each request has a moment at which it is due, and its latency counts from that moment, so a server that
stalls cannot slow down whoever measures it (no coordinated omission). A stream is a named mixture of requests; every
connection has one request in flight, and a request that finds none free waits, which its latency shows.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop

from tests.bench.lua import MARK

PATIENCE = 30.0


@dataclass
class Stream:
    """What one stream sends (`requests` are (weight, bytes)) and what came of it; latencies in seconds."""

    name: str
    rate: float
    requests: list[tuple[float, bytes]]
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    errors: int = 0

    def report(self) -> dict[str, Any]:
        """Percentiles in ms, answers by status, errors."""
        ordered = sorted(self.latencies) or [0.0]

        def percentile(share: float) -> float:
            return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000

        return {
            "sent": len(self.latencies),
            "p50_ms": percentile(0.50),
            "p95_ms": percentile(0.95),
            "p99_ms": percentile(0.99),
            "statuses": dict(self.statuses),
            "errors": self.errors,
        }


class Connections:
    """Kept-alive connections to one port; those that are free wait in a stack, the warmest on top."""

    def __init__(self, port: int, most: int) -> None:
        self._port = port
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._room = asyncio.Semaphore(most)

    async def send(self, request: bytes) -> int:
        """Send it and read the answer; its status."""
        async with self._room:
            reader, writer = self._free.pop() if self._free else await asyncio.open_connection("127.0.0.1", self._port)
            try:
                writer.write(request)
                status, keep = await _answer(reader)
            except BaseException:
                writer.close()
                raise
            if keep:
                self._free.append((reader, writer))
            else:
                writer.close()
            return status

    def close(self) -> None:
        """Close those that are free, which are all once nothing is under way."""
        for _, writer in self._free:
            writer.close()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bool]:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    status = int(head[9:12])
    if status not in (204, 304):
        length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length or b"0"))
    return status, b"connection: close" not in head


async def _one(connections: Connections, stream: Stream, request: bytes, due: float) -> None:
    try:
        async with asyncio.timeout(PATIENCE):
            status = await connections.send(request)
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        stream.errors += 1
    else:
        stream.statuses[status] += 1
    stream.latencies.append(time.perf_counter() - due)


async def _drive(connections: Connections, stream: Stream, seconds: float, seed: int) -> None:
    chance = random.Random(seed)
    weights, requests = zip(*stream.requests, strict=True)
    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(int(stream.rate * seconds)):
            due = started + number / stream.rate
            if (pause := due - time.perf_counter()) > 0:
                await asyncio.sleep(pause)
            request = chance.choices(requests, weights)[0]
            group.create_task(_one(connections, stream, request, due))


async def main(plan: dict[str, Any]) -> dict[str, Any]:
    """Run the plan's streams side by side; their reports by name."""
    streams = [
        Stream(said["name"], said["rate"], [(weight, text.encode()) for weight, text in said["requests"]])
        for said in plan["streams"]
    ]
    connections = Connections(plan["port"], plan["connections"])
    async with asyncio.TaskGroup() as group:
        for seed, stream in enumerate(streams):
            group.create_task(_drive(connections, stream, plan["seconds"], seed))
    connections.close()
    return {stream.name: stream.report() for stream in streams}


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(MARK + json.dumps(runner.run(main(json.loads(Path(sys.argv[1]).read_text())))))
