"""Running the site: badges, subscriptions, a fan-out to a hundred thousand people, and readers beside heavy editing."""

from __future__ import annotations

import asyncio
import json
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from server.database import connect
from server.postgres.cluster import DATABASE, Cluster
from tests import people_seed
from tests.bench import lua
from tests.bench.context import Bench, Result, say
from tests.bench.load import Contender, Load, interleave, request_headers, run_script
from tests.bench.measure import PeakRss
from tests.bench.probe import exchange, get_json, release_ids
from tests.bench.processes import BenchError, Running
from tests.bench.scenarios_people import ACCOUNTS, OPEN, PASSWORD, drive, make_accounts, request, stream
from tests.bench.scenarios_read import compare

BADGE = "/api/v1/notifications/unread/count"
SUBSCRIPTIONS = "/api/v1/subscriptions"
LEAST_SUBSCRIPTIONS = 1_500.0
FOLLOWERS, FAN_OUT_SECONDS = 100_000, 4.0
GETS_PER_SECOND, FACTOR, MARGIN_MS = 500.0, 2.0, 10.0
BATCH, LINES = 500, 100_000
PATIENCE = 600.0


def make_admin(server: Running, data_dir: Path) -> dict[str, str]:
    """The headers of an administrator."""
    ((email, _),) = make_accounts(server, 1)
    asyncio.run(_execute(data_dir, "update users set role = 'admin' where email = $1", email))
    said = json.dumps({"email": email, "password": PASSWORD}).encode()
    answer = exchange(server.port, "POST", "/api/v1/auth/login", {"Content-Type": "application/json"}, said)
    token = json.loads(answer.body)["access_token"]
    return {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}


async def _execute(data_dir: Path, text: str, *arguments: Any) -> None:
    conn = await connect(Cluster(data_dir).dsn(DATABASE))
    try:
        await conn.execute(text, *arguments)
    finally:
        await conn.close()


async def _value(data_dir: Path, text: str, *arguments: Any) -> Any:
    conn = await connect(Cluster(data_dir).dsn(DATABASE))
    try:
        return await conn.fetchval(text, *arguments)
    finally:
        await conn.close()


def badge(bench: Bench) -> list[Result]:
    """The count of unread notifications, as a client polls it."""
    with bench.server(bench.catalogue(), **OPEN) as server:
        ((_, token),) = make_accounts(server, 1)
        body = b'{"unread_count":0}'
        with bench.bare("get", body=body, path=BADGE) as bare:
            sent = {"Authorization": f"Bearer {token}"}
            contenders = [
                Contender("bare", bare.port, Load((BADGE,), headers=sent)),
                Contender("badge", server.port, Load((BADGE,), headers=sent)),
            ]
            with PeakRss(server.pid) as watch:
                series = interleave(contenders, bench.rounds, bench.seconds, bench.root)
    return [compare("GET /notifications/unread/count", 0.55, series["badge"], series["bare"], {"rss_mb": watch.peak})]


def subscriptions(bench: Bench) -> list[Result]:
    """Subscriptions made one a request by many people, each committed before it is answered."""
    data_dir = bench.fresh_catalogue("subscriptions")
    with bench.server(data_dir, **OPEN) as server:
        tokens = [token for _, token in make_accounts(server, ACCOUNTS)]
        headers = request_headers(Load((SUBSCRIPTIONS,), batch=1))
        script = lua.subscribing(SUBSCRIPTIONS, headers, tokens, bench.releases)
        # One stretch: what was subscribed to once is a conflict the second time.
        with PeakRss(server.pid) as watch:
            outcome = run_script(server.port, script, 64, bench.rounds * bench.seconds, bench.root)
        ours = "select count(*) from subscriptions s join users u on u.id = s.user_id where username_key like 'bench%'"
        made = asyncio.run(_value(data_dir, ours))
    ok = outcome.rate >= LEAST_SUBSCRIPTIONS and not outcome.failures and made >= outcome.answers
    details: dict[str, float | str] = {
        "rss_mb": watch.peak, "p99": f"{outcome.p99_ms:.1f} ms", "failures": str(outcome.failures),
        "committed": f"{made} for {outcome.answers} answers",
    }  # fmt: skip
    return [Result("POST /subscriptions", f">= {LEAST_SUBSCRIPTIONS:,.0f}/s", outcome.rate, "/s", ok, details)]


def fan_out(bench: Bench) -> list[Result]:
    """New episodes of a release that a hundred thousand people follow, beside hot GETs."""
    people = FOLLOWERS // 10 if bench.quick else FOLLOWERS
    data_dir = bench.fresh_catalogue("followers")
    with bench.server(data_dir, **OPEN, NOTIFICATION_RATE_LIMIT="1000/hour") as server:
        release_id = release_ids(server.port, 1)[0]
        asyncio.run(_follow(data_dir, people, release_id))
        admin = make_admin(server, data_dir)
        with PeakRss(server.pid) as watch:
            seconds = [_told(server, data_dir, admin, release_id, 20_000 + number) for number in range(bench.rounds)]
            results = _beside(
                bench, server, "p99 of hot GETs during fan-outs",
                lambda stop: _tell_again(server, data_dir, admin, release_id, stop),
            )  # fmt: skip
        bench.note_peak("fan-out", watch.peak)
        received = asyncio.run(_value(data_dir, "select count(*) from notifications"))
        twice = asyncio.run(
            _value(data_dir, "select count(*) - count(distinct (user_id, event_id)) from notifications")
        )
    took = statistics.median(seconds)
    allowed = FAN_OUT_SECONDS * people / FOLLOWERS
    details: dict[str, float | str] = {
        "rounds": f"{min(seconds):.2f} to {max(seconds):.2f} s", "first": f"{seconds[0]:.2f} s",
        "rate": f"{people / took:,.0f}/s", "notifications": f"{received:,}, {twice} double", "rss_mb": watch.peak,
    }  # fmt: skip
    ok = max(seconds) <= allowed and not twice
    return [Result(f"fan-out to {people:,} followers", f"<= {allowed:g} s", took, "s", ok, details), *results]


async def _follow(data_dir: Path, people: int, release_id: int) -> None:
    conn = await connect(Cluster(data_dir).dsn(DATABASE))
    try:
        say(f"preparing {people:,} followers")
        await people_seed.fill(conn, people, progress=0)
        await conn.execute(
            "insert into subscriptions (user_id, subscription_type, target_id) select id, 'release', $1 from users"
            " where username_key like 'reader%' on conflict do nothing", release_id,
        )  # fmt: skip
        await conn.execute("vacuum analyze subscriptions")
    finally:
        await conn.close()


def _told(server: Running, data_dir: Path, admin: dict[str, str], release_id: int, ordinal: int) -> float:
    """Add an episode; seconds from the request until its last follower was told."""
    started = time.monotonic()
    edit(server, admin, "POST", "/admin/episodes", {"release_id": release_id, "ordinal": ordinal, "title": "New"})
    done = "select count(*) from notification_events where type = 'new_episode' and done_at is not null and reached > 0"
    before = ordinal - 20_000
    while asyncio.run(_value(data_dir, done)) <= before:
        if time.monotonic() - started > PATIENCE:
            raise BenchError("a fan-out did not come to its end")
        time.sleep(0.02)
    return time.monotonic() - started


def _tell_again(
    server: Running, data_dir: Path, admin: dict[str, str], release_id: int, stop: threading.Event
) -> dict[str, float | str]:
    ordinal, first = 30_000, 30_000
    pending = "select count(*) from notification_events where done_at is null"
    while not stop.is_set():
        edit(server, admin, "POST", "/admin/episodes", {"release_id": release_id, "ordinal": ordinal, "title": "More"})
        ordinal += 1
        while not stop.is_set() and asyncio.run(_value(data_dir, pending)):
            time.sleep(0.02)
    return {"fan-outs": str(ordinal - first)}


def editing(bench: Bench) -> list[Result]:
    """Hot GETs beside batches of five hundred edits, then beside an import of a hundred thousand lines."""
    data_dir = bench.fresh_catalogue("editing")
    lines = LINES // 10 if bench.quick else LINES
    with bench.server(data_dir, **OPEN) as server:
        admin = make_admin(server, data_dir)
        with PeakRss(server.pid) as watch:
            batches = _beside(
                bench, server, f"p99 of hot GETs beside batches of {BATCH}", lambda stop: _batches(server, admin, stop)
            )
            imports = _beside(
                bench, server, f"p99 of hot GETs while {lines:,} lines are imported",
                lambda stop: _import(server, admin, lines, stop), until_done=True,
            )  # fmt: skip
        bench.note_peak("editing", watch.peak)
    return [*batches, *imports]


def _batches(server: Running, admin: dict[str, str], stop: threading.Event) -> dict[str, float | str]:
    seconds = []
    number = 0
    while not stop.is_set():
        number += 1
        edits = [
            {"method": "POST", "path": "/admin/releases", "body": {"title": f"Batch {number} {place}", "type": "tv"}}
            for place in range(BATCH)
        ]
        started = time.monotonic()
        edit(server, admin, "POST", "/admin/batch", {"operations": edits})
        seconds.append(time.monotonic() - started)
    return {"batches": str(len(seconds)), "a batch": f"{statistics.median(seconds):.2f} s"}


def _import(server: Running, admin: dict[str, str], lines: int, stop: threading.Event) -> dict[str, float | str]:
    rows = (
        json.dumps({"title": f"Line {n}", "type": "tv", "year": 1980 + n % 40, "genres": ["Drama"],
                    "external_ids": {"bench": n}}, separators=(",", ":"))
        for n in range(lines)
    )  # fmt: skip
    body = "\n".join(rows).encode()
    started = time.monotonic()
    sent = admin | {"Content-Type": "application/x-ndjson"}
    found = _ended(server, admin, exchange(server.port, "POST", "/api/v1/admin/import", sent, body), stop)
    took = time.monotonic() - started
    return {"import": f"{took:.1f} s, {lines / took:,.0f} lines/s", "created": str(found["result"].get("created"))}


def edit(server: Running, admin: dict[str, str], method: str, path: str, body: Any) -> dict[str, Any]:
    """Send a change and wait until it has succeeded; the operation."""
    content = json.dumps(body).encode()
    answer = exchange(server.port, method, f"/api/v1{path}", admin | {"Prefer": "wait=10"}, content)
    return _ended(server, admin, answer)


def _ended(server: Running, admin: dict[str, str], answer: Any, stop: threading.Event | None = None) -> dict[str, Any]:
    if answer.status != 202:
        raise BenchError(f"a change was answered {answer.status}: {answer.body[:300]!r}")
    deadline = time.monotonic() + PATIENCE
    found: dict[str, Any] = json.loads(answer.body)
    while found["status"] in ("queued", "running"):
        if time.monotonic() > deadline:
            raise BenchError(f"an operation did not end: {found}")
        time.sleep(0.05 if stop is None else 0.5)
        found = json.loads(exchange(server.port, "GET", answer.headers["location"], admin).body)
    if found["status"] != "succeeded":
        raise BenchError(f"an operation {found['status']}: {found['errors'][:3]}")
    return found


def _beside(
    bench: Bench, server: Running, name: str, work: Callable[[threading.Event], dict[str, float | str]],
    *, until_done: bool = False,
) -> list[Result]:  # fmt: skip
    """The 99th percentile of hot GETs at a steady rate, alone and while `work` goes on in another thread."""
    paths = [f"/api/v1/releases/{release_id}" for release_id in release_ids(server.port, 50)]
    gets = stream("gets", GETS_PER_SECOND, [(1, request("GET", path)) for path in paths])
    drive(bench, server.port, 2.0, gets)
    idle = [drive(bench, server.port, 2 * bench.seconds, gets)["gets"] for _ in range(3)]
    busy: list[dict[str, Any]] = []
    with _working(work) as worker:
        while len(busy) < 3 or (until_done and worker.thread.is_alive()):
            busy.append(drive(bench, server.port, 2 * bench.seconds, gets)["gets"])
    quiet = statistics.median(each["p99_ms"] for each in idle)
    loaded = statistics.median(each["p99_ms"] for each in busy)
    limit = max(FACTOR * quiet, quiet + MARGIN_MS)
    failed = sum(each["errors"] + each["sent"] - each["statuses"].get("200", 0) for each in (*idle, *busy))
    worst = max(each["p99_ms"] for each in busy)
    details = {
        "idle_p99": f"{quiet:.2f} ms", "worst": f"{worst:.2f} ms", "rounds": str(len(busy)), "failures": str(failed),
        **worker.found,
    }  # fmt: skip
    return [Result(name, f"<= {limit:.1f} ms", loaded, "ms", loaded <= limit and not failed, details)]


class _Worker:
    """Work in a thread, and what it found."""

    def __init__(self, work: Callable[[threading.Event], dict[str, float | str]]) -> None:
        self.stop = threading.Event()
        self.found: dict[str, float | str] = {}
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, args=(work,), daemon=True)

    def _run(self, work: Callable[[threading.Event], dict[str, float | str]]) -> None:
        try:
            self.found = work(self.stop)
        except BenchError as error:
            self.error = error


@contextmanager
def _working(work: Callable[[threading.Event], dict[str, float | str]]) -> Iterator[_Worker]:
    worker = _Worker(work)
    worker.thread.start()
    try:
        yield worker
    finally:
        worker.stop.set()
        with suppress(RuntimeError):
            worker.thread.join(PATIENCE)
    if worker.error is not None:
        raise worker.error


def streams_memory(bench: Bench) -> list[Result]:
    """What an idle listener of the live stream weighs."""
    listeners = 100 if bench.quick else 500
    with bench.server(bench.catalogue(), **OPEN) as server:
        tokens = [token for _, token in make_accounts(server, ACCOUNTS if bench.quick else listeners // 5)]
        get_json(server.port, "/api/v1/genres")
        from tests.bench.listeners import hold  # noqa: PLC0415 - sockets only this scenario needs

        weight = hold(server, tokens, listeners)
    return [Result("an idle listener of the stream", "reported", weight, "KB", None, {"listeners": str(listeners)})]
