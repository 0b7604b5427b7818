"""Hits written past aiohttp's responses: the same answer as by the long way, header by header."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.conftest import Server
from tests.http_fixture import SHARED, shared_site
from tests.people import Person, person
from tests.running import Running

pytestmark = SHARED
Got = tuple[str, dict[str, str], bytes]
OWN = ("x-request-id", "date")
RELEASE, LIST, BADGE = "/api/v1/releases/3", "/api/v1/releases?limit=50", "/api/v1/notifications/unread/count"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with shared_site(server, tmp_path_factory.mktemp("site"), RATE_LIMIT_MAX="600") as started:
        yield started


async def exchange(
    site: Running, target: str, *headers: str, version: str = "1.1"
) -> tuple[str, dict[str, str], bytes]:
    """One request on a connection of its own: status line, headers in lower case, body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    try:
        lines = [f"GET {target} HTTP/{version}", "Host: localhost", *headers, "", ""]
        writer.write("\r\n".join(lines).encode())
        head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).decode()
        status, *rest = head.rstrip().split("\r\n")
        found = dict(line.split(": ", 1) for line in rest)
        assert len(found) == len(rest), "a header came twice"
        found = {name.lower(): value for name, value in found.items()}
        body = await asyncio.wait_for(reader.readexactly(int(found.get("content-length", "0"))), 5)
        return status, found, body
    finally:
        writer.close()


def same(one: Got, other: Got) -> bool:
    """But for what belongs to one request alone."""
    assert all(name in answer[1] for answer in (one, other) for name in OWN)
    return [one[0], {k: v for k, v in one[1].items() if k not in OWN}, one[2]] == [
        other[0], {k: v for k, v in other[1].items() if k not in OWN}, other[2]
    ]  # fmt: skip


@pytest.mark.parametrize("headers", [(), ("Accept-Encoding: gzip",)], ids=["plain", "gzip"])
@pytest.mark.parametrize("path", [RELEASE, LIST])
async def test_a_hit_is_the_answer_of_the_long_way(site: Running, path: str, headers: tuple[str, ...]) -> None:
    target = f"{path}{'&' if '?' in path else '?'}" if headers else path
    first = await exchange(site, target, *headers)
    assert first[0] == "HTTP/1.1 200 OK"
    for _ in range(3):
        assert same(await exchange(site, target, *headers), first)
    known = f"If-None-Match: {first[1]['etag']}"
    missed = await exchange(site, f"{target}/" if "?" not in target else f"{target}&", known, *headers)
    for _ in range(2):
        hit = await exchange(site, target, known, *headers)
        assert hit[0] == "HTTP/1.1 304 Not Modified"
        assert hit[2] == b""
        assert same(hit, missed)


async def test_an_old_or_a_closing_client_is_told_that_the_connection_ends(site: Running) -> None:
    await exchange(site, RELEASE)
    status, headers, body = await exchange(site, RELEASE, "Connection: close")
    assert (status, headers["connection"]) == ("HTTP/1.1 200 OK", "close")
    status, headers, old = await exchange(site, RELEASE, version="1.0")
    assert status == "HTTP/1.0 200 OK"
    assert old == body


async def test_many_hits_on_one_connection_come_in_their_order(site: Running) -> None:
    await exchange(site, RELEASE)
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    try:
        for number in range(6):
            writer.write(f"GET {RELEASE} HTTP/1.1\r\nHost: a\r\nX-Request-ID: request-{number}\r\n\r\n".encode())
        for number in range(6):
            head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).decode()
            assert f"X-Request-ID: request-{number}\r\n" in head
            size = int(head.lower().partition("content-length: ")[2].partition("\r\n")[0])
            await reader.readexactly(size)
    finally:
        writer.close()


@pytest_asyncio.fixture(loop_scope="module")
async def who(site: Running) -> Person:
    return await person(site)


async def test_a_personal_hit_has_the_headers_of_the_long_way(site: Running, who: Person) -> None:
    signed = f"Authorization: {who.headers['Authorization']}"
    # Nothing is remembered of somebody who has just come.
    first = await exchange(site, BADGE, signed)
    hit = await exchange(site, BADGE, signed)
    assert hit[1].keys() == first[1].keys()
    moving = ("ratelimit", "x-ratelimit-remaining", "x-ratelimit-reset")
    for name in hit[1].keys() - {*OWN, *moving}:
        assert hit[1][name] == first[1][name], name
    assert hit[2] == first[2] == b'{"unread_count":0}'
    assert int(hit[1]["x-ratelimit-remaining"]) == int(first[1]["x-ratelimit-remaining"]) - 1


async def test_what_the_catalogue_takes_in_is_asked_for_with_or_without_a_body(site: Running) -> None:
    """A GET with a body is odd, and still answered; what follows on its connection is not taken for its body."""
    await exchange(site, RELEASE)
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    try:
        one = f"GET {RELEASE} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
        writer.write((one + f"GET {RELEASE} HTTP/1.1\r\nHost: a\r\n\r\n").encode())
        for _ in range(2):
            head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).decode()
            assert head.startswith("HTTP/1.1 200 OK")
            await reader.readexactly(int(head.lower().partition("content-length: ")[2].partition("\r\n")[0]))
    finally:
        writer.close()
