"""The server as an operator starts it: a process of its own, its own DATA_DIR, a free port."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import monotonic, perf_counter
from typing import Any

import asyncpg
from aiohttp import ClientError, ClientSession, ClientTimeout

from server.postgres import processes
from server.postgres.cluster import Cluster
from server.settings import NAMES, NOT_OURS

ROOT = Path(__file__).resolve().parents[2]
RELEASES = 30
EPISODES = 3


def environment(data_dir: Path, **settings: str) -> dict[str, str]:
    """Ours without a developer's own settings, plus these."""
    clean = {name: value for name, value in os.environ.items() if name not in NAMES or name in NOT_OURS}
    return clean | {"DATA_DIR": str(data_dir), "DEMO": "0", "RATE_LIMIT_MAX": "0", "LOG_FORMAT": "json", **settings}


def free_port() -> int:
    """A port nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def command(*words: str) -> list[str]:
    """`python run.py …`."""
    return [sys.executable, str(ROOT / "run.py"), *words]


def run(data_dir: Path, *words: str, timeout: float = 60, **settings: str) -> subprocess.CompletedProcess[str]:
    """A command to its end."""
    where = data_dir.parent
    given = environment(data_dir, **settings)
    return subprocess.run(
        command(*words), env=given, cwd=where, capture_output=True, text=True, timeout=timeout, check=False
    )


def catalogue(path: Path, releases: int = RELEASES, word: str = "Title") -> Path:
    """A native catalogue of made-up releases with episodes."""
    lines = []
    for number in range(1, releases + 1):
        episodes = [{"ordinal": ordinal, "title": "", "duration_seconds": 1440} for ordinal in range(1, EPISODES + 1)]
        draft = {"title": f"{word} {number}", "type": "tv", "status": "finished", "year": 2020}
        lines.append(json.dumps(draft | {"external_ids": {"invented": number}, "episodes": episodes}))
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


class Served:
    """One data directory and the server process on it; started and killed as often as one likes on the same port."""

    def __init__(self, data_dir: Path, **settings: str) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        self.settings = {"PORT": str(self.port), **settings}
        self.log = data_dir.with_suffix(".log")
        self.cluster = Cluster(data_dir)
        self.process: subprocess.Popen[bytes] | None = None
        # A command in front of the server's own.
        self.prefix: tuple[str, ...] = ()

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def spawn(self, **options: Any) -> None:
        """Start it and do not wait."""
        self.data_dir.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.prefix, *command("serve")], env=environment(self.data_dir, **self.settings),
                cwd=self.data_dir.parent, stdout=log, stderr=log, **options,
            )  # fmt: skip

    async def start(self, patience: float = 60.0) -> float:
        """Start it and wait until it says that it is ready; the seconds that took."""
        started = perf_counter()
        self.spawn()
        await self.until_ready(patience)
        return perf_counter() - started

    async def until_ready(self, patience: float = 60.0) -> None:
        """Ask /ready until it is 200."""
        deadline = monotonic() + patience
        async with ClientSession(base_url=self.base, timeout=ClientTimeout(total=5)) as session:
            while monotonic() < deadline:
                assert self.process is None or self.process.poll() is None, self.last_lines()
                try:
                    async with session.get("/ready") as answer:
                        if answer.status == 200:
                            return
                except (ClientError, OSError, TimeoutError):
                    pass
                await asyncio.sleep(0.02)
        raise AssertionError(f"not ready after {patience} s: {self.last_lines()}")

    def last_lines(self) -> str:
        """The end of what it printed."""
        return self.log.read_text("utf-8", "replace")[-3000:] if self.log.exists() else ""

    def send(self, number: int) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    async def wait(self, patience: float = 20.0) -> int:
        """Its exit status, once it has ended."""
        assert self.process is not None
        return await asyncio.to_thread(self.process.wait, patience)

    async def stop(self, number: int = signal.SIGTERM) -> tuple[int, float]:
        """Tell it to stop; its exit status and the seconds it took."""
        started = perf_counter()
        self.send(number)
        status = await self.wait()
        return status, perf_counter() - started

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def kill_postgres(self) -> None:
        """kill -9 of the postmaster and of every session, at once."""
        for pid in processes.servers_of(self.cluster.data):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue

    async def clean_up(self) -> None:
        """Leave no process behind."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        self.thaw_postgres()
        self.kill_postgres()
        await asyncio.to_thread(processes.end, processes.servers_of(self.cluster.data), 5)

    def freeze_postgres(self) -> list[int]:
        """SIGSTOP to the postmaster and every session; who was stopped."""
        pids = processes.servers_of(self.cluster.data)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        return pids

    def thaw_postgres(self) -> None:
        """SIGCONT to all of them."""
        for pid in processes.servers_of(self.cluster.data):
            # A session may end while we read.
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
        """A connection to its database while PostgreSQL runs."""
        conn = await asyncpg.connect(self.settings.get("DATABASE_URL") or self.cluster.dsn())
        try:
            yield conn
        finally:
            await conn.close()


@asynccontextmanager
async def served(data_dir: Path, *, releases: int = RELEASES, **settings: str) -> AsyncIterator[Served]:
    """A server that is not started yet on a data directory with a catalogue; nothing of it is left at the end."""
    server = Served(data_dir, **settings)
    try:
        if releases:
            path = catalogue(data_dir.parent / "catalogue.jsonl", releases)
            done = await asyncio.to_thread(run, data_dir, "import", "native", str(path), **settings)  # type: ignore[arg-type]
            assert done.returncode == 0, done.stderr
        yield server
    finally:
        await server.clean_up()
