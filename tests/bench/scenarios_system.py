"""The server as a whole: memory, the time until it serves, and a pass of the trending ranking."""

from __future__ import annotations

import json
import random
import statistics
import time
from pathlib import Path

from tests.bench.client import events
from tests.bench.context import Bench, Result, not_measured
from tests.bench.load import BROWSER
from tests.bench.measure import memory_mb, stack_pids, total_pss_mb
from tests.bench.probe import exchange, metrics, missing, release_ids
from tests.bench.processes import BenchError, Running

SETTLE_SECONDS = 10.0
IDLE_RSS, LOADED_RSS, STACK_PSS = 75.0, 130.0, 220.0
COLD_START, FIRST_START = 1.0, 4.0
PASS_SECONDS, PASS_WAL = "yojohan_trending_pass_seconds", "yojohan_trending_pass_wal_bytes"
PASS_LIMIT_MS, WAL_LIMIT_MB = 250.0, 2.0
TRENDING_SECONDS = 5


def at_most(name: str, limit: float, unit: str, value: float, **details: float | str) -> Result:
    """Return the result of a value that must not be above `limit`."""
    return Result(name, f"<= {limit:g} {unit}", value, unit, value <= limit, details)


def idle_memory(bench: Bench) -> list[Result]:
    """Measure the server and its whole stack at rest over the full catalogue."""
    data_dir = bench.catalogue()
    with bench.server(data_dir) as server:
        # Start-up work and its garbage are over after a while; nothing was asked of the server but readiness.
        time.sleep(SETTLE_SECONDS)
        rss = memory_mb(server.pid, "Rss")
        pids = stack_pids(server.pid, data_dir)
        stack = total_pss_mb(pids)
    releases = f"{bench.releases} in the database"
    return [
        at_most("RSS of the server, idle", IDLE_RSS, "MB", rss, rss_mb=rss, releases=releases),
        at_most("PSS of server and PostgreSQL, idle", STACK_PSS, "MB", stack, rss_mb=rss, processes=str(len(pids))),
    ]


def loaded_memory(bench: Bench) -> list[Result]:
    """Return the highest RSS seen under the loads of this run; nothing when no load ran."""
    if not bench.peaks:
        return []
    load, peak = max(bench.peaks.items(), key=lambda item: item[1])
    return [at_most("RSS of the server under the loads", LOADED_RSS, "MB", peak, rss_mb=peak, highest_in=load)]


def starts(bench: Bench) -> list[Result]:
    """Measure the time from spawn to ready, over an existing database and over none."""
    existing = bench.catalogue()
    cold = [_seconds_to_ready(bench, existing) for _ in range(3 if bench.quick else 5)]
    first = [_seconds_to_ready(bench, bench.empty_directory("first")) for _ in range(1 if bench.quick else 3)]
    return [
        at_most("cold start to ready", COLD_START, "s", statistics.median(cold), starts=_listed(cold)),
        at_most("first start with initdb", FIRST_START, "s", statistics.median(first), starts=_listed(first)),
    ]


def _seconds_to_ready(bench: Bench, data_dir: Path) -> float:
    with bench.server(data_dir) as server:
        return server.ready_seconds


def _listed(seconds: list[float]) -> str:
    return ", ".join(f"{each:.2f}" for each in seconds)


def trending(bench: Bench) -> list[Result]:
    """Measure passes of the trending ranking over a month of views, with new views before each."""
    names = ("a pass of the trending ranking", "WAL of a pass of the trending ranking")
    with bench.server(bench.catalogue_with_views(), TRENDING_INTERVAL=str(TRENDING_SECONDS)) as server:
        _wait_for_pass(server.port)
        if absent := missing(metrics(server.port), PASS_SECONDS, PASS_WAL):
            targets = (f"<= {PASS_LIMIT_MS:g} ms", f"<= {WAL_LIMIT_MB:g} MB")
            return [not_measured(names[0], targets[0], "ms", absent), not_measured(names[1], targets[1], "MB", absent)]
        passes = [_pass_after_views(server) for _ in range(3 if bench.quick else 7)]
    times, logs = [each[0] * 1000 for each in passes], [each[1] / 1e6 for each in passes]
    views = f"{bench.views:,} over 30 days"
    return [
        at_most(names[0], PASS_LIMIT_MS, "ms", statistics.median(times), slowest=f"{max(times):.0f} ms", views=views),
        at_most(names[1], WAL_LIMIT_MB, "MB", statistics.median(logs), most=f"{max(logs):.2f} MB", views=views),
    ]


def _wait_for_pass(port: int) -> None:
    # The first pass may come one interval after the start; a gauge without a pass yet would read 0.
    deadline = time.monotonic() + 3 * TRENDING_SECONDS
    while metrics(port).get(PASS_SECONDS, 0.0) <= 0 and time.monotonic() < deadline:
        time.sleep(0.2)


def _pass_after_views(server: Running) -> tuple[float, float]:
    """Post some views, let passes go by, return seconds and bytes of the costliest: one over nothing new is cheap."""
    body = events(random.Random(), release_ids(server.port, 500), 500)
    headers = {"Content-Type": "application/json", "User-Agent": BROWSER}
    answer = exchange(server.port, "POST", "/api/v1/views", headers, body)
    if answer.status != 202 or json.loads(answer.body)["accepted"] != 500:
        raise BenchError(f"a batch of 500 views was answered {answer.status}: {answer.body[:300]!r}")
    # Rollups trail by up to five seconds; of the passes in this stretch the one that found the views is the slowest.
    deadline, samples = time.monotonic() + 2 * TRENDING_SECONDS + 1, []
    while time.monotonic() < deadline:
        time.sleep(0.5)
        samples.append(metrics(server.port))
    return max(each[PASS_SECONDS] for each in samples), max(each[PASS_WAL] for each in samples)
