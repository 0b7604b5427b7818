"""What the tests of the HTTP surface share: one PostgreSQL is enough for them, raw sockets, reading answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse
from multidict import CIMultiDict

from sql.query import Observer
from tests.catalogue_seed import database
from tests.conftest import Server
from tests.running import Running, running

# HTTP does not depend on the version of PostgreSQL; the statements behind it have tests of their own on both.
ON_18 = pytest.mark.parametrize("server", ["18"], indirect=True)
# The tests of such a module share an event loop, as they share its server.
SHARED = [ON_18, pytest.mark.asyncio(loop_scope="module")]
JSON = {"Content-Type": "application/json"}
PROBLEM_MEMBERS = {"type", "title", "status", "detail", "instance", "code", "request_id"}


@dataclass(frozen=True)
class RawAnswer:
    """One answer as it came over the wire."""

    status: int
    headers: CIMultiDict[str]
    body: bytes


async def read_answer(reader: asyncio.StreamReader, *, head: bool = False) -> RawAnswer:
    """The next answer on this connection."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = CIMultiDict(line.split(": ", 1) for line in lines[1:] if line)
    status = int(lines[0].split()[1])
    length = 0 if head or status in (204, 304) else int(headers.get("Content-Length", "0"))
    return RawAnswer(status, headers, await reader.readexactly(length))


async def exchange(port: int, request: bytes, *, patience: float = 5.0, head: bool = False) -> RawAnswer:
    """Send these bytes on a connection of their own; the first answer to them."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        async with asyncio.timeout(patience):
            return await read_answer(reader, head=head)
    finally:
        writer.close()


def check_problem(status: int, headers: Any, body: bytes) -> dict[str, Any]:
    """The problem document, having every member it must have."""
    assert headers["Content-Type"] == "application/problem+json", body
    assert headers["Cache-Control"] == "no-store"
    document: dict[str, Any] = json.loads(body)
    assert set(document) - {"errors"} == PROBLEM_MEMBERS
    assert document["status"] == status
    assert document["request_id"] == headers["X-Request-ID"]
    assert document["type"] == "urn:yojohan:problem:" + document["code"].replace("_", "-")
    if status in (429, 503):
        assert int(headers["Retry-After"]) >= 1
    return document


async def problem(answer: ClientResponse, status: int) -> dict[str, Any]:
    """The problem document of an answer that must have this status."""
    body = await answer.read()
    assert answer.status == status, body
    return check_problem(status, answer.headers, body)


def event(**fields: Any) -> dict[str, Any]:
    """A sound view of release 3, or one with these fields instead."""
    return {"release_id": 3, "duration_seconds": 60, "completion_percentage": 5, **fields}


def log_lines(running: Running) -> list[dict[str, Any]]:
    """The request log so far."""
    return [json.loads(line) for line in running.log.lines]


@contextmanager
def queries_seen() -> Iterator[list[str]]:
    """The names of the queries that run meanwhile, those of the actors included."""
    names: list[str] = []
    before = Observer.report

    def note(name: str, seconds: float, failed: bool) -> None:
        names.append(name)
        before(name, seconds, failed)

    Observer.report = note
    try:
        yield names
    finally:
        Observer.report = before


@asynccontextmanager
async def shared_site(server: Server, data_dir: Path, **environment: str) -> AsyncIterator[Running]:
    """A server on thirty releases (3, 6, … 90) that all tests of a module share: what they do must not add up."""
    async with database(server, 30) as dsn, running(dsn, data_dir, **environment) as started:
        yield started
