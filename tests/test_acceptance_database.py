"""PostgreSQL slow, away, back again, under load: nothing acknowledged is lost, and all recovers by itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, perf_counter
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import ClientSession, ClientTimeout, TCPConnector

from server.postgres.cluster import Cluster
from tests.chaos.clients import Clients
from tests.chaos.process import Served, catalogue, run, served
from tests.chaos.verdict import judge

SHORT, LONG = 5.0, 13.0
STALE_AFTER = 1
READS = ("/api/v1/releases/1", "/api/v1/releases", "/api/v1/genres", "/api/v1/releases/2/episodes")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Served]:
    """A server that runs, on the embedded PostgreSQL, its answers stale after a second."""
    names = ("CACHE_TTL_RELEASE", "CACHE_TTL_RELEASES", "CACHE_TTL_VOCABULARY", "CACHE_TTL_EPISODES")
    async with served(tmp_path / "var", **dict.fromkeys(names, str(STALE_AFTER))) as made:
        await made.start()
        yield made


@dataclass
class Answered:
    """An answer and how long it took."""

    status: int
    seconds: float
    headers: dict[str, str]
    body: bytes


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    async with ClientSession(connector=TCPConnector(limit=0), timeout=ClientTimeout(total=30)) as opened:
        yield opened


async def get(session: ClientSession, server: Served, path: str) -> Answered:
    started = perf_counter()
    async with session.get(f"{server.base}{path}") as answer:
        body = await answer.read()
        return Answered(answer.status, perf_counter() - started, dict(answer.headers), body)


async def post(session: ClientSession, server: Served, body: Any) -> Answered:
    started = perf_counter()
    async with session.post(f"{server.base}/api/v1/views", json=body) as answer:
        said = await answer.read()
        return Answered(answer.status, perf_counter() - started, dict(answer.headers), said)


def event(release: int = 1) -> dict[str, Any]:
    return {"event_id": str(uuid4()), "release_id": release, "duration_seconds": 60, "completion_percentage": 5}


async def until(ready: Callable[[], Any], patience: float) -> float:
    """Wait for `ready` to be true; the seconds that took."""
    started = monotonic()
    while not await ready():
        assert monotonic() - started < patience, f"not within {patience} s"
        await asyncio.sleep(0.05)
    return monotonic() - started


async def assert_nothing_is_lost(server: Served, clients: Clients) -> None:
    async with server.connection() as conn:
        verdict = await judge(conn, clients.books.acknowledged)
    assert verdict.sound, str(verdict)


# Away for a short while


@pytest.mark.slow
async def test_five_seconds_without_an_answer_are_waited_out(server: Served) -> None:
    clients = Clients(server.base)
    async with clients.at_work() as books:
        await asyncio.sleep(0.5)
        before = len(books.acknowledged)
        assert before > 0
        assert len(server.freeze_postgres()) > 3
        await asyncio.sleep(SHORT)
        server.thaw_postgres()
        await asyncio.sleep(1.0)
    assert books.statuses.keys() == {202}, books
    assert books.broken == 0
    assert SHORT - 0.5 < books.slowest < SHORT + 8
    assert len(books.acknowledged) > before
    await assert_nothing_is_lost(server, clients)
    assert (await server.stop())[0] == 0


@pytest.mark.slow
async def test_five_seconds_of_a_stopped_server_are_waited_out(tmp_path: Path) -> None:
    elsewhere = Cluster(tmp_path / "elsewhere")
    await elsewhere.start()
    try:
        async with served(tmp_path / "var", DATABASE_URL=elsewhere.dsn("postgres")) as server:
            await server.start()
            clients = Clients(server.base)
            async with clients.at_work() as books:
                await asyncio.sleep(0.5)
                await elsewhere.stop()
                await asyncio.sleep(SHORT)
                await elsewhere.start()
                await asyncio.sleep(1.0)
            assert books.statuses.keys() == {202}, books
            assert books.broken == 0
            assert SHORT - 0.5 < books.slowest < SHORT + 8
            await assert_nothing_is_lost(server, clients)
            assert (await server.stop())[0] == 0
            # It was not ours to stop.
            assert elsewhere.running()
    finally:
        await elsewhere.stop()


# Away for longer


async def refused_and_read(server: Served, session: ClientSession, warm: dict[str, bytes]) -> None:
    """While PostgreSQL is away: writes wait their ten seconds, reads go on, readiness is gone, life is not."""
    writing = [asyncio.create_task(post(session, server, event(number))) for number in range(1, 6)]
    ready = await get(session, server, "/ready")
    assert (ready.status, ready.seconds < 5, "Retry-After" in ready.headers) == (503, True, True)
    reads = await asyncio.gather(*(get(session, server, path) for path in READS))
    assert [(read.status, read.body == warm[path]) for path, read in zip(READS, reads, strict=True)] == [
        (200, True)
    ] * 4
    again = await asyncio.gather(*(get(session, server, path) for path in READS for _ in range(5)))
    live = await get(session, server, "/live")
    assert (live.status, live.seconds < 8) == (200, True)
    print("stale reads, first then again:", [round(read.seconds, 2) for read in (*reads, *again)])
    # A read that got a connection waits for as long as a statement may take, once; the others are told sooner.
    assert max(read.seconds for read in reads) < 13
    assert sorted(read.seconds for read in again)[10] < 6
    assert {read.status for read in again} == {200}
    for refused in await asyncio.gather(*writing):
        assert refused.status == 503, refused
        assert refused.seconds < 11
        assert int(refused.headers["Retry-After"]) >= 1
        assert json.loads(refused.body)["code"] in ("deadline_exceeded", "database_unavailable")


async def warmed(server: Served, session: ClientSession) -> dict[str, bytes]:
    warm = {path: (await get(session, server, path)).body for path in READS}
    await asyncio.sleep(STALE_AFTER + 0.2)
    return warm


async def recovered(server: Served, session: ClientSession) -> float:
    """Seconds until it is ready and takes views again."""

    async def serves() -> bool:
        return (await get(session, server, "/ready")).status == 200 and (
            await post(session, server, event())
        ).status == 202

    return await until(serves, 8)


@pytest.mark.slow
async def test_frozen_for_longer_writes_are_refused_and_reads_go_on(server: Served, session: ClientSession) -> None:
    warm = await warmed(server, session)
    clients = Clients(server.base)
    async with clients.at_work() as books:
        await asyncio.sleep(0.5)
        server.freeze_postgres()
        started = monotonic()
        await refused_and_read(server, session, warm)
        await asyncio.sleep(max(0.0, LONG - (monotonic() - started)))
        server.thaw_postgres()
        print("recovered after", await recovered(server, session))
        await asyncio.sleep(0.5)
    assert books.statuses[503] > 0
    assert not books.retry_after_missing
    await assert_all_acknowledged_is_there(server, clients)
    assert (await server.stop())[0] == 0


async def assert_all_acknowledged_is_there(server: Served, clients: Clients) -> None:
    """The test's own events came beside those of the clients."""
    async with server.connection() as conn:
        verdict = await judge(conn, clients.books.acknowledged)
    assert (verdict.lost, verdict.duplicates, verdict.wrong_rollups) == (0, 0, 0), str(verdict)
    assert verdict.rolled_up_hours == verdict.committed


@pytest.mark.slow
async def test_stopped_for_longer_writes_are_refused_and_reads_go_on(tmp_path: Path, session: ClientSession) -> None:
    elsewhere = Cluster(tmp_path / "elsewhere")
    await elsewhere.start()
    settings = dict.fromkeys(
        ("CACHE_TTL_RELEASE", "CACHE_TTL_RELEASES", "CACHE_TTL_VOCABULARY", "CACHE_TTL_EPISODES"), "1"
    )
    try:
        async with served(tmp_path / "var", DATABASE_URL=elsewhere.dsn("postgres"), **settings) as server:
            await server.start()
            warm = await warmed(server, session)
            await elsewhere.stop()
            await refused_and_read(server, session, warm)
            await elsewhere.start()
            print("recovered after", await recovered(server, session))
            assert (await server.stop())[0] == 0
    finally:
        await elsewhere.stop()


# Too much at once


def resident(server: Served) -> float:
    """Its memory in MiB."""
    pages = int(Path(f"/proc/{server.pid}/statm").read_text("ascii").split()[1])
    return pages * 4096 / 2**20


@pytest.mark.slow
async def test_a_full_mailbox_refuses_at_once_and_memory_stays_flat(server: Served, session: ClientSession) -> None:
    assert (await post(session, server, [event() for _ in range(500)])).status == 202
    empty = resident(server)
    server.freeze_postgres()
    first = [asyncio.create_task(post(session, server, [event() for _ in range(500)])) for _ in range(130)]
    done, _ = await asyncio.wait(first, timeout=4)
    refused = [task.result() for task in done]
    full = resident(server)
    assert len(refused) >= 15, "130 arrays are 65,000 events; 50,000 wait and at most 5,000 are in hand"
    highest = full
    for _ in range(10):
        refused += await asyncio.gather(*(post(session, server, [event() for _ in range(500)]) for _ in range(10)))
        highest = max(highest, resident(server))
    print(f"MiB: {empty:.0f} at rest, {full:.0f} full, {highest:.0f} at most while 100 more were refused")
    assert {answer.status for answer in refused} == {503}
    assert {json.loads(answer.body)["code"] for answer in refused} == {"mailbox_full"}
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)
    assert sorted(answer.seconds for answer in refused[-100:])[50] < 5
    assert full - empty < 80
    assert highest - full < 12
    server.thaw_postgres()
    parked = [answer for answer in await asyncio.gather(*first) if answer.status == 202]
    assert len(parked) >= 80
    async with server.connection() as conn:
        assert await conn.fetchval("select count(*) from view_metrics") >= 500 * (len(parked) + 1)
    assert (await server.stop())[0] == 0


# Changed by another process


async def test_an_import_beside_the_server_makes_its_cached_reads_fresh(tmp_path: Path, session: ClientSession) -> None:
    async with served(tmp_path / "var") as server:
        await server.start()
        for path in (*READS, *READS):
            assert (await get(session, server, path)).status == 200
        assert json.loads((await get(session, server, READS[0])).body)["title"] == "Title 1"
        path = catalogue(tmp_path / "renamed.jsonl", word="Renamed")
        done = await asyncio.to_thread(run, server.data_dir, "import", "native", str(path))
        assert done.returncode == 0, done.stderr

        async def fresh() -> bool:
            one = json.loads((await get(session, server, READS[0])).body)["title"]
            many = json.loads((await get(session, server, READS[1])).body)["results"]
            return one == "Renamed 1" and all(release["title"].startswith("Renamed") for release in many)

        assert await until(fresh, 5) < 1.0
        assert (await server.stop())[0] == 0
        assert not server.cluster.running()
