"""Reads: a hot release, its 304, a list page, and releases with the cache switched off, beside bare handlers."""

from __future__ import annotations

import statistics
import subprocess

from server.postgres.cluster import Cluster
from tests.bench.context import Bench, Result
from tests.bench.load import Contender, Load, Series, interleave, ratios
from tests.bench.measure import PeakRss
from tests.bench.probe import Answer, get, release_ids
from tests.bench.processes import BenchError, Running, clean_environment, python

RELEASE = "/api/v1/releases/{}"
LIST = "/api/v1/releases?limit=20"
UNCACHED_IDS = 1000


def compare(name: str, least: float, ours: Series, limit: Series, notes: dict[str, float | str]) -> Result:
    """Return the result of a ratio that must be at least `least`; any failed request misses the target."""
    each = ratios(ours, limit)
    value = statistics.median(each)
    details: dict[str, float | str] = {
        "server_rps": ours.rate,
        "bare_rps": limit.rate,
        "rounds": f"{min(each):.2f} to {max(each):.2f}",
        "p99": f"{ours.p99_ms:.1f} ms",
        **notes,
    }
    if failures := ours.failures + limit.failures:
        details["failed requests"] = str(failures)
    return Result(name, f">= {least:.2f} of the bare handler", value, "x", value >= least and not failures, details)


def hot_reads(bench: Bench) -> list[Result]:
    """Measure the cached release, the 304 and the list page."""
    with bench.server(bench.catalogue()) as server:
        path = RELEASE.format(release_ids(server.port, 1)[0])
        detail, page = get(server.port, path), get(server.port, LIST)
        results = _hot_release(bench, server, path, detail)
        return [*results, _hot_list(bench, server, page)]


def _hot_release(bench: Bench, server: Running, path: str, detail: Answer) -> list[Result]:
    etag = detail.headers.get("etag")
    if etag is None:
        raise BenchError(f"GET {path} has no ETag, so a 304 cannot be asked for")
    with bench.bare("get", body=detail.body, content_type=detail.content_type, path=path) as bare:
        contenders = [
            Contender("bare", bare.port, Load((path,))),
            Contender("hot", server.port, Load((path,))),
            Contender("304", server.port, Load((path,), expect=304, headers={"If-None-Match": etag})),
        ]
        with PeakRss(server.pid) as watch:
            series = interleave(contenders, bench.rounds, bench.seconds, bench.root)
    bench.note_peak("hot release", watch.peak)
    notes: dict[str, float | str] = {"rss_mb": watch.peak, "body": f"{len(detail.body)} bytes"}
    return [
        compare("hot GET /releases/{id}", 0.60, series["hot"], series["bare"], notes),
        compare("304 of GET /releases/{id}", 0.65, series["304"], series["bare"], {"rss_mb": watch.peak}),
    ]


def _hot_list(bench: Bench, server: Running, page: Answer) -> Result:
    # The bare handler's route is the path alone: aiohttp routes without the query.
    with bench.bare("get", body=page.body, content_type=page.content_type, path=LIST.partition("?")[0]) as bare:
        contenders = [Contender("bare", bare.port, Load((LIST,))), Contender("list", server.port, Load((LIST,)))]
        with PeakRss(server.pid) as watch:
            series = interleave(contenders, bench.rounds, bench.seconds, bench.root)
    bench.note_peak("list page", watch.peak)
    notes: dict[str, float | str] = {"rss_mb": watch.peak, "body": f"{len(page.body)} bytes"}
    return compare("list page of 20", 0.50, series["list"], series["bare"], notes)


def uncached_reads(bench: Bench) -> list[Result]:
    """Measure releases with the cache switched off, over many ids, and PostgreSQL's own speed beside it."""
    data_dir = bench.catalogue()
    with bench.server(data_dir, CACHE_MAX_BYTES="0") as server:
        ids = release_ids(server.port, UNCACHED_IDS)
        path, rotating = RELEASE.format(ids[0]), tuple(RELEASE.format(each) for each in ids)
        detail = get(server.port, path)
        with bench.bare("get", body=detail.body, content_type=detail.content_type, path=path) as bare:
            # The limit is asked for one path, its cheapest case; only the server has to find a thousand releases.
            contenders = [
                Contender("bare", bare.port, Load((path,))),
                Contender("uncached", server.port, Load(rotating)),
            ]
            with PeakRss(server.pid) as watch:
                series = interleave(contenders, bench.rounds, bench.seconds, bench.root)
        bench.note_peak("uncached releases", watch.peak)
        rows = _rows_per_second(bench, Cluster(data_dir).dsn(), ids[0])
    notes: dict[str, float | str] = {"rss_mb": watch.peak, "ids": str(len(ids))}
    uncached = compare("GET /releases/{id}, no cache", 0.21, series["uncached"], series["bare"], notes)
    return [uncached, _against_postgres(series["uncached"], rows)]


def _rows_per_second(bench: Bench, dsn: str, release_id: int) -> float:
    options = ("--dsn", dsn, "--id", str(release_id), "--seconds", str(bench.seconds))
    rates = []
    for _ in range(bench.rounds):
        done = subprocess.run(
            python("-m", "tests.bench.bare", "fetch", *options),
            env=clean_environment({}), capture_output=True, text=True, timeout=bench.seconds + 60, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise BenchError(f"the bare asyncpg loop failed: {done.stderr[-500:]}")
        rates.append(float(done.stdout))
    return statistics.median(rates)


def _against_postgres(uncached: Series, rows: float) -> Result:
    # One connection in a closed loop waits for each answer; the server overlaps several, so this may exceed 1.
    details: dict[str, float | str] = {"server_rps": uncached.rate, "bare_rps": rows}
    return Result("the same beside a bare asyncpg loop", "none", uncached.rate / rows, "x", None, details)
