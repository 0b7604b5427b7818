"""Views: one durable event a request, batches of a hundred, and what an event costs beside ten million others."""

from __future__ import annotations

import time

from tests.bench.context import Bench, Result, not_measured, say
from tests.bench.load import Contender, Load, interleave, popularity, run_load
from tests.bench.measure import PeakRss
from tests.bench.probe import all_release_ids, metrics, missing
from tests.bench.processes import Running
from tests.bench.scenarios_read import compare

VIEWS = "/api/v1/views"
CONNECTIONS = 512
BATCH = 100
BATCH_CONNECTIONS = 32
COMMITTED, ROLLED_UP = "yojohan_views_committed_total", "yojohan_views_rolled_up_total"
CATCH_UP_SECONDS, PATIENCE_SECONDS = 5.0, 60.0
LEAST_EVENTS, MOST_EXTRA = 25_000.0, 1.3
SEED = 7


def single_load(server: Running) -> Load:
    """Return the load of one event a request over 512 connections, releases drawn by popularity."""
    ids = popularity(all_release_ids(server.port), SEED)
    return Load((VIEWS,), expect=202, connections=CONNECTIONS, batch=1, release_ids=ids)


def single_events(bench: Bench) -> list[Result]:
    """Measure durable single events beside a handler that only parses the same JSON."""
    with bench.server(bench.fresh_catalogue("views")) as server, bench.bare("parse", path=VIEWS) as bare:
        load = single_load(server)
        contenders = [Contender("bare", bare.port, load), Contender("views", server.port, load)]
        with PeakRss(server.pid) as watch:
            series = interleave(contenders, bench.rounds, bench.seconds, bench.root)
        bench.note_peak("single events", watch.peak)
        committed = metrics(server.port).get(COMMITTED)
    result = compare("POST /views, one event a request", 0.50, series["views"], series["bare"], {"rss_mb": watch.peak})
    return [_with_durability(result, committed, series["views"].answers)]


def _with_durability(result: Result, committed: float | None, answered: int) -> Result:
    # Fewer commits than answers would mean that something was answered before it was durable.
    if committed is None:
        note, durable = f"/metrics has no {COMMITTED}: durability not checked", True
    else:
        note, durable = f"{committed:.0f} for {answered} answers", committed >= answered
    details = {**result.details, "committed": note}
    return Result(result.name, result.target, result.value, result.unit, bool(result.ok) and durable, details)


def batched_events(bench: Bench) -> list[Result]:
    """Measure a long stretch of batches of a hundred, then how long the rollups need to catch up."""
    seconds = 10.0 if bench.quick else 60.0
    with bench.server(bench.fresh_catalogue("views")) as server:
        ids = popularity(all_release_ids(server.port), SEED)
        load = Load((VIEWS,), expect=202, connections=BATCH_CONNECTIONS, batch=BATCH, release_ids=ids)
        with PeakRss(server.pid) as watch:
            outcome = run_load(server.port, load, seconds, bench.root)
            behind = _catch_up(server.port)
    bench.note_peak("batches of events", watch.peak)
    rate = outcome.rate * BATCH
    details: dict[str, float | str] = {
        "rss_mb": watch.peak, "length": f"{seconds:.0f} s", "p99": f"{outcome.p99_ms:.0f} ms",
    }  # fmt: skip
    if outcome.failures:
        details["failed requests"] = str(outcome.failures)
    ok = rate >= LEAST_EVENTS and not outcome.failures
    sustained = Result("batches of 100 events", f">= {LEAST_EVENTS:,.0f} events/s", rate, "events/s", ok, details)
    return [sustained, behind]


def _catch_up(port: int) -> Result:
    name, target = "rollups caught up after the batches", f"<= {CATCH_UP_SECONDS:.0f} s"
    if absent := missing(metrics(port), COMMITTED, ROLLED_UP):
        return not_measured(name, target, "s", absent)
    started = time.monotonic()
    while True:
        sample = metrics(port)
        waited = time.monotonic() - started
        backlog = sample[COMMITTED] - sample[ROLLED_UP]
        if backlog <= 0:
            note: dict[str, float | str] = {"events": f"{sample[COMMITTED]:.0f}"}
            return Result(name, target, waited, "s", waited <= CATCH_UP_SECONDS, note)
        if waited > PATIENCE_SECONDS:
            return Result(name, target, waited, "s", ok=False, details={"still behind": f"{backlog:.0f} events"})
        # A scrape may be a second old, so the time found is at most that much too long.
        time.sleep(0.1)


def event_cost(bench: Bench) -> list[Result]:
    """Measure what an event costs over a database full of views, relative to one without any."""
    name = f"an event's cost at {bench.views:,} views"
    with (
        bench.server(bench.fresh_catalogue("views")) as empty,
        bench.server(bench.catalogue_with_views()) as full,
    ):
        load = single_load(empty)
        contenders = [Contender("empty", empty.port, load), Contender("full", full.port, load)]
        say("loading a server without views and one full of them in turn")
        series = interleave(contenders, bench.rounds, bench.seconds, bench.root)
    cost = compare(name, 1 / MOST_EXTRA, series["full"], series["empty"], {})
    value = 1 / cost.value if cost.value else None
    details = {**cost.details, "columns": "full and without views; rounds are speeds"}
    return [Result(name, f"<= {MOST_EXTRA} x without views", value, "x", cost.ok, details)]
