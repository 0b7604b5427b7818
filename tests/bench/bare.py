"""The limits the server is held against, as processes of their own: `python -m tests.bench.bare KIND …`.

`get` answers the bytes of a file, `parse` parses the posted JSON and answers 202, `insert` parses it, commits it as one
row over a pool of as many connections as the server has, and answers 201; `fetch` reads one row by its primary
key over one held connection and prints reads per second.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import orjson
import uvloop
from aiohttp import web
from multidict import CIMultiDict

from server.database import POOL_MAX

ACCEPTED = b'{"accepted":1,"duplicates":0,"rejected":[]}'
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def answering(body: bytes, content_type: str) -> Handler:
    """Return a handler that answers `body` and does nothing else."""
    headers = CIMultiDict({"Content-Type": content_type})

    async def handler(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, headers=headers)

    return handler


def parsing() -> Handler:
    """Return a handler that parses the JSON of a request and answers 202 with a small body."""
    headers = CIMultiDict({"Content-Type": "application/json"})

    async def handler(request: web.Request) -> web.StreamResponse:
        orjson.loads(await request.read())
        return web.Response(status=202, body=ACCEPTED, headers=headers)

    return handler


async def keep_session(_: object) -> None:
    """The pool need not reset what nobody changes."""


async def insert(path: str, dsn: str, port: int) -> None:
    """Serve a route that commits what is posted, one row a request."""
    pool = await asyncpg.create_pool(dsn, min_size=1, max_size=POOL_MAX, reset=keep_session)
    await pool.execute("create table if not exists bare_rows (id bigint generated always as identity, said text)")
    headers = CIMultiDict({"Content-Type": "application/json"})

    async def handler(request: web.Request) -> web.StreamResponse:
        said = orjson.loads(await request.read())["text"]
        async with pool.acquire() as connection:
            row = await connection.fetchval("insert into bare_rows (said) values ($1) returning id", said)
        return web.Response(status=201, body=b'{"id":%d}' % row, headers=headers)

    await serve("POST", path, handler, port)
    await pool.close()


async def serve(method: str, path: str, handler: Handler, port: int) -> None:
    """Serve one route on the loopback interface until SIGTERM."""
    application = web.Application(client_max_size=8 << 20)
    application.router.add_route(method, path, handler)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()
    await runner.cleanup()


async def fetch(dsn: str, release_id: int, seconds: float) -> float:
    """Return how many primary-key reads of one row a held connection makes per second."""
    connection = await asyncpg.connect(dsn)
    try:
        reads, started = 0, time.perf_counter()
        while time.perf_counter() - started < seconds:
            await connection.fetchval("SELECT title FROM releases WHERE id = $1", release_id)
            reads += 1
        return reads / (time.perf_counter() - started)
    finally:
        await connection.close()


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="tests.bench.bare")
    parser.add_argument("kind", choices=("get", "parse", "insert", "fetch"))
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--path", default="/")
    parser.add_argument("--body", type=Path)
    parser.add_argument("--content-type", default="application/json")
    parser.add_argument("--dsn", default="")
    parser.add_argument("--id", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1.0)
    return parser.parse_args()


def main() -> None:
    """Run the chosen limit on uvloop."""
    chosen = arguments()
    if chosen.kind == "get":
        handler = answering(chosen.body.read_bytes(), chosen.content_type)
        uvloop.run(serve("GET", chosen.path, handler, chosen.port))
    elif chosen.kind == "parse":
        uvloop.run(serve("POST", chosen.path, parsing(), chosen.port))
    elif chosen.kind == "insert":
        uvloop.run(insert(chosen.path, chosen.dsn, chosen.port))
    else:
        print(f"{uvloop.run(fetch(chosen.dsn, chosen.id, chosen.seconds)):.1f}")


if __name__ == "__main__":
    main()
