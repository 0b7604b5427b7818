"""Finding: how fast and how well searches answer, beside tantivy on the same names; and what recommendations cost."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote, urlencode

from server.database import connect
from server.postgres.cluster import DATABASE, Cluster
from tests.bench import lua, talk_seed
from tests.bench.context import Bench, Result, say
from tests.bench.latency import Latencies, ask
from tests.bench.load import BROWSER, run_script
from tests.bench.measure import PeakRss, memory_mb
from tests.bench.probe import get_json
from tests.bench.processes import BenchError, Running, python, run_to_end
from tests.bench.settling import PATIENCE, rows, settle
from tests.bench.tantivy_reference import Reference
from tests.relevance import KINDS, Case, Kind, Named, cases

SEARCH, SUGGESTIONS = "/api/v1/search?", "/api/v1/search/suggestions?"
FACETS = "genres,tags,types,statuses,seasons,age_ratings,years,ratings"
EACH, TIMED = 400, 300
# Percentages at the first place and among the first five.
RELEVANCE: dict[Kind, tuple[float | None, float]] = {
    "exact": (92, 97), "typo": (85, 93), "layout": (None, 90), "transliterated": (None, 80),
}  # fmt: skip
BROAD = 30_000
# Searches for other names before anything is timed: a server that has just begun still reads its indexes from files.
BEFOREHAND = 200
# What answers weigh that are kept is not the search's doing.
REFILLED = 60.0
FORGETFUL = {"CACHE_MAX_BYTES": "1048576"}
# People with lists, how long these are, and how many releases anybody watches at all.
PEOPLE, ENTRIES, WATCHED = 3_000, 120, 4_000
NAMES = """
select r.id, array_remove(array_agg(distinct n.name), null) as names
from releases r
cross join lateral (
    select r.title as name
    union all select t.title from release_titles t where t.release_id = r.id
    union all select s.synonym from release_synonyms s where s.release_id = r.id
) n
where r.visible
group by r.id
"""
LISTS = """
insert into library_entries (user_id, kind, release_id, value, changed_at, revision)
select u.id, kind, release_id, case kind when 2 then 3 else 6 + release_id % 5 end, now() - interval '1 day', 1
from users u
cross join lateral (
    -- Tastes: most of what somebody watches lies near something.
    select distinct 1 + abs((hashint8(u.id) % $2 + hashint8(u.id * 1000 + n) % 200)::bigint) % $2 as release_id
    from generate_series(1, $1::integer) n
) watched
cross join (values (2::smallint), (3::smallint)) as kinds (kind)
where u.username_key like 'finder%' and exists (select from releases r where r.id = release_id and r.visible)
on conflict do nothing
"""


def search(bench: Bench) -> list[Result]:
    """Searches of every kind on a catalogue that nobody searched before."""
    data_dir = bench.fresh_catalogue("search")
    with bench.server(data_dir, **FORGETFUL) as server, PeakRss(server.pid) as watch:
        before = memory_mb(server.pid, "Rss")
        catalogue = [Named(row["id"], row["names"]) for row in asyncio.run(rows(data_dir, NAMES))]
        asked = cases(catalogue, EACH)
        _until_loaded(server, data_dir)
        others = [case for case in cases(catalogue, BEFOREHAND, seed=7) if case.kind == "exact"]
        ask(server.port, [SEARCH + urlencode({"q": case.query}) for case in others])
        results = [*_speed(server, asked), _suggestions(server, catalogue), *_facets(server)]
        results.append(_throughput(bench, server, catalogue))
        # One client has been asking for as much as one client may.
        time.sleep(REFILLED)
        results += _relevance(server, asked)
        grown = watch.peak - before
        results.append(
            Result("memory of the server for all of that", "<= 20 MB", grown, "MB", grown <= 20, {"rss_mb": watch.peak})
        )
        bench.note_peak("search", watch.peak)
    return [*results, *_reference(catalogue, asked)]


def _until_loaded(server: Running, data_dir: Path) -> None:
    settle(data_dir)
    deadline = time.monotonic() + PATIENCE
    while (check := get_json(server.port, "/health")["checks"]["search"])["status"] != "ok":
        if time.monotonic() > deadline:
            raise BenchError(f"the search is not ready: {check}")
        time.sleep(0.5)
    ask(server.port, [SEARCH + urlencode({"q": "warm"})])


def _of(asked: Sequence[Case], kind: Kind) -> list[Case]:
    return [case for case in asked if case.kind == kind]


def _timed(name: str, most: float, latencies: Latencies, **more: float | str) -> Result:
    value = latencies.percentile(0.95)
    details = {"p50": f"{latencies.percentile(0.5):.2f} ms", "asked": str(len(latencies.milliseconds)), **more}
    return Result(name, f"p95 <= {most:g} ms", value, "ms", value <= most, details)


def _speed(server: Running, asked: Sequence[Case]) -> Iterator[Result]:
    for kind, name, most in (("exact", "search, exact", 5.0), ("typo", "search, one typing error", 15.0)):
        queries = [case.query for case in asked if case.kind == kind][:TIMED]
        yield _timed(name, most, ask(server.port, [SEARCH + urlencode({"q": query}) for query in queries]))


def _suggestions(server: Running, catalogue: Sequence[Named]) -> Result:
    rng = random.Random(7)
    typed = set()
    while len(typed) < TIMED:
        name = rng.choice(rng.choice(catalogue).names)
        typed.add(name[: rng.randint(1, max(1, len(name) - 1))])
    paths = [SUGGESTIONS + urlencode({"q": text}) for text in sorted(typed)]
    return _timed("suggestions while typing", 4.0, ask(server.port, paths))


def _facets(server: Running) -> Iterator[Result]:
    """Every facet of the query that finds about thirty thousand: a genre's name does in a generated catalogue."""
    genres = get_json(server.port, "/api/v1/genres?limit=100")["results"]
    counted = {g["name"]: get_json(server.port, SEARCH + urlencode({"q": g["name"]}))["count"] for g in genres}
    broad = min(counted, key=lambda name: abs(counted[name] - BROAD))
    # The same words in another order of case are another request and the same search; what is new is a further word.
    new = ask(server.port, [SEARCH + urlencode({"q": f"{broad} {tail}", "facets": FACETS}) for tail in ("", " ")])
    first = Latencies(new.milliseconds[:1])
    narrower = [{"facets": FACETS, "year_from": year} for year in range(1950, 2020)]
    known = ask(server.port, [SEARCH + urlencode({"q": broad, **narrow}) for narrow in narrower])
    empty = ask(server.port, [SEARCH + urlencode(narrow) for narrow in narrower])
    hits = f"{counted[broad]:,}"
    yield _timed("all facets of a broad query, new", 60.0, first, hits=hits)
    yield _timed("all facets of a known query, new filters", 15.0, known, hits=hits)
    yield _timed("all facets without a query", 15.0, empty)


def _throughput(bench: Bench, server: Running, catalogue: Sequence[Named]) -> Result:
    """Different queries without an end, as far as names reach: no answer is in the cache."""
    names = sorted({name for release in catalogue for name in release.names})
    queries = random.Random(11).sample(names, min(len(names), 8_000))
    paths = [SEARCH + urlencode({"q": query, "limit": 10}) for query in queries]
    outcome = run_script(server.port, lua.getting(paths, {"User-Agent": BROWSER}), 8, bench.seconds * 2, bench.root)
    fresh = outcome.answers <= len(paths)
    details: dict[str, float | str] = {"p99": f"{outcome.p99_ms:.1f} ms", "failures": str(outcome.failures)}
    ok = outcome.rate >= 300 and not outcome.failures and fresh
    return Result("searches that nothing remembers", ">= 300/s", outcome.rate, "/s", ok, details)


def _relevance(server: Running, asked: Sequence[Case]) -> Iterator[Result]:
    for kind in KINDS:
        mine = _of(asked, kind)
        places = [_place(server, case) for case in mine]
        first = 100 * sum(place == 1 for place in places) / len(mine)
        five = 100 * sum(place is not None and place <= 5 for place in places) / len(mine)
        least_first, least_five = RELEVANCE[kind]
        ok = five >= least_five and (least_first is None or first >= least_first)
        target = f">= {least_five:g} %" + (f", first >= {least_first:g} %" if least_first is not None else "")
        details = {"first": f"{first:.1f} %", "of": str(len(mine))}
        yield Result(f"right among the first five: {kind}", target, five, "%", ok, details)


def _place(server: Running, case: Case) -> int | None:
    found = get_json(server.port, SEARCH + f"q={quote(case.query)}&limit=5")["results"]
    return next((place for place, release in enumerate(found, 1) if release["id"] in case.right), None)


def _reference(catalogue: Sequence[Named], asked: Sequence[Case]) -> Iterator[Result]:
    say("indexing the same names with tantivy")
    reference = Reference(catalogue)
    for kind in KINDS:
        latencies, right = Latencies(), 0
        for case in _of(asked, kind):
            started = time.perf_counter()
            found = reference.find(case.query, typos=kind == "typo")
            latencies.milliseconds.append((time.perf_counter() - started) * 1000)
            right += bool(case.right.intersection(found))
        share = 100 * right / len(latencies.milliseconds)
        details = {"p95": f"{latencies.percentile(0.95):.2f} ms in its process, names alone, without documents"}
        yield Result(f"tantivy, right among the first five: {kind}", "reported", share, "%", None, details)


def recommend(bench: Bench) -> list[Result]:
    """What is like a release, and what somebody may like, once the worker has worked them out."""
    data_dir = bench.fresh_catalogue("recommend")
    settings = {"SECRET_KEY": talk_seed.SECRET}
    with bench.server(data_dir, **settings) as server, PeakRss(server.pid) as watch:
        tokens = asyncio.run(_people(data_dir))
        started = time.monotonic()
        say("working out neighbours")
        log = bench.root / "recommend-worker.log"
        peak = run_to_end(
            python(str(bench.run_py), "recommend-worker"), bench.settings(data_dir, **settings), log, 3600
        )
        worked, told = time.monotonic() - started, log.read_text("utf-8").splitlines()[-1]
        similar = ask(server.port, [f"/api/v1/recommendations/similar/{one}" for one in range(1, 600, 2)])
        personal, cached = Latencies(), Latencies()
        for token in tokens[:TIMED]:
            signed = {"Authorization": f"Bearer {token}"}
            # The first request of a token pays for looking at it.
            ask(server.port, ["/api/v1/profile/stats"], signed)
            twice = ask(server.port, ["/api/v1/recommendations"] * 2, signed)
            personal.milliseconds.append(twice.milliseconds[0])
            cached.milliseconds.append(twice.milliseconds[1])
        kind = json.loads(twice.body)["type"]
        bench.note_peak("recommend", watch.peak)
    return [
        _timed("similar releases, stored", 2.0, similar),
        _timed("personal recommendations, new", 10.0, personal, type=kind),
        _timed("personal recommendations, kept (with the client's time)", 1.0, cached),
        Result("working out all neighbours", "reported", worked, "s", None, {"told": told}),
        Result("memory of the worker meanwhile", "<= 150 MB", peak, "MB", peak <= 150),
    ]


async def _people(data_dir: Path) -> list[str]:
    conn = await connect(Cluster(data_dir).dsn(DATABASE))
    try:
        tokens = await talk_seed.people(conn, "finder", PEOPLE)
        await conn.execute(LISTS, ENTRIES, WATCHED)
        await conn.execute("analyze library_entries")
        # Whatever was worked out before there were lists.
        await conn.execute("truncate release_neighbours, release_audience")
        await conn.execute("update recommending_state set audience_at = null")
        return tokens
    finally:
        await conn.close()
