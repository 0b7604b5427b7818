"""What a server does once after a catalogue came: waited for, so that nothing else is measured along with it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from server.database import connect
from server.postgres.cluster import DATABASE, Cluster
from tests.bench.processes import BenchError

PATIENCE = 240.0
# The worker of the recommendations has its next run before it.
LATER = "update recommending_state set started_at = now(), finished_at = now()"


async def rows(data_dir: Path, text: str, *arguments: Any) -> list[Any]:
    """Ask the database beside the server."""
    conn = await connect(Cluster(data_dir).dsn(DATABASE))
    try:
        found: list[Any] = await conn.fetch(text, *arguments)
        return found
    finally:
        await conn.close()


def settle(data_dir: Path) -> None:
    """Put the worker off, and wait until the words of the catalogue are counted."""
    asyncio.run(rows(data_dir, LATER))
    deadline = time.monotonic() + PATIENCE
    while not asyncio.run(rows(data_dir, "select from search_state where counted_at is not null")):
        if time.monotonic() > deadline:
            raise BenchError("the words of the catalogue are not counted")
        time.sleep(1)
