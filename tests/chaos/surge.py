"""Requests at the rates of a plan, whatever the server does: `python -m tests.chaos.surge PLAN.json`.

A phase is a closed loop (so many connections, each sends anew once it is answered) or an open one (each request has a
moment at which it is due, and its latency counts from that moment). What was due in a window of time is counted there,
whenever its answer came. The client tells how late it was itself and how busy, lest it be mistaken for the server.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop

from tests.chaos.bounds import percentile
from tests.chaos.wire import HOST, Wire

WINDOW = 0.5
TICK = 0.001
# How long answers are waited for after the last phase, in seconds.
PATIENCE = 10.0
UNIQUE = b"{n}"


@dataclass(slots=True)
class Window:
    """Half a second: what was due in it and what came of that; `finished` counts good answers that came in it."""

    offered: int = 0
    served: int = 0
    refused: int = 0
    other: int = 0
    broken: int = 0
    finished: int = 0
    latencies: list[float] = field(default_factory=list)

    def report(self) -> dict[str, float]:
        """The counts, and of the served ones the percentiles in ms."""
        counts = {name: getattr(self, name) for name in ("offered", "served", "refused", "other", "broken", "finished")}
        times = sorted(self.latencies)
        return counts | {"p50_ms": percentile(times, 0.5) * 1000, "p99_ms": percentile(times, 0.99) * 1000}


@dataclass(slots=True)
class Phase:
    """One phase, in windows. `late` is how long after its moment a request was taken up by this client, in seconds."""

    name: str
    seconds: float
    started: float
    windows: list[Window]
    late: list[float] = field(default_factory=list)
    cpu: float = 0.0

    def window(self, moment: float) -> Window:
        """The window of a moment; the last one is also that of what comes after the end."""
        return self.windows[min(int((moment - self.started) / WINDOW), len(self.windows) - 1)]

    def report(self) -> dict[str, Any]:
        """What came of it."""
        times = sorted(latency for window in self.windows for latency in window.latencies)
        return {
            "seconds": self.seconds,
            "windows": [window.report() for window in self.windows],
            "p50_ms": percentile(times, 0.5) * 1000,
            "p99_ms": percentile(times, 0.99) * 1000,
            "late_p99_ms": percentile(sorted(self.late), 0.99) * 1000,
            "client_cpu": self.cpu / self.seconds,
        }


class Client:
    """Connections and who waits for one."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._port, self._most = plan["port"], plan["connections"]
        weights, texts = zip(*plan["requests"], strict=True)
        # Drawn once: drawing costs more than sending.
        self._mix = [text.encode() for text in random.Random(1).choices(texts, weights, k=4096)]
        self._sent = 0
        self._opened = 0
        self._free: list[Wire] = []
        self._wires: set[Wire] = set()
        self._waiting: deque[tuple[Phase, float]] = deque()
        self._connecting: set[asyncio.Task[None]] = set()
        self._closed: Phase | None = None
        self.statuses: Counter[int] = Counter()
        self.retry_after_missing = 0

    async def run(self, said: dict[str, Any]) -> Phase:
        """A phase from its beginning to its end; answers may still come afterwards."""
        count = max(1, round(said["seconds"] / WINDOW))
        phase = Phase(said["name"], said["seconds"], time.perf_counter(), [Window() for _ in range(count)])
        before = time.process_time()
        if "closed" in said:
            await self._run_closed(phase, said["closed"])
        else:
            await self._run_open(phase, said["rate"])
        phase.cpu = time.process_time() - before
        return phase

    async def drained(self) -> None:
        """Wait for what is under way."""
        deadline = time.perf_counter() + PATIENCE
        while time.perf_counter() < deadline:
            if len(self._free) == self._opened:
                return
            await asyncio.sleep(0.05)

    def close(self) -> None:
        """Hang up."""
        for wire in self._wires:
            wire.close()

    async def _run_closed(self, phase: Phase, connections: int) -> None:
        self._closed = phase
        for _ in range(connections):
            self._offer(phase, time.perf_counter())
        await asyncio.sleep(phase.seconds)
        self._closed = None
        await self.drained()

    async def _run_open(self, phase: Phase, rate: float) -> None:
        total, offered = int(rate * phase.seconds), 0
        while offered < total:
            now = time.perf_counter()
            for number in range(offered, min(total, int((now - phase.started) * rate) + 1)):
                due = phase.started + number / rate
                phase.late.append(now - due)
                self._offer(phase, due)
                offered = number + 1
            await asyncio.sleep(TICK)

    def _offer(self, phase: Phase, due: float) -> None:
        phase.window(due).offered += 1
        while self._free:
            wire = self._free.pop()
            if wire.open:
                self._begin(wire, phase, due)
                return
            self._opened -= 1
        self._waiting.append((phase, due))
        if self._opened < self._most:
            self._opened += 1
            task = asyncio.ensure_future(self._connect())
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)

    async def _connect(self) -> None:
        try:
            _, wire = await asyncio.get_running_loop().create_connection(
                lambda: Wire(self._answered, self._lost), HOST, self._port
            )
        except OSError:
            self._opened -= 1
            if self._waiting:
                phase, due = self._waiting.popleft()
                phase.window(due).broken += 1
            return
        self._wires.add(wire)
        self._next(wire)

    def _next(self, wire: Wire) -> None:
        if not wire.open:
            # Whoever is lost while nothing is in flight is not told of again.
            self._opened -= 1
        elif self._waiting:
            self._begin(wire, *self._waiting.popleft())
        else:
            self._free.append(wire)

    def _begin(self, wire: Wire, phase: Phase, due: float) -> None:
        self._sent += 1
        wire.note = (phase, due)
        wire.send(self._mix[self._sent & 4095].replace(UNIQUE, b"%d" % self._sent))

    def _answered(self, wire: Wire, status: int, answer: bytes) -> None:
        now = time.perf_counter()
        phase, due = wire.note
        wire.note = None
        self.statuses[status] += 1
        window = phase.window(due)
        if status == 200:
            window.served += 1
            window.latencies.append(now - due)
            if now < phase.started + phase.seconds:
                phase.window(now).finished += 1
        elif status == 503:
            window.refused += 1
            self.retry_after_missing += b"\r\nretry-after:" not in answer[:1000].lower()
        else:
            window.other += 1
        if self._closed is phase and wire.open:
            phase.window(now).offered += 1
            self._begin(wire, phase, now)
        else:
            self._next(wire)

    def _lost(self, wire: Wire) -> None:
        self._wires.discard(wire)
        if wire.note is not None:
            phase, due = wire.note
            phase.window(due).broken += 1
            wire.note = None
            self._opened -= 1


async def main(plan: dict[str, Any]) -> dict[str, Any]:
    """Run the plan's phases one after another."""
    client = Client(plan)
    phases = [await client.run(said) for said in plan["phases"]]
    await client.drained()
    client.close()
    return {
        "phases": {phase.name: phase.report() for phase in phases},
        "statuses": client.statuses,
        "retry_after_missing": client.retry_after_missing,
    }


if __name__ == "__main__":
    print(json.dumps(uvloop.run(main(json.loads(Path(sys.argv[1]).read_text())))))
