"""Ratings are written beside whatever editors do: neither waits for the other in a ring."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from server.cms.applying import Application
from server.database import connect
from sql import release_counts
from tests.elastic_server import until
from tests.words import edit, made, new


@pytest.fixture
async def other(dsn: str) -> AsyncIterator[Any]:
    """A second connection."""
    connection = await connect(dsn)
    yield connection
    await connection.close()


async def test_a_batch_of_edits_and_new_ratings_do_not_wait_in_a_ring(
    conn: Any, other: Any, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    low, high = [await new(conn, "release", title=title) for title in ("Low", "High")]
    observer, make, tasks = await connect(dsn), Application.make, list[asyncio.Task[None]]()
    process = await other.fetchval("select pg_backend_pid()")

    async def rate() -> None:
        async with other.transaction():
            await release_counts.apply(other, [(low, 0, 1, 8), (high, 0, 1, 8)])

    async def waiting() -> bool:
        return bool(await observer.fetchval("select cardinality(pg_blocking_pids($1))", process))

    async def make_slowly(self: Application, writer: Any, group: Any) -> None:
        await make(self, writer, group)
        if not tasks:
            # The first group is written; whoever writes ratings comes to its release now.
            tasks.append(asyncio.create_task(rate()))
            await until(waiting)

    monkeypatch.setattr(Application, "make", make_slowly)
    try:
        await made(conn, edit("release", "update", high, title="Higher"), edit("release", "delete", low))
        await tasks[0]
    finally:
        await observer.close()
    rows = await conn.fetch("select rating from search_documents order by release_id")
    assert [row["rating"] for row in rows] == [8, 8]
