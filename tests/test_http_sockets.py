"""Over raw sockets: clients that drip, requests that mean two things at once, headers without end, pipelines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from time import perf_counter

import pytest
import pytest_asyncio

from server.commands.serve import Runner
from server.http import parse
from server.keys import METRICS
from tests.conftest import Server
from tests.http_fixture import SHARED, check_problem, exchange, read_answer, shared_site
from tests.running import Running

pytestmark = SHARED
BODY = b'{"release_id":3,"duration_seconds":1,"completion_percentage":1}'
POST = b"POST /api/v1/views HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """The server of this module."""
    async with shared_site(server, tmp_path_factory.mktemp("site")) as started:
        yield started


@pytest.mark.parametrize("head", [POST + b"Content-Length: 1000\r\n\r\n", POST + b"Transfer-Encoding: chunked\r\n\r\n"])
async def test_a_body_that_drips_is_cut_off(site: Running, monkeypatch: pytest.MonkeyPatch, head: bytes) -> None:
    monkeypatch.setattr(parse, "BODY_PATIENCE", 0.3)
    monkeypatch.setattr(parse, "SLOWEST_BODY", 10**9)
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    started = perf_counter()
    writer.write(head)
    answer = asyncio.create_task(read_answer(reader))
    while not answer.done() and perf_counter() - started < 5:
        writer.write(b"1\r\n \r\n" if b"chunked" in head else b" ")
        await asyncio.sleep(0.02)
    found = await answer
    assert found.status == 408
    check_problem(408, found.headers, found.body)
    assert perf_counter() - started < 5
    # And then the connection goes, since nobody knows where the next request would begin.
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()


async def test_headers_that_drip_are_cut_off(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.running.Runner", partial(Runner, keepalive_timeout=0.5))
    async with shared_site(server, tmp_path) as site:
        # The clock runs from the first request of a connection on, and from its opening.
        for first in (b"", b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
            writer.write(first + b"GET /live HTTP/1.1\r\n")
            closed = asyncio.create_task(reader.read())
            started = perf_counter()
            while not closed.done() and perf_counter() - started < 5:
                writer.write(b"X-A: b\r\n")
                await asyncio.sleep(0.05)
            writer.close()
            assert closed.done()
            assert perf_counter() - started < 5


PROBES = {
    "both lengths": POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 63\r\nContent-Length: 64\r\n\r\n" + BODY,
    "a bare line feed": b"GET /live HTTP/1.1\nHost: x\n\n",
    "a folded header": b"GET /live HTTP/1.1\r\nHost: x\r\nX-A: b\r\n c\r\n\r\n",
    "two hosts": b"GET /live HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "a coding nearly chunked": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "no host": b"GET /live HTTP/1.1\r\n\r\n",
    "a length below nothing": POST + b"Content-Length: -1\r\n\r\n",
    "a length with a plus": POST + b"Content-Length: +63\r\n\r\n" + BODY,
    "a space before the colon": b"GET /live HTTP/1.1\r\nHost : x\r\n\r\n",
    "a NUL in a header": b"GET /live HTTP/1.1\r\nHost: x\r\nX-A: \x00\r\n\r\n",
    "no HTTP at all": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "a line without end": b"GET /live?" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "a header without end": b"GET /live HTTP/1.1\r\nHost: x\r\nX-A: " + b"x" * 20_000 + b"\r\n\r\n",
    "raw bytes in the path": b"GET /api/v1/releases/\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("probe", PROBES.values(), ids=PROBES)
async def test_a_request_that_could_be_read_in_two_ways_is_400_and_ends_the_connection(
    site: Running, probe: bytes
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(probe + b"GET /live HTTP/1.1\r\nHost: smuggled\r\n\r\n")
    async with asyncio.timeout(5):
        # Exactly one answer: what stands behind the malformed request is never looked at.
        found = await reader.read()
    writer.close()
    assert found.startswith((b"HTTP/1.0 400 ", b"HTTP/1.1 400 "))
    assert found.count(b"HTTP/1.") == 1
    assert b"alive" not in found


async def test_what_is_not_http_is_answered_as_a_problem_counted_and_never_echoed(site: Running) -> None:
    before = site.app[METRICS].parse_errors
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(b"GET /secret-in-the-line HTTP/1.1 HTTP/1.1\r\nHost: x\r\n\r\n")
    found = await read_answer(reader)
    writer.close()
    assert found.status == 400
    check_problem(400, found.headers, found.body)
    assert b"secret" not in found.body
    assert "aiohttp" not in found.headers["Server"]
    assert site.app[METRICS].parse_errors == before + 1


async def test_pipelined_requests_are_answered_in_their_order(site: Running) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    paths = [
        "/api/v1/analytics/top",
        "/live",
        "/nope",
        "/api/v1/releases?limit=30",
        "/health",
        "/api/v1/genres",
        "/live",
    ] * 5
    for number, path in enumerate(paths):
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nX-Request-ID: number-{number}\r\n\r\n".encode())
    for number, path in enumerate(paths):
        answer = await asyncio.wait_for(read_answer(reader), 5)
        assert answer.headers["X-Request-ID"] == f"number-{number}"
        assert answer.status == (404 if path == "/nope" else 200)
    writer.close()


async def test_a_connection_survives_refusals(site: Running) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    length = b"Content-Length: %d\r\n\r\n"
    for request, status in (
        (b"GET /nope HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"DELETE /live HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (POST + length % 2 + b"{}", 422),
        (POST + length % 1 + b"{", 400),
        (POST.replace(b"application/json", b"text/plain") + length % len(BODY) + BODY, 415),
        (b"POST /nope HTTP/1.1\r\nHost: x\r\n" + length % len(BODY) + BODY, 404),
        (b"GET /live HTTP/1.1\r\nHost: x\r\n" + length % len(BODY) + BODY, 200),
        (POST + length % len(BODY) + BODY, 202),
    ):
        writer.write(request)
        answer = await asyncio.wait_for(read_answer(reader), 5)
        assert answer.status == status, request
        if status >= 400:
            check_problem(status, answer.headers, answer.body)
    writer.close()


async def test_the_server_lives_on_after_clients_that_hang_up_in_the_middle(site: Running) -> None:
    for cut in (b"G", b"GET /live HTTP/1.1\r\nHos", POST + b"Content-Length: 63\r\n\r\n" + BODY[:20]):
        for _ in range(10):
            _, writer = await asyncio.open_connection("127.0.0.1", site.port)
            writer.write(cut)
            await writer.drain()
            writer.transport.abort()
    answer = await exchange(site.port, b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.status == 200


async def test_old_clients_are_answered_and_left(site: Running) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(b"GET /live HTTP/1.0\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(5):
        assert b" 200 OK" in (await reader.read())[:20]
    writer.close()
