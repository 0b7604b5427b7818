"""Five times what the server can do, offered whether it answers or not; and what is left of it meanwhile and after."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from server.identity import AccessTokens
from tests.chaos.bounds import Bound, Findings
from tests.chaos.process import ROOT, Served, served
from tests.chaos.surge import WINDOW
from tests.chaos.watch import Watch
from tests.chaos.wire import request
from tests.people_seed import fill

FACTOR = 5.0
LEAST_COST_MS = 1.0
GOODPUT = 0.8
CREDIBLE = 1.25
SERVED_P99_MS = 1000.0
RECOVERY_SECONDS = 5.0
# Recovered: nothing is refused, and the slowest take no longer than before, or than this.
CALM_MS = 100.0
CALM_FACTOR = 4.0
# Half of what the server can do: before, and after.
EASY = 0.5
CONNECTIONS = 1500
RELEASES = 3000
# What is asked for: pages of a hundred, in these orders; so many that hardly ever two people ask for the same at once.
ORDERS, PAGES = ("-popularity", "-rating", "title", "-year", "-updated"), 30
KEY = "a key of nobody but this run"
SETTINGS = {"SECRET_KEY": KEY, "CACHE_MAX_BYTES": "0"}
PEOPLE = 20


@dataclass(frozen=True)
class Lengths:
    """How long each part lasts, in seconds."""

    warm_up: float = 4.0
    capacity: float = 5.0
    easy: float = 6.0
    overload: float = 20.0
    after: float = 12.0


async def run(directory: Path, *, lengths: Lengths | None = None) -> Findings:
    """Measure what the server can do, offer five times that, go back to half of it."""
    lengths = lengths or Lengths()
    findings = Findings("overload")
    async with served(directory / "data", releases=RELEASES, **SETTINGS) as server:  # type: ignore[arg-type]
        await server.start()
        mix = requests(server.port, await _people(server))
        closed = [{"name": f"by {many}", "seconds": lengths.capacity, "closed": many} for many in (8, 16, 32)]
        warm = {"name": "warm", "seconds": lengths.warm_up, "closed": 16}
        capacity = _most(await _client(directory, server.port, mix, [warm, *closed]))
        opened: list[dict[str, Any]] = [
            {"name": "before", "seconds": lengths.easy, "rate": EASY * capacity},
            {"name": "overload", "seconds": lengths.overload, "rate": FACTOR * capacity},
            {"name": "after", "seconds": lengths.after, "rate": EASY * capacity},
        ]
        with Watch(server.pid, server.port, server.data_dir) as watch:
            crowded = await _client(directory, server.port, mix, opened)
        if server.process is None or server.process.poll() is not None:
            findings.complaints.append(f"the server ended: {server.last_lines()}")
        # Once more: whatever else the machine did meanwhile must not make little of what the server can do.
        again = _most(await _client(directory, server.port, mix, closed))
        judge(findings, max(capacity, again), crowded)
        findings.notes.append(f"capacity before {capacity:.0f}/s, and after {again:.0f}/s")
        watched = watch.watched
        findings.bounds.append(Bound("/live failed", watched.live_failed, 0))
        findings.notes.append(
            f"/live p99 {watched.live_p99_ms:.1f} ms, peak PSS of the server {watched.server_mb:.0f} MB"
        )
    return findings


def requests(port: int, tokens: Sequence[str]) -> list[tuple[float, str]]:
    """The mix: nothing of it is answered from a cache, and each costs the database a query over many rows."""
    visitors = [
        (5.0 / PAGES / len(ORDERS), f"/api/v1/releases?limit=100&type=tv&status=finished&sort={order}&page={page}")
        for order in ORDERS
        for page in range(1, PAGES + 1)
    ]
    readers = [(1.0, f"/api/v1/{path}?limit=100") for path in ("profile/progress", "profile/collections", "feed")]
    browser = {"Accept_Encoding": "gzip"}
    mix = [(weight, request("GET", path, port, **browser).decode()) for weight, path in visitors]
    for token in tokens:
        for weight, path in readers:
            text = request("GET", path, port, Authorization=f"Bearer {token}", **browser).decode()
            mix.append((weight / len(tokens), text))
    return mix


async def _people(server: Served) -> list[str]:
    async with server.connection() as conn:
        await fill(conn, PEOPLE, progress=60, activity=60)
        rows = await conn.fetch("select id from users")
    maker = AccessTokens([KEY.encode()])
    return [maker.issue(row["id"], "user", 1, uuid4()) for row in rows]


async def _client(
    directory: Path, port: int, mix: list[tuple[float, str]], phases: list[dict[str, Any]]
) -> dict[str, Any]:
    """The client in a process of its own; its report."""
    path = directory / "surge.json"
    path.write_text(json.dumps({"port": port, "connections": CONNECTIONS, "requests": mix, "phases": phases}))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.chaos.surge", str(path), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(sum(phase["seconds"] for phase in phases) + 60):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    found: dict[str, Any] = json.loads(output)
    return found


def _most(report: dict[str, Any]) -> float:
    """The best rate of all phases."""
    return max(served_a_second(phase) for phase in report["phases"].values())


def served_a_second(phase: dict[str, Any]) -> float:
    """Good answers a second over a phase."""
    return float(sum(window["finished"] for window in phase["windows"]) / phase["seconds"])


def recovery(after: Sequence[dict[str, float]], calm_ms: float) -> float:
    """The seconds until the first window from which on nothing is refused, broken or slow."""
    for index in range(len(after), 0, -1):
        window = after[index - 1]
        wrong = window["offered"] - window["served"]
        if wrong or window["p99_ms"] > calm_ms:
            return index * WINDOW
    return 0.0


def judge(findings: Findings, capacity: float, report: dict[str, Any]) -> None:
    """Hold what came of it against the bounds."""
    before, overload, after = (report["phases"][name] for name in ("before", "overload", "after"))
    goodput = served_a_second(overload)
    calm = max(CALM_MS, CALM_FACTOR * before["p99_ms"])
    totals = {name: sum(window[name] for window in overload["windows"]) for name in ("offered", "served", "refused")}
    offered = totals["offered"] / overload["seconds"]
    other = sum(window["broken"] + window["other"] for window in overload["windows"])
    findings.bounds += [
        Bound("cost of a request at capacity", 1000 / capacity if capacity else 0, LEAST_COST_MS, "ms", at_least=True),
        Bound("offered of capacity", offered / capacity if capacity else 0, 0.9 * FACTOR, "", at_least=True),
        Bound("goodput of capacity", goodput / capacity if capacity else 0, GOODPUT, "", at_least=True),
        # More than all of it: then something disturbed the measurement.
        Bound("goodput of capacity, at most", goodput / capacity if capacity else 0, CREDIBLE),
        Bound("served p99 under overload", overload["p99_ms"], SERVED_P99_MS, "ms"),
        Bound("recovery", recovery(after["windows"], calm), RECOVERY_SECONDS, "s"),
        Bound("answers neither good nor 503, or none", other, 0),
        Bound("refused without Retry-After", report["retry_after_missing"], 0),
        Bound("the client's own lateness, p99", overload["late_p99_ms"], 50, "ms"),
        Bound("the client's processor time", overload["client_cpu"] * 100, 80, "%"),
    ]
    findings.notes += [
        f"capacity {capacity:.0f}/s, offered {offered:.0f}/s, good answers {goodput:.0f}/s",
        f"of {totals['offered']} requests {totals['served']} served, {totals['refused']} refused",
        "p50 and p99: " + ", ".join(f"{name} {spread(phase)}" for name, phase in report["phases"].items()),
    ]


def spread(phase: dict[str, Any]) -> str:
    """The percentiles of a phase, and what it refused."""
    refused = sum(window["refused"] for window in phase["windows"])
    return f"{phase['p50_ms']:.1f} and {phase['p99_ms']:.1f} ms ({refused} refused)"
