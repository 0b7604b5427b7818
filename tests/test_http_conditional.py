"""Conditional requests, encodings and what caches are told; the short way of a hot answer is like the long one."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from multidict import CIMultiDict

from server.http.edge import Edge
from tests.conftest import Server
from tests.http_fixture import SHARED, exchange, log_lines, queries_seen, shared_site
from tests.people import person
from tests.running import Running

pytestmark = SHARED
LIST = "/api/v1/releases?limit=30"
CACHED = (
    LIST, "/api/v1/releases/3", "/api/v1/releases/latest", "/api/v1/releases/3/episodes", "/api/v1/releases/3/related",
    "/api/v1/genres", "/api/v1/tags", "/api/v1/franchises", "/api/v1/franchises/1", "/api/v1/schedule",
    "/api/v1/analytics/views", "/api/v1/analytics/top", "/api/v1/recommendations/trending", "/openapi.json",
)  # fmt: skip
STRONG = re.compile(r'^"[0-9a-f]{24}(-gzip)?"$')
PUBLIC = re.compile(r"^public, max-age=\d+, s-maxage=\d+, stale-while-revalidate=\d+(, stale-if-error=\d+)?$")
# `requests` of the client itself would ask for gzip.
NUMBERS = itertools.count()
PLAIN = {"Accept-Encoding": "identity"}
PACKED = {"Accept-Encoding": "gzip, deflate, br"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """The server of this module."""
    async with shared_site(server, tmp_path_factory.mktemp("site")) as started:
        yield started


async def get(site: Running, path: str, headers: dict[str, str], status: int = 200) -> tuple[CIMultiDict[str], bytes]:
    """Headers and body as they were sent, without those that differ each time."""
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    answer = await exchange(site.port, f"GET {path} HTTP/1.1\r\nHost: x\r\n{fields}\r\n".encode())
    assert answer.status == status, answer.body
    del answer.headers["X-Request-ID"], answer.headers["Date"]
    return answer.headers, answer.body


@pytest.mark.parametrize("path", CACHED)
async def test_a_public_read_has_a_strong_tag_and_says_how_long_it_keeps(site: Running, path: str) -> None:
    headers, body = await get(site, path, PLAIN)
    assert STRONG.match(headers["ETag"])
    assert PUBLIC.match(headers["Cache-Control"])
    assert {"Accept-Encoding", "Authorization"} <= set(headers["Vary"].split(", "))
    assert headers["Surrogate-Key"].replace(" ", ",") == headers["Cache-Tag"]
    bare, nothing = await get(site, path, PLAIN | {"If-None-Match": headers["ETag"]}, 304)
    assert nothing == b""
    assert bare["ETag"] == headers["ETag"]
    assert bare["Cache-Control"] == headers["Cache-Control"]
    assert bare["Vary"] == headers["Vary"]
    assert "Content-Type" not in bare
    assert body


async def test_a_304_does_not_touch_the_database(site: Running) -> None:
    fresh = "/api/v1/releases?limit=29"
    with queries_seen() as first:
        headers, _ = await get(site, fresh, PLAIN)
    # What the actors do in the meantime has other names.
    mine = {"list_releases", "count_releases"}
    assert mine <= set(first)
    with queries_seen() as later:
        for _ in range(5):
            await get(site, fresh, PLAIN | {"If-None-Match": headers["ETag"]}, 304)
            await get(site, fresh, PLAIN)
    assert not mine & set(later)


@pytest.mark.parametrize("sent", ['"other", {tag}', "W/{tag}", "*", ' {tag} , "x"', '"a","b",W/{tag}'])
async def test_if_none_match_takes_lists_weak_tags_and_the_star(site: Running, sent: str) -> None:
    headers, _ = await get(site, LIST, PLAIN)
    await get(site, LIST, PLAIN | {"If-None-Match": sent.format(tag=headers["ETag"])}, 304)


@pytest.mark.parametrize("sent", ['"other"', "{bare}", "", '"{bare}x"', "W/", ",,,"])
async def test_another_tag_gets_the_body(site: Running, sent: str) -> None:
    headers, body = await get(site, LIST, PLAIN)
    _, again = await get(site, LIST, PLAIN | {"If-None-Match": sent.format(bare=headers["ETag"].strip('"'))})
    assert again == body


async def test_gzip_is_another_variant_of_the_same_body(site: Running) -> None:
    plain, body = await get(site, LIST, PLAIN)
    packed, packed_body = await get(site, LIST, PACKED)
    assert packed["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain
    assert gzip.decompress(packed_body) == body
    assert len(packed_body) < len(body) / 3
    assert packed["ETag"] != plain["ETag"]
    assert packed["Vary"] == plain["Vary"]
    bare, _ = await get(site, LIST, PACKED | {"If-None-Match": packed["ETag"]}, 304)
    assert "Content-Encoding" not in bare


@pytest.mark.parametrize(
    ("accepted", "packs"),
    [
        ("gzip", True), ("gzip;q=0", False), ("gzip;q=0.0, *", False), ("*", True), ("*;q=0", False), ("br", False),
        ("GZIP;Q=0.5", True), ("identity", False), ("deflate, gzip;q=1.0, *;q=0.5", True), ("", False),
        (";;,,=", False),
    ],
)  # fmt: skip
async def test_gzip_is_sent_only_to_those_who_take_it(site: Running, accepted: str, packs: bool) -> None:
    headers, _ = await get(site, LIST, {"Accept-Encoding": accepted})
    assert ("Content-Encoding" in headers) is packs


async def test_a_small_body_is_not_packed(site: Running) -> None:
    headers, _ = await get(site, "/api/v1/genres?limit=1", PACKED)
    assert "Content-Encoding" not in headers


@pytest.mark.parametrize("path", [LIST, "/api/v1/releases/3", "/health", "/docs", "/api/v1/releases/random"])
async def test_head_is_get_without_the_body(site: Running, path: str) -> None:
    got, body = await get(site, path, PLAIN)
    request = f"HEAD {path} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: identity\r\n\r\n".encode()
    answer = await exchange(site.port, request, head=True)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == got["Content-Type"]
    if "random" not in path:
        assert answer.headers["Content-Length"] == str(len(body))
    assert answer.headers.get("ETag") == got.get("ETag")


async def test_a_head_is_followed_by_the_next_answer_at_once(site: Running) -> None:
    before = len(log_lines(site))
    both = f"HEAD {LIST} HTTP/1.1\r\nHost: x\r\n\r\nGET /live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    answer = await exchange(site.port, both, head=True)
    assert answer.status == 200
    await asyncio.sleep(0.05)
    assert [line["method"] for line in log_lines(site)[before:]] == ["HEAD", "GET"]


@pytest.mark.parametrize("path", CACHED)
async def test_with_authorization_a_public_answer_is_private(site: Running, path: str) -> None:
    somebody = await person(site)
    for _ in range(2):
        headers, _ = await get(site, path, PLAIN | somebody.headers)
        assert headers["Cache-Control"] == "private, no-cache"
        assert "Authorization" in headers["Vary"]
    # What one person was told must not have changed what the next is told.
    headers, _ = await get(site, path, PLAIN)
    assert PUBLIC.match(headers["Cache-Control"])


async def test_what_is_drawn_at_random_is_stored_by_nobody(site: Running) -> None:
    headers, _ = await get(site, "/api/v1/releases/random", PLAIN)
    assert headers["Cache-Control"] == "no-store"
    assert "ETag" not in headers


@pytest.mark.parametrize("path", [path.partition("?")[0] for path in CACHED])
async def test_a_trailing_slash_is_answered_as_without_it(site: Running, path: str) -> None:
    first = await get(site, path, PLAIN)
    assert await get(site, f"{path}/", PLAIN) == first


@pytest.mark.parametrize("path", CACHED)
@pytest.mark.parametrize("extra", [{}, {"Authorization": "theirs"}, {"If-None-Match": "*"}, {"Accept": "text/csv"}])
async def test_the_short_way_answers_as_the_long_one(
    site: Running, monkeypatch: pytest.MonkeyPatch, path: str, extra: dict[str, str]
) -> None:
    long_ways = []
    serve = Edge._serve

    async def counted(self: Edge, *given: Any) -> Any:
        long_ways.append(given)
        return await serve(self, *given)

    monkeypatch.setattr(Edge, "_serve", counted)
    if "Authorization" in extra:
        extra = (await person(site)).headers
    status = 304 if "If-None-Match" in extra else 200
    # A target that nobody asked for before: parameters that do not exist change nothing.
    target = f"{path}{'&' if '?' in path else '?'}new={next(NUMBERS)}{'&format=csv' if 'Accept' in extra else ''}"
    first = await get(site, target, PACKED | extra, status)
    assert len(long_ways) == 1
    assert await get(site, target, PACKED | extra, status) == first
    # Where the Accept header chooses the body, and for the document, which is no cache entry, both take the long way.
    asked_by_accept = "analytics" in path and "Accept" not in extra
    assert len(long_ways) == (2 if asked_by_accept or path == "/openapi.json" else 1)
    assert log_lines(site)[-1]["cache"] == "hit"


async def test_csv_and_json_of_one_address_do_not_mix(site: Running) -> None:
    for kind in ("text/csv", "application/json", "text/csv", "application/json"):
        headers, _ = await get(site, "/api/v1/analytics/top", {"Accept": kind})
        assert headers["Content-Type"].startswith(kind)
        assert "Accept" in headers["Vary"].split(", ")
