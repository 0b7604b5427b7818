"""Running the server inside a test: the real application on a real socket and a real database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, ClientTimeout, web

from actors import neighbours
from server.app import Outside, build
from server.commands.serve import Runner
from server.logs import LogWriter, RequestLog, Sink
from server.settings import load
from tests import patience

# No worker beside a test: those that are about it start one themselves.
neighbours.SETTLING = float("inf")
patience.be_patient()


@dataclass
class Running:
    """A server that listens. `fatal` collects what `on_fatal` was told; `lines` is its request log."""

    app: web.Application
    client: ClientSession
    port: int
    fatal: list[tuple[str, BaseException]]
    log: LogWriter

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"


@asynccontextmanager
async def running(dsn: str, data_dir: Path, **environment: str) -> AsyncIterator[Running]:
    """Start it on a free port with these settings; stop it at the end. RATE_LIMIT_MAX is off unless it is given."""
    given = {
        "DATABASE_URL": dsn,
        "DATA_DIR": str(data_dir),
        "RATE_LIMIT_MAX": "0",
        "TRENDING_INTERVAL": "3600",
        **environment,
    }
    settings = load(given)
    fatal: list[tuple[str, BaseException]] = []
    # Never started: its lines stay in `log.lines` for the test to read.
    writer = LogWriter(Sink(data_dir / "requests.log"))
    request_log = RequestLog(writer, enabled=True, console=False)
    app = build(settings, Outside(dsn, request_log, lambda name, error: fatal.append((name, error))))
    runner = Runner(app, access_log=None, shutdown_timeout=1, auto_decompress=False, lingering_time=2)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port: int = runner.addresses[0][1]
    session = ClientSession(base_url=f"http://127.0.0.1:{port}", timeout=ClientTimeout(total=30))
    try:
        yield Running(app, session, port, fatal, writer)
    finally:
        await session.close()
        await runner.cleanup()


def draft(title: str, **fields: Any) -> dict[str, Any]:
    """A release as written, for `import`."""
    return {"title": title, "type": "tv", "status": "finished", "year": 2020, **fields}
