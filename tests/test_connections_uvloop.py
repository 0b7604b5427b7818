"""Connections on the event loop that serves in earnest: its transports are other classes, and it does not send files
by itself."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from types import SimpleNamespace
from typing import Any, cast

import pytest
import uvloop
from aiohttp import web

from server.http.connections import ADDRESS, FULL, SLOW_READER, Bounds, Connections, set_up
from server.http.edge import Edge
from server.http.protocol import Server
from tests.http_fixture import check_problem, exchange, read_answer

LIVE = b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n"
FULL_AT_ONE = Bounds(most=1, kept_for_loopback=0)
CHUNK = b"x" * 65_536


class Passage:
    """An edge that lets everything through."""

    gate = SimpleNamespace(full=False)

    def front(self, handler: Any) -> Any:
        return handler


@dataclass(frozen=True)
class Site:
    """A server that has little to say."""

    port: int
    connections: Connections

    async def until(self, true: Callable[[Connections], Any], patience: float = 5.0) -> None:
        async with asyncio.timeout(patience):
            while not true(self.connections):  # noqa: ASYNC110 - what is waited for happens in the server
                await asyncio.sleep(0.01)


async def live(_: web.Request) -> web.Response:
    return web.Response(body=b"{}")


async def endless(request: web.Request) -> web.StreamResponse:
    """As a file is sent where the loop does not do it: a piece, and the next once there is room for it."""
    answer = web.StreamResponse()
    await answer.prepare(request)
    while True:
        await answer.write(CHUNK)


@asynccontextmanager
async def serving(bounds: Bounds) -> AsyncIterator[Site]:
    connections = Connections(bounds)

    class Runner(web.AppRunner):
        async def _make_server(self) -> web.Server:
            return Server(await super()._make_server(), cast("Edge", Passage()), connections)

    app = web.Application()
    app.router.add_get("/live", live)
    app.router.add_get("/endless", endless)
    runner = Runner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    listening = socket.socket()
    set_up(listening)
    listening.bind(("127.0.0.1", 0))
    try:
        await web.SockSite(runner, listening).start()
        yield Site(listening.getsockname()[1], connections)
    finally:
        await runner.cleanup()


def on_uvloop(test: Callable[[], Any]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(test())


@pytest.mark.parametrize(
    ("bounds", "status", "reason"),
    [
        (FULL_AT_ONE, 503, FULL),
        (Bounds(of_address=1, counts_loopback=True), 429, ADDRESS),
    ],
)
def test_who_is_turned_away_is_told_why_and_nothing_is_logged(
    bounds: Bounds, status: int, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with serving(bounds) as site, AsyncExitStack() as stack:
            _, kept = await asyncio.open_connection("127.0.0.1", site.port)
            stack.callback(kept.close)
            await site.until(lambda held: held.open == 1)
            reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
            # Or the loop would wait for it at the end.
            stack.callback(writer.close)
            found = await asyncio.wait_for(read_answer(reader), 5)
            assert found.status == status
            check_problem(status, found.headers, found.body)
            assert await asyncio.wait_for(reader.read(), 5) == b""
            assert (site.connections.refused[reason], site.connections.open) == (1, 1)
            kept.close()
            await site.until(lambda held: held.open == 0)
            assert (await exchange(site.port, LIVE)).status == 200

    with caplog.at_level(logging.WARNING):
        on_uvloop(test)
    assert caplog.records == []


@pytest.mark.parametrize("loop", [uvloop.new_event_loop, asyncio.new_event_loop])
def test_a_full_server_keeps_a_few_places_for_its_own_machine(loop: Callable[[], Any]) -> None:
    async def test() -> None:
        async with serving(Bounds(most=2, kept_for_loopback=2)) as site, AsyncExitStack() as stack:
            for number in range(4):
                reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
                stack.callback(writer.close)
                for _ in range(2):
                    writer.write(LIVE)
                    assert (await asyncio.wait_for(read_answer(reader), 5)).status == 200
                assert site.connections.open == number + 1
                # For everybody else it is full as before.
                assert site.connections.full_for("192.0.2.1") == (number >= 1)
            assert (await exchange(site.port, b"")).status == 503
            assert site.connections.open == 4

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(test())


def test_who_reads_slowly_is_served_and_who_stops_is_cut_off() -> None:
    async def test() -> None:
        bounds = Bounds(sweep=0.02, read_patience=0.5, slowest_reader=16_384)
        async with serving(bounds) as site, AsyncExitStack() as stack:
            loop, client = asyncio.get_running_loop(), stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
            client.setblocking(False)
            await loop.sock_connect(client, ("127.0.0.1", site.port))
            await loop.sock_sendall(client, b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
            # Several times the bound, for several times the patience.
            started, taken = monotonic(), 0
            while (passed := monotonic() - started) < 2.5:
                while taken < passed * 80_000:
                    got = len(await loop.sock_recv(client, 4096))
                    assert got, f"cut off after {passed} s and {taken} bytes"
                    taken += got
                await asyncio.sleep(0.02)
            assert not site.connections.refused
            await site.until(lambda held: held.refused[SLOW_READER] == 1 and held.open == 0)

    on_uvloop(test)
