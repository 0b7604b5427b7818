"""Connections kept at hand between uses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from server import leases
from server.database import Database
from server.errors import DeadlineExceeded, NotFound


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    made = Database(dsn, size=2)
    await made.open()
    yield made
    await made.close()


async def backend(database: Database) -> int:
    async with database.connection() as conn:
        return int(await conn.fetchval("select pg_backend_pid()"))


async def test_a_connection_that_comes_back_sound_serves_the_next_use(database: Database) -> None:
    assert len({await backend(database) for _ in range(20)}) == 1


async def test_never_more_connections_than_the_limit_and_everyone_gets_a_turn(database: Database) -> None:
    peak = 0

    async def use() -> int:
        nonlocal peak
        async with database.connection(timeout=5) as conn:
            peak = max(peak, database.in_use)
            return int(await conn.fetchval("select pg_backend_pid() from pg_sleep(0.005)"))

    pids = await asyncio.gather(*(use() for _ in range(60)))
    assert len(set(pids)) == 2
    assert peak == 2
    assert (database.in_use, database.waiting) == (0, 0)


async def test_who_waits_too_long_is_told_so_and_takes_nothing_from_the_others(database: Database) -> None:
    async with database.connection(), database.connection():
        with pytest.raises(DeadlineExceeded):
            async with database.connection(timeout=0.05):
                pass
    assert await backend(database)
    assert (database.in_use, database.waiting) == (0, 0)


async def test_a_waiter_that_is_cancelled_in_the_moment_of_the_handover_passes_the_connection_on(
    database: Database,
) -> None:
    for _ in range(50):
        async with database.connection():
            first = database.connection()
            await first.__aenter__()
            waiting = asyncio.create_task(backend(database))
            await asyncio.sleep(0)
            await first.__aexit__(None, None, None)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            assert await asyncio.wait_for(backend(database), 1)


async def test_a_connection_the_server_closed_is_replaced(database: Database) -> None:
    first = await backend(database)
    async with database.connection() as one, database.connection() as other:
        await other.execute("select pg_terminate_backend($1)", await one.fetchval("select pg_backend_pid()"))
    await asyncio.sleep(0.05)
    assert await backend(database)
    assert first


async def test_a_statement_that_was_given_up_does_not_meet_the_next_use(database: Database) -> None:
    async def slow() -> None:
        async with database.connection() as conn:
            await conn.execute("select pg_sleep(30)")

    for _ in range(5):
        task = asyncio.create_task(slow())
        await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert await backend(database)


async def test_an_error_of_the_client_keeps_the_connection(database: Database) -> None:
    before = await backend(database)
    with pytest.raises(NotFound):
        async with database.connection():
            raise NotFound
    assert await backend(database) == before


async def test_what_was_not_used_for_long_goes_back_to_the_pool(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "LEASE", 0.05)
    database = Database(dsn, size=2)
    await database.open()
    assert await backend(database)
    await asyncio.sleep(0.3)
    assert database._leases is not None
    assert database._leases._free == []
    assert database.idle == 1
    assert await backend(database)
    await database.close()
