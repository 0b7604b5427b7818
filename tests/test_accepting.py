"""New connections of a busy server: several are accepted in one turn of its loop, and none once it has stopped."""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
import uvloop
from aiohttp import web

from server.commands.serve import ACCEPTED_AT_ONCE, _Server
from server.logs import LogWriter, Sink
from server.settings import load

CONNECTIONS = 80


async def accept_while_busy(data_dir: Path) -> int:
    """The turns of the loop that it takes to accept all connections, while each turn has something to do."""
    server = _Server(load({"PORT": "0", "DATA_DIR": str(data_dir)}), LogWriter(Sink(data_dir / "log")))
    runner = web.ServerRunner(web.Server(lambda _: web.Response()))  # type: ignore[arg-type, return-value]
    await runner.setup()
    sites = server._sites(runner)
    for site in sites:
        await site.start()
    assert len(sites) == ACCEPTED_AT_ONCE
    port = runner.addresses[0][1]
    turns = 0
    with ExitStack() as stack:
        for _ in range(CONNECTIONS):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        assert runner.server is not None
        while len(runner.server.connections) < CONNECTIONS and turns < CONNECTIONS * 2:
            time.sleep(0.001)  # noqa: ASYNC251 - it is busy
            turns += 1
            await asyncio.sleep(0)
    await runner.cleanup()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    return turns


def test_a_busy_loop_accepts_several_connections_in_one_turn(tmp_path: Path) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(accept_while_busy(tmp_path)) <= CONNECTIONS / 4
