"""What stands outside of the gate, over real sockets: operators' pages and bodies on their way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from server.gate import Gate
from server.http import parse
from server.keys import EDGE, GATE
from tests.conftest import Server
from tests.http_fixture import SHARED, RawAnswer, check_problem, exchange, problem, read_answer, shared_site
from tests.people import person
from tests.running import Running
from tests.test_gate_http import CREDENTIALS, LOGIN, until

pytestmark = SHARED


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """The server of this module, which takes us for a proxy."""
    async with shared_site(server, tmp_path_factory.mktemp("site"), TRUSTED_PROXIES="127.0.0.1/32") as started:
        yield started


@pytest.fixture
def gate(site: Running) -> Iterator[Gate]:
    """Its gate, which every test leaves as it found it."""
    gate = site.app[GATE]
    yield gate
    assert (gate.in_use, gate.queued, {yard.count for yard in gate.yards.values()}) == (0, 0, {0})


async def test_whether_the_process_turns_is_told_though_what_asks_the_database_hangs(
    site: Running, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = gate.yards["pages"]
    monkeypatch.setattr(pages, "most", 0)
    for path in ("/ready", "/health", "/health/ready"):
        async with site.client.get(path) as answer:
            await problem(answer, 503)
    for path in ("/live", "/health/live", "/metrics"):
        async with site.client.get(path) as answer:
            assert answer.status == 200
    monkeypatch.setattr(gate.yards["metrics"], "most", 0)
    async with site.client.get("/metrics") as answer:
        await problem(answer, 503)
    # Nor does a token that only the database knows make it wait.
    monkeypatch.setattr(site.app[EDGE]._identities, "_look_up", never)
    for path in ("/live", "/health/live"):
        async with asyncio.timeout(5), site.client.get(path, headers={"Authorization": "Bearer yjh_x"}) as answer:
            assert answer.status == 200


async def never(*_: Any) -> None:
    await asyncio.Event().wait()


async def test_no_address_holds_all_places_for_bodies_and_signing_in_has_some_of_its_own(
    site: Running, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    yard = gate.yards["bodies"]
    monkeypatch.setattr(yard, "most", 8)
    who = await person(site)
    edit = b"PATCH /api/v1/profile HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    edit += f"Authorization: {who.headers['Authorization']}\r\n".encode()

    def begun(head: bytes, address: str) -> asyncio.Task[RawAnswer]:
        came_for = f"X-Forwarded-For: {address}\r\nContent-Length: {len(CREDENTIALS)}\r\n\r\n".encode()
        return asyncio.create_task(exchange(site.port, head + came_for))

    held = []
    for address in ("192.0.2.1",) * 4 + ("192.0.2.2",) * 2:
        held.append(begun(edit, address))
        await until(lambda: yard.count == len(held))
        if len(held) == 4:
            # All that one address may have.
            for head in (edit, LOGIN):
                refused = await begun(head, "192.0.2.1")
                check_problem(503, refused.headers, refused.body)
    # The last quarter is for signing in.
    refused = await begun(edit, "192.0.2.3")
    check_problem(503, refused.headers, refused.body)
    held.append(begun(LOGIN, "192.0.2.3"))
    await until(lambda: yard.count == 7)
    for task in held:
        task.cancel()
    await until(lambda: yard.count == 0)


async def test_a_body_that_is_right_behind_its_headers_needs_no_place_outside(
    site: Running, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate.yards["bodies"], "most", 0)
    came = asyncio.Event()
    read = parse.read_body

    async def as_it_comes(request: web.Request, largest: int = parse.LARGEST_BODY) -> bytes:
        # The handler has begun; the next packet lies in the socket when the loop looks there again.
        assert not request.content.is_eof()
        writer.write(CREDENTIALS)
        came.set()
        return await read(request, largest)

    monkeypatch.setattr("handlers.auth.read_body", as_it_comes)
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(LOGIN + b"Content-Length: %d\r\n\r\n" % len(CREDENTIALS))
    assert (await asyncio.wait_for(read_answer(reader), 5)).status == 401
    assert came.is_set()
    writer.close()
