"""People: hot reads beside a storm of sign-ins, an app's mixture of reads and writes, and a feed over a million events.

The first two are open loops (`openloop.py`): requests come at their rate whatever the server does.
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from server.database import connect
from server.postgres.cluster import DATABASE, Cluster
from tests import feed_seed, people_plans, people_seed
from tests.bench import lua
from tests.bench.context import Bench, Result, say
from tests.bench.load import BROWSER
from tests.bench.measure import PeakRss
from tests.bench.probe import exchange, release_ids
from tests.bench.processes import BenchError, Running, clean_environment, python

GETS_PER_SECOND, LOGINS_PER_SECOND = 500.0, 200.0
STORM_FACTOR, STORM_MARGIN_MS = 3.0, 10.0
MIX_PER_SECOND = 300.0
ACCOUNTS = 40
PASSWORD = "a lighthouse keeper's lamp"
# Far beyond what the load sends: what is measured is the work, not the refusal of it.
OPEN = {"REGISTER_RATE_LIMIT": "100000/hour", "TRUSTED_PROXIES": "127.0.0.1/32", "RATE_LIMIT_MAX": "10000000"}
EVENTS, FEED_PER_SECOND, FEED_P95_MS = 1_000_000, 50.0, 15.0


def request(method: str, path: str, headers: dict[str, str] | None = None, body: Any = None) -> str:
    """The bytes of a request, as text."""
    content = "" if body is None else json.dumps(body)
    said = {"Host": "bench", "User-Agent": BROWSER, **(headers or {})}
    if body is not None:
        said |= {"Content-Type": "application/json", "Content-Length": str(len(content))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in said.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n{content}"


def stream(name: str, rate: float, requests: Sequence[tuple[float, str]]) -> dict[str, Any]:
    """A stream of the plan: a mixture of (weight, request)."""
    return {"name": name, "rate": rate, "requests": list(requests)}


def drive(bench: Bench, port: int, seconds: float, *streams: dict[str, Any]) -> dict[str, Any]:
    """Send the streams side by side for so long; their reports by name."""
    plan = bench.root / "openloop.json"
    plan.write_text(json.dumps({"port": port, "connections": 256, "seconds": seconds, "streams": streams}))
    done = subprocess.run(
        python("-m", "tests.bench.openloop", str(plan)),
        env=clean_environment({}), capture_output=True, text=True, timeout=seconds + 90, check=False,
    )  # fmt: skip
    line = next((line for line in done.stdout.splitlines() if line.startswith(lua.MARK)), None)
    if line is None:
        raise BenchError(f"the open loop reported nothing: {done.stderr[-500:]}")
    found: dict[str, Any] = json.loads(line.removeprefix(lua.MARK))
    return found


def make_accounts(server: Running, count: int) -> list[tuple[str, str]]:
    """Register so many people; (e-mail, access token) of each."""
    made = []
    for number in range(count):
        email = f"bench{number}-{random.SystemRandom().getrandbits(40):x}@example.org"
        account = {"email": email, "username": email.partition("@")[0], "password": PASSWORD}
        sent = {"Content-Type": "application/json", "X-Forwarded-For": f"10.9.{number // 250}.{number % 250 + 1}"}
        answers = [
            exchange(server.port, "POST", f"/api/v1/auth/{path}", sent, json.dumps(body).encode())
            for path, body in (("register", account), ("login", {"email": email, "password": PASSWORD}))
        ]
        if [answer.status for answer in answers] != [201, 200]:
            raise BenchError(f"no account could be made: {answers[-1].body[:300]!r}")
        made.append((email, json.loads(answers[1].body)["access_token"]))
    return made


def login_storm(bench: Bench) -> list[Result]:
    """Hot GETs at a steady rate, alone and beside sign-ins that come faster than they can be checked."""
    with bench.server(bench.catalogue(), **OPEN) as server:
        people = make_accounts(server, ACCOUNTS)
        paths = [f"/api/v1/releases/{release_id}" for release_id in release_ids(server.port, 50)]
        gets = stream("gets", GETS_PER_SECOND, [(1, request("GET", path)) for path in paths])
        logins = stream("logins", LOGINS_PER_SECOND, [(1, _login(people, number)) for number in range(2_000)])
        drive(bench, server.port, 2.0, gets)
        rounds = []
        with PeakRss(server.pid) as memory:
            for _ in range(bench.rounds):
                idle = drive(bench, server.port, 2 * bench.seconds, gets)["gets"]
                both = drive(bench, server.port, 2 * bench.seconds, gets, logins)
                rounds.append((idle, both["gets"], both["logins"]))
        bench.peaks["login storm"] = memory.peak
    return [_storm_result(rounds, memory.peak)]


def _login(people: Sequence[tuple[str, str]], number: int) -> str:
    """One of many sign-ins from many addresses, half of them with a wrong password."""
    email, _ = people[number % len(people)]
    body = {"email": email, "password": PASSWORD if number % 2 else "not the password"}
    return request("POST", "/api/v1/auth/login", {"X-Forwarded-For": f"10.{number % 200}.7.{number % 250 + 1}"}, body)


def _storm_result(rounds: Sequence[tuple[Any, Any, Any]], peak: float) -> Result:
    idle = statistics.median(round_[0]["p99_ms"] for round_ in rounds)
    stormy = statistics.median(round_[1]["p99_ms"] for round_ in rounds)
    limit = max(STORM_FACTOR * idle, idle + STORM_MARGIN_MS)
    gets_failed = sum(
        side["errors"] + side["sent"] - side["statuses"].get("200", 0) for round_ in rounds for side in round_[:2]
    )
    answers: dict[str, int] = {}
    for _, _, logins in rounds:
        for status, count in logins["statuses"].items():
            answers[status] = answers.get(status, 0) + count
    strange = sum(logins["errors"] for _, _, logins in rounds) + sum(
        count for status, count in answers.items() if status not in ("200", "401", "429", "503")
    )
    ok = stormy <= limit and not gets_failed and not strange
    return Result(
        "p99 of hot GETs in a storm of sign-ins", f"<= {limit:.1f} ms", stormy, "ms", ok,
        {
            "idle_p99": f"{idle:.2f} ms", "offered": f"{GETS_PER_SECOND:.0f} GET/s, {LOGINS_PER_SECOND:.0f} logins/s",
            "logins": ", ".join(f"{count} x {status}" for status, count in sorted(answers.items())),
            "failures": str(gets_failed + strange), "rss_mb": peak,
        },
    )  # fmt: skip


def app_mix(bench: Bench) -> list[Result]:
    """What an app sends (70 % catalogue, 15 % progress, 10 % lists, 5 % sync) where a hundred thousand people are."""
    data_dir = bench.fresh_catalogue("people")
    with bench.server(data_dir, **OPEN) as server:
        people, progress = (5_000, 20) if bench.quick else (100_000, 50)
        asyncio.run(_fill(data_dir, people, progress))
        tokens = [token for _, token in make_accounts(server, ACCOUNTS)]
        mix = stream("mix", MIX_PER_SECOND, _mixture(server.port, tokens))
        drive(bench, server.port, 3.0, mix)
        with PeakRss(server.pid) as memory:
            reports = [drive(bench, server.port, 2 * bench.seconds, mix)["mix"] for _ in range(bench.rounds)]
        bench.peaks["an app's mixture"] = memory.peak
        plans = asyncio.run(_plans(data_dir))
        feed = _feed(bench, server, data_dir, tokens[0])
    failed = sum(
        each["errors"] + sum(count for status, count in each["statuses"].items() if status not in ("200", "204", "304"))
        for each in reports
    )
    p50, p99 = (statistics.median(each[name] for each in reports) for name in ("p50_ms", "p99_ms"))
    details: dict[str, float | str] = {
        "offered": f"{MIX_PER_SECOND:.0f}/s", "people": f"{people:,}", "progress": f"{people * progress:,} rows",
        "failures": str(failed), "rss_mb": memory.peak,
    }  # fmt: skip
    ok = None if not failed else False
    return [
        Result("p50 of an app's mixture", "reported", p50, "ms", ok, details),
        Result("p99 of an app's mixture", "reported", p99, "ms", ok, details),
        plans,
        feed,
    ]


async def _plans(data_dir: Path) -> Result:
    """Every statement about people, as planned for any parameters: whether one reads through a growing table."""
    conn = await connect(Cluster(data_dir).dsn(DATABASE))
    try:
        await people_plans.prepare_for(conn)
        statements = [query for noun in people_plans.NOUNS for query in people_plans.statements(noun)]
        found = {query.name: await people_plans.tables_read_through(conn, query) for query in statements}
    finally:
        await conn.close()
    through = sorted(name for name, tables in found.items() if tables)
    details: dict[str, float | str] = {"statements": str(len(statements)), "which": ", ".join(through) or "none"}
    return Result("statements that read through a growing table", "0", len(through), "", not through, details)


def _feed(bench: Bench, server: Running, data_dir: Path, token: str) -> Result:
    """The first page of somebody who follows two hundred things, in a log of a million events."""
    events = EVENTS // 20 if bench.quick else EVENTS
    sent = {"Authorization": f"Bearer {token}"}
    me = json.loads(exchange(server.port, "GET", "/api/v1/auth/me", sent).body)
    asyncio.run(_fill_feed(data_dir, events, bench.releases // 3, me["id"]))
    feed = stream("feed", FEED_PER_SECOND, [(1, request("GET", "/api/v1/feed", sent))])
    drive(bench, server.port, 2.0, feed)
    reports = [drive(bench, server.port, 2 * bench.seconds, feed)["feed"] for _ in range(bench.rounds)]
    failed = sum(each["errors"] + each["sent"] - each["statuses"].get("200", 0) for each in reports)
    p95 = statistics.median(each["p95_ms"] for each in reports)
    details: dict[str, float | str] = {
        "p50": f"{statistics.median(each['p50_ms'] for each in reports):.2f} ms", "events": f"{events:,}",
        "followed": "200", "offered": f"{FEED_PER_SECOND:.0f}/s", "failures": str(failed),
    }  # fmt: skip
    ok = p95 <= FEED_P95_MS and not failed
    return Result("p95 of the first page of a feed", f"<= {FEED_P95_MS:g} ms", p95, "ms", ok, details)


async def _fill_feed(data_dir: Path, events: int, releases: int, follower: int) -> None:
    conn = await connect(Cluster(data_dir).dsn(DATABASE))
    try:
        say(f"preparing {events:,} events")
        await feed_seed.fill(conn, events, releases)
        await feed_seed.follow_much(conn, follower)
    finally:
        await conn.close()


def _mixture(port: int, tokens: Sequence[str]) -> list[tuple[float, str]]:
    chance = random.Random(7)
    ids = release_ids(port, 200)
    episodes = [_episode(port, release_id) for release_id in ids[:40]]
    kinds: dict[str, list[str]] = {"catalogue": [], "progress": [], "lists": [], "sync": []}
    pages = ["releases?limit=20", "releases/latest", "genres", "schedule", "releases?genre=drama&sort=-rating"]
    kinds["catalogue"] += [request("GET", f"/api/v1/releases/{release_id}") for release_id in ids]
    kinds["catalogue"] += [request("GET", f"/api/v1/{page}") for page in pages * 10]
    for token in tokens:
        sent = {"Authorization": f"Bearer {token}"}
        for episode in chance.sample(episodes, 10):
            body = {"position_seconds": chance.randint(1, 1400), "completed": chance.random() < 0.3}
            kinds["progress"].append(request("PUT", f"/api/v1/profile/progress/{episode}", sent, body))
        for release_id in chance.sample(ids, 5):
            kinds["lists"].append(request("PUT", f"/api/v1/profile/favorites/{release_id}", sent))
            kinds["lists"].append(request("PUT", f"/api/v1/profile/collections/watching/{release_id}", sent))
            kinds["lists"].append(request("GET", "/api/v1/profile/favorites", sent))
        kinds["sync"].append(request("GET", f"/api/v1/profile/sync?since={chance.randint(0, 5)}", sent))
    shares = {"catalogue": 70.0, "progress": 15.0, "lists": 10.0, "sync": 5.0}
    return [(shares[kind] / len(requests), text) for kind, requests in kinds.items() for text in requests]


def _episode(port: int, release_id: int) -> int:
    page = json.loads(exchange(port, "GET", f"/api/v1/releases/{release_id}/episodes?limit=1").body)
    if not page["results"]:
        return 1
    found: int = page["results"][0]["id"]
    return found


async def _fill(data_dir: Path, people: int, progress: int) -> None:
    conn = await connect(Cluster(data_dir).dsn(DATABASE))
    try:
        if await conn.fetchval("select count(*) from users where username_key like 'reader%'") < people:
            say(f"preparing {people:,} people with {progress} episodes each")
            await people_seed.fill(conn, people, progress=progress)
    finally:
        await conn.close()
