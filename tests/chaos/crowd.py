"""Five thousand connections, most of them a nuisance, against a server with little memory."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from server.identity import AccessTokens
from tests.chaos.bounds import Bound, Findings
from tests.chaos.process import ROOT, Served, served
from tests.chaos.verdict import judge
from tests.chaos.watch import Watch, Watched

MEMORY_MB = 512
# Where no cgroup may be made, the server itself must stay below this (PSS).
SERVER_MB = 300.0
LIVE_P99_MS = 100.0
KEY = "a key of nobody but this run"
SETTINGS = {"SECRET_KEY": KEY, "COMMENT_RATE_LIMIT": "0/hour"}
PEOPLE = 50
# They have been here for long: what they write is not held because they are new.
MAKE_PEOPLE = """
insert into users (username, username_key, created_at)
select 'talker' || n, 'talker' || n, now() - interval '90 days' from generate_series(1, $1::integer) n
returning id
"""


@dataclass(frozen=True)
class Crowd:
    """How many of each kind come, within how many seconds, and how long they stay."""

    idle: int = 3000
    headers: int = 400
    bodies: int = 400
    readers: int = 800
    viewers: int = 300
    talkers: int = 100
    ramp: float = 15.0
    seconds: float = 45.0

    @property
    def size(self) -> int:
        """How many there are."""
        return self.idle + self.headers + self.bodies + self.readers + self.viewers + self.talkers

    def shrunk(self, divisor: int, seconds: float) -> Crowd:
        """The same mixture, smaller and shorter."""
        kinds = ("idle", "headers", "bodies", "readers", "viewers", "talkers")
        return replace(self, ramp=1.0, seconds=seconds, **{kind: getattr(self, kind) // divisor for kind in kinds})


async def run(directory: Path, *, seed: int, crowd: Crowd | None = None) -> Findings:
    """Start a server in its cgroup, let them come, and look whether it kept its promises."""
    crowd = crowd or Crowd()
    findings = Findings("crowd")
    scope = scope_command(MEMORY_MB)
    async with served(directory / "data", **SETTINGS) as server:  # type: ignore[arg-type]
        server.prefix = scope
        await server.start()
        tokens = await _people(server)
        postmaster = server.cluster.postmaster()
        with Watch(server.pid, server.port, server.data_dir) as watch:
            report = await _client(directory, vars(crowd) | {"port": server.port, "seed": seed, "tokens": tokens})
        if server.process is None or server.process.poll() is not None:
            findings.complaints.append(f"the server ended: {server.last_lines()}")
            return findings
        if server.cluster.postmaster() != postmaster:
            findings.complaints.append("PostgreSQL was killed")
        _judge_load(findings, crowd, report, watch.watched, limited=bool(scope))
        async with server.connection() as conn:
            await _judge_writes(findings, conn, report)
    return findings


def scope_command(megabytes: int) -> tuple[str, ...]:
    """The command in front of another that gives it a cgroup of its own with so much memory; nothing where none is to
    be had from systemd: cgroups that somebody else manages are not ours to write to."""
    if not Path("/run/systemd/system").is_dir() or shutil.which("systemd-run") is None:
        return ()
    whose = () if os.geteuid() == 0 else ("--user",)
    limits = ("-p", f"MemoryMax={megabytes}M", "-p", "MemorySwapMax=0")
    return ("systemd-run", *whose, "--scope", "--quiet", "--collect", *limits, "--")


async def _people(server: Served) -> list[str]:
    """Make accounts; an access token for each."""
    async with server.connection() as conn:
        rows = await conn.fetch(MAKE_PEOPLE, PEOPLE)
    maker = AccessTokens([KEY.encode()])
    return [maker.issue(row["id"], "user", 1, uuid4()) for row in rows]


async def _client(directory: Path, plan: dict[str, Any]) -> dict[str, Any]:
    """The crowd in a process of its own; its report."""
    path, report = directory / "crowd.json", directory / "crowd-report.json"
    path.write_text(json.dumps(plan | {"report": str(report)}))
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.chaos.throng", str(path), cwd=ROOT)
    try:
        async with asyncio.timeout(plan["ramp"] + plan["seconds"] + 90):
            status = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert status == 0, f"the crowd ended with {status}"
    found: dict[str, Any] = json.loads(report.read_text())
    return found


def _judge_load(findings: Findings, crowd: Crowd, report: dict[str, Any], watched: Watched, *, limited: bool) -> None:
    findings.bounds += [
        Bound("connections at once (median)", report["connected_median"], 0.95 * crowd.size, "", at_least=True),
        Bound("/live p99", watched.live_p99_ms, LIVE_P99_MS, "ms"),
        Bound("/live failed", watched.live_failed, 0),
        Bound("peak PSS of the server", watched.server_mb, MEMORY_MB if limited else SERVER_MB, "MB"),
        Bound("writes that were never acknowledged", report["unfinished"], 0),
        Bound("refused without Retry-After", report["retry_after_missing"], 0),
        Bound("unexpected answers", _unexpected(report["statuses"]), 0),
        Bound("the clients' processor time", report["client_cpu"] * 100, 80, "%"),
    ]
    how = f"in a cgroup of {MEMORY_MB} MB" if limited else "no cgroup may be made here: memory was sampled"
    findings.notes += [
        f"{how}; peak PSS of server and PostgreSQL {watched.stack_mb:.0f} MB; /live asked {len(watched.live)} times",
        f"connections at once: least {report['connected_least']}, median {report['connected_median']}",
        f"{report['answers']} good answers, p50 {report['p50_ms']:.1f} ms, p99 {report['p99_ms']:.1f} ms",
        *(f"{kind}: {counts}" for kind, counts in report["statuses"].items()),
    ]


def _unexpected(statuses: dict[str, dict[str, int]]) -> int:
    """How many answers were errors of the server, or none of those that this kind of client may get."""
    fine = {
        "idle": {"200", "503"}, "headers": {"400", "408", "431"}, "bodies": {"202", "400", "408", "503"},
        "readers": {"200", "503"}, "viewers": {"202", "503"}, "talkers": {"201", "409", "503"},
    }  # fmt: skip
    return sum(
        count
        for kind, counts in statuses.items()
        for status, count in counts.items()
        if status.isdigit() and status not in fine[kind]
    )


async def _judge_writes(findings: Findings, conn: asyncpg.Connection[asyncpg.Record], report: dict[str, Any]) -> None:
    """Everything that was acknowledged has to be there, once."""
    verdict = await judge(conn, {UUID(one) for one in report["events"]})
    said = {int(key): text for key, text in report["comments"].items()}
    stored = {row["id"]: row["text"] for row in await conn.fetch("select id, text from comments")}
    lost = sum(stored.get(key) != text for key, text in said.items())
    twice = len(stored) - len(set(stored.values()))
    findings.bounds += [
        Bound("acknowledged views", verdict.committed, 1, "", at_least=True),
        Bound("views lost, doubled or invented", verdict.lost + verdict.duplicates + verdict.invented, 0),
        Bound("wrong rollups", verdict.wrong_rollups, 0),
        Bound("acknowledged comments", len(said), 1, "", at_least=True),
        Bound("comments lost or doubled", lost + twice, 0),
    ]
