"""Connections that are slow, many, or greedy on purpose: all end in time, and none holds more than its share."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from server.http import parse
from server.http.connections import Bounds, Connections
from server.http.protocol import MOST_PIPELINED, Protocol
from server.keys import CONNECTIONS, METRICS
from tests.conftest import Server
from tests.http_fixture import SHARED, check_problem, exchange, read_answer, shared_site
from tests.running import Running

pytestmark = SHARED
LIVE = b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n"
# The document of the interface: the largest answer there is without any data.
LARGE = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
FAST = Bounds(sweep=0.02, head_patience=0.2, read_patience=0.2)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """The server of this module."""
    async with shared_site(server, tmp_path_factory.mktemp("site")) as started:
        # The first look comes after the sweep of the bounds it was made with.
        started.app[CONNECTIONS].bounds = FAST
        yield started


@pytest.fixture
def held(site: Running) -> Iterator[Connections]:
    """Its connections, with bounds that a test may change."""
    found = site.app[CONNECTIONS]
    found.refused.clear()
    yield found
    found.bounds = FAST


async def until(true: Callable[[], Any], patience: float = 5.0) -> None:
    async with asyncio.timeout(patience):
        while not true():  # noqa: ASYNC110 - what is waited for happens in the server
            await asyncio.sleep(0.01)


async def test_a_head_that_drips_is_answered_408_and_closed(site: Running, held: Connections) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(LIVE)
    assert (await read_answer(reader)).status == 200
    writer.write(b"GET /live HTTP/1.1\r\nX-A: ")
    answer = asyncio.create_task(read_answer(reader))
    async with asyncio.timeout(5):
        while not answer.done():
            writer.write(b"b")
            await asyncio.sleep(0.02)
    found = await answer
    assert found.status == 408
    check_problem(408, found.headers, found.body)
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()
    assert held.refused["slow_head"] == 1


@pytest.mark.parametrize("separately", [True, False])
async def test_a_flood_of_headers_ends_the_connection(site: Running, held: Connections, separately: bool) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(b"GET /live HTTP/1.1\r\nHost: x\r\n")
    header = b"X-A: " + b"x" * 4000 + b"\r\n"
    if separately:
        answer = asyncio.create_task(read_answer(reader))
        async with asyncio.timeout(5):
            while not answer.done():
                writer.write(header)
                await asyncio.sleep(0.001)
        found = await answer
        assert found.status == 431
        check_problem(431, found.headers, found.body)
        assert held.refused["large_head"] == 1
    else:
        # Small ones, all at once: the parser counts them.
        writer.write(b"X-A: b\r\n" * 10_000 + b"\r\n")
        assert (await asyncio.wait_for(read_answer(reader), 5)).status == 400
    writer.close()


async def test_a_large_body_is_not_taken_for_a_head(site: Running, held: Connections) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    body = b'{"x": "' + b"y" * 300_000 + b'"}'
    writer.write(b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n")
    writer.write(b"Content-Length: %d\r\n\r\n" % len(body))
    for start in range(0, len(body), 20_000):
        writer.write(body[start : start + 20_000])
        await asyncio.sleep(0.001)
    assert (await asyncio.wait_for(read_answer(reader), 5)).status == 422
    writer.write(LIVE)
    assert (await asyncio.wait_for(read_answer(reader), 5)).status == 200
    writer.close()
    assert not held.refused


def protocols(held: Connections) -> list[Protocol]:
    found: Any = held.states.__self__  # type: ignore[attr-defined]
    return [one for one in found.connections if isinstance(one, Protocol)]


async def test_who_pipelines_and_does_not_read_holds_little_and_is_cut_off(site: Running, held: Connections) -> None:
    held.bounds = replace(FAST, read_patience=0.6)
    await until(lambda: held.open == 0)
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, ("127.0.0.1", site.port))
    flood = asyncio.create_task(loop.sock_sendall(sock, LARGE * 100_000))
    await until(lambda: protocols(held) and protocols(held)[0].state == "stuck")
    found = protocols(held)[0]
    assert len(found._messages) <= MOST_PIPELINED
    assert found.transport is not None
    # One answer beyond the mark at which the writer waits.
    assert found.transport.get_write_buffer_size() < 2 * 2**20
    # What the kernel takes for a client that does not read, and not a hundred thousand answers.
    assert found._request_count < 1_000
    await until(lambda: held.refused["slow_reader"] == 1)
    await until(lambda: held.open == 0)
    flood.cancel()
    sock.close()


async def test_beyond_the_most_connections_new_ones_are_told_and_closed(site: Running, held: Connections) -> None:
    await site.client.close()
    await until(lambda: held.open == 0)
    held.bounds = replace(FAST, most=2, kept_for_loopback=0)
    kept = [await asyncio.open_connection("127.0.0.1", site.port) for _ in range(2)]
    await until(lambda: held.open == 2)
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    found = await asyncio.wait_for(read_answer(reader), 5)
    assert found.status == 503
    check_problem(503, found.headers, found.body)
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()
    assert (held.refused["full"], held.open) == (1, 2)
    kept[0][1].write(LIVE)
    assert (await read_answer(kept[0][0])).status == 200
    for _, one in kept:
        one.close()
    await until(lambda: held.open == 0)
    assert (await exchange(site.port, LIVE)).status == 200


async def test_one_address_has_its_share(site: Running, held: Connections) -> None:
    await until(lambda: held.open == 0)
    held.bounds = replace(FAST, of_address=1, counts_loopback=True)
    _, kept = await asyncio.open_connection("127.0.0.1", site.port)
    await until(lambda: held.open == 1)
    found = await exchange(site.port, b"")
    assert found.status == 429
    check_problem(429, found.headers, found.body)
    kept.close()
    await until(lambda: held.open == 0)
    assert (await exchange(site.port, LIVE)).status == 200
    assert held.refused["address"] == 1


async def test_metrics_count_connections_by_state(site: Running, held: Connections) -> None:
    reader, idle = await asyncio.open_connection("127.0.0.1", site.port)
    idle.write(LIVE)
    await read_answer(reader)
    _, head = await asyncio.open_connection("127.0.0.1", site.port)
    head.write(b"GET ")
    await until(lambda: held.states() == {"idle": 1, "head": 1})
    site.app[METRICS]._scraped_at = float("-inf")
    text = site.app[METRICS].exposition().decode()
    assert 'yojohan_http_connections{state="idle"} 1.0' in text
    assert 'yojohan_http_connections_refused_total{reason="slow_reader"}' in text
    for one in (idle, head):
        one.close()


async def test_a_body_that_drips_is_cut_off_whatever_it_announced(
    site: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parse, "BODY_PATIENCE", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n")
    writer.write(b"Content-Length: 1000000\r\n\r\n")
    answer = asyncio.create_task(read_answer(reader))
    async with asyncio.timeout(5):
        while not answer.done():
            writer.write(b" ")
            await asyncio.sleep(0.01)
    assert (await answer).status == 408
    writer.close()
