"""The server as a process: what it prints, how it starts, how it stops, what it tells systemd, what it refuses."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from time import perf_counter
from uuid import UUID

import asyncpg
import pytest
from aiohttp import ClientSession

from server.database import reach
from server.errors import ClusterError
from server.postgres.cluster import Cluster
from tests.chaos.clients import Clients
from tests.chaos.process import Served, command, environment, free_port, run, served

HEAD = b"POST /api/v1/views HTTP/1.1\r\nHost: yojohan\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Served]:
    """Not started yet, on a data directory with a catalogue."""
    async with served(tmp_path / "var") as made:
        yield made


@pytest.fixture
async def elsewhere(tmp_path: Path) -> AsyncIterator[Cluster]:
    """A cluster of the operator's own, for DATABASE_URL; it runs."""
    cluster = Cluster(tmp_path / "elsewhere")
    await cluster.start()
    yield cluster
    await cluster.stop()


async def stored_events(server: Served) -> set[UUID]:
    """The events in the tables of a server that has ended."""
    await server.cluster.start()
    try:
        async with server.connection() as conn:
            return {row[0] for row in await conn.fetch("select event_id from view_metrics")}
    finally:
        await server.cluster.stop()


@contextlib.contextmanager
def connected(server: Served, *sent: bytes) -> Iterator[socket.socket]:
    """A raw connection that has sent this much."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as opened:
        for piece in sent:
            opened.sendall(piece)
        yield opened


async def drip(opened: socket.socket) -> None:
    """A body that comes byte by byte, for as long as the other side reads."""
    with contextlib.suppress(OSError):
        while True:
            opened.sendall(b" ")
            await asyncio.sleep(0.1)


async def line(server: Served, text: str, patience: float = 10) -> None:
    """Wait until it has printed this."""
    deadline = time.monotonic() + patience
    while text not in server.last_lines():
        assert time.monotonic() < deadline, server.last_lines()
        await asyncio.sleep(0.05)


# Starting and stopping


async def test_it_prints_where_it_serves(server: Served) -> None:
    await server.start()
    printed = server.last_lines()
    for path in ("/api/v1", "/docs", "/console", "/metrics"):
        assert f"{server.base}{path}\n" in printed
        async with ClientSession() as session, session.get(f"{server.base}{path}") as answer:
            assert answer.status == (404 if path == "/api/v1" else 200)
    assert (await server.stop())[0] == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_told_to_stop_under_load_it_ends_in_time_and_keeps_what_it_acknowledged(
    server: Served, number: signal.Signals
) -> None:
    await server.start()
    clients = Clients(server.base, writers=12, readers=4, persistent=False)
    with connected(server) as idle, connected(server, HEAD[:60]), connected(server, HEAD, b"[") as slow:
        idle.sendall(b"GET /live HTTP/1.1\r\nHost: yojohan\r\n\r\n")
        assert b"200 OK" in idle.recv(4096)
        dripping = asyncio.create_task(drip(slow))
        async with clients.at_work() as books:
            await asyncio.sleep(1.0)
            status, seconds = await server.stop(number)
            clients.stopping = True
        dripping.cancel()
    assert (status, seconds < 10) == (0, True), (status, seconds, server.last_lines())
    assert not server.cluster.running()
    assert len(books.acknowledged) > 100
    assert books.statuses.keys() <= {202, 503}
    assert not books.retry_after_missing
    assert not books.acknowledged - await stored_events(server)


async def test_told_to_stop_while_it_starts_it_ends_at_once_and_leaves_no_postgresql(server: Served) -> None:
    for delay in (0.25, 0.4, 0.55):
        server.spawn()
        await asyncio.sleep(delay)
        status, seconds = await server.stop()
        # Before the handlers are set, the signal's own effect is the right one.
        assert status in (0, -signal.SIGTERM)
        assert seconds < 8
        assert not server.cluster.running(), delay


async def test_a_second_start_on_the_same_port_is_refused_in_words(server: Served, tmp_path: Path) -> None:
    await server.start()
    done = await asyncio.to_thread(run, server.data_dir, "serve", PORT=str(server.port))
    assert done.returncode == 1
    assert "cannot listen on 127.0.0.1" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    # It shared PostgreSQL with the first, which must still have it.
    async with ClientSession() as session, session.get(f"{server.base}/ready") as answer:
        assert answer.status == 200
    assert (await server.stop())[0] == 0


async def test_processes_that_start_at_once_on_a_new_data_directory_share_the_making_of_it(tmp_path: Path) -> None:
    done = await asyncio.gather(*(asyncio.to_thread(run, tmp_path / "var", "migrate") for _ in range(4)))
    assert [one.returncode for one in done] == [0] * 4, [one.stderr for one in done]
    assert sorted("nothing to apply" in one.stdout for one in done) == [False, True, True, True]
    assert not Cluster(tmp_path / "var").running()


# systemd


async def test_systemd_hears_of_the_start_of_life_and_of_the_stop(server: Served, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        server.settings |= {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "600000"}
        await server.start()
        await asyncio.sleep(1.0)
        status, _ = await server.stop()
        heard = received(manager)
    assert status == 0
    ready, stopping = heard.index("READY=1"), heard.index("STOPPING=1")
    assert heard[ready + 1] == f"STATUS=serving on {server.base}"
    assert heard[ready:stopping].count("WATCHDOG=1") >= 3
    assert "WATCHDOG=1" not in heard[stopping:]
    assert any(said.startswith("EXTEND_TIMEOUT_USEC=") for said in heard[:ready])


def received(manager: socket.socket) -> list[str]:
    """All datagrams that wait."""
    heard = []
    with contextlib.suppress(BlockingIOError):
        while True:
            heard.append(manager.recv(4096).decode())
    return heard


async def test_a_socket_of_systemd_is_served_and_keeps_who_came_before_the_start(server: Served) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server.port = listening.getsockname()[1]
        with connected(server, b"GET /live HTTP/1.1\r\nHost: yojohan\r\nConnection: close\r\n\r\n") as early:
            activate(server, listening.fileno())
            assert b"200 OK" in await asyncio.to_thread(early.recv, 4096)
        await server.until_ready()
        assert f"http://127.0.0.1:{server.port}/docs" in server.last_lines()
        assert (await server.stop())[0] == 0


def activate(server: Served, number: int) -> None:
    """Start it as systemd does: the socket is descriptor 3, and the process finds its own number in LISTEN_PID."""
    hand_over = (
        f"import os, sys; os.dup2({number}, 3); os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()));"
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    given = environment(server.data_dir, PORT="1")
    with server.log.open("ab") as log:
        server.process = subprocess.Popen(
            [sys.executable, "-c", hand_over, *command("serve")], env=given, cwd=server.data_dir.parent,
            stdout=log, stderr=log, pass_fds=(number,),
        )  # fmt: skip


# What it refuses


def test_wrong_settings_stop_the_start_with_every_fault(tmp_path: Path) -> None:
    wrong = {"PORT": "eighty", "RATE_LIMIT_MAX": "-1", "DATABASE_ULR": "x", "REDIS_URL": "http://user:hunter2@x"}
    done = run(tmp_path / "var", "serve", **wrong)
    assert done.returncode == 2
    assert all(f"{name}: " in done.stderr for name in wrong)
    assert "did you mean DATABASE_URL?" in done.stderr
    assert "hunter2" not in done.stderr + done.stdout
    assert not (tmp_path / "var").exists()


async def test_a_database_newer_than_the_code_is_refused(elsewhere: Cluster, tmp_path: Path) -> None:
    url = elsewhere.dsn("postgres")
    assert (await asyncio.to_thread(run, tmp_path / "var", "migrate", DATABASE_URL=url)).returncode == 0
    conn = await asyncpg.connect(url)
    await conn.execute("insert into schema_migrations values (9999, '9999_tomorrow.sql', 'x')")
    await conn.close()
    for word in ("serve", "migrate"):
        done = await asyncio.to_thread(run, tmp_path / "var", word, DATABASE_URL=url, PORT=str(free_port()))
        assert done.returncode == 1
        assert "the database is newer than this code: it knows migration 9999_tomorrow.sql" in done.stderr
        assert "Traceback" not in done.stderr + done.stdout


async def test_a_database_that_turns_us_away_ends_the_start_at_once_and_in_words(
    elsewhere: Cluster, tmp_path: Path
) -> None:
    started = perf_counter()
    done = await asyncio.to_thread(run, tmp_path / "var", "serve", DATABASE_URL=elsewhere.dsn("nowhere"))
    assert done.returncode == 1
    assert 'the database turns us away: database "nowhere" does not exist' in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert perf_counter() - started < 5


# An absent database


async def test_a_database_that_comes_late_is_waited_for(elsewhere: Cluster, tmp_path: Path) -> None:
    await elsewhere.stop()
    async with served(tmp_path / "var", releases=0, DATABASE_URL=elsewhere.dsn("postgres")) as server:
        server.spawn()
        await line(server, "waiting for the database")
        await elsewhere.start()
        await server.until_ready(10)
        assert "Traceback" not in server.last_lines()
        assert (await server.stop())[0] == 0


async def test_told_to_stop_while_it_waits_for_the_database_it_ends_at_once(tmp_path: Path) -> None:
    url = f"postgresql://somebody:hunter2@127.0.0.1:{free_port()}/somewhere"
    async with served(tmp_path / "var", releases=0, DATABASE_URL=url) as server:
        server.spawn()
        await line(server, "waiting for the database")
        status, seconds = await server.stop()
        assert status == 0
        assert seconds < 8
        waiting = [json.loads(text) for text in server.last_lines().splitlines() if "waiting" in text]
        assert "refused" in waiting[0]["reason"]
        assert not re.search("hunter2|Traceback", server.last_lines())


async def test_patience_with_an_absent_database_ends_in_words() -> None:
    told: list[str] = []
    started = perf_counter()
    with pytest.raises(ClusterError, match=r"the database cannot be reached: .*Connect call failed"):
        await reach(f"postgresql://somebody@127.0.0.1:{free_port()}/somewhere", 1.0, told.append)
    assert 0.9 < perf_counter() - started < 8
    assert len(told) >= 3


def test_a_command_does_not_wait_for_an_absent_database(tmp_path: Path) -> None:
    url = f"postgresql://somebody@127.0.0.1:{free_port()}/somewhere"
    done = run(tmp_path / "var", "migrate", DATABASE_URL=url, timeout=10)
    assert done.returncode == 1
    assert "the database cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
