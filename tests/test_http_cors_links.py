"""CORS by CORS_ORIGINS, links by PUBLIC_URL, and the Host header, which has no say in anything."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.conftest import Server
from tests.http_fixture import SHARED, check_problem, exchange, problem, shared_site
from tests.running import Running

pytestmark = SHARED
ORIGIN = "https://anime.example"
ASK = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """The server of this module."""
    async with shared_site(server, tmp_path_factory.mktemp("site")) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def open_to_one(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """A server that one origin may call, known by a public address."""
    public = "https://api.example/base"
    async with shared_site(server, tmp_path_factory.mktemp("open"), CORS_ORIGINS=ORIGIN, PUBLIC_URL=public) as started:
        yield started


async def test_without_origins_no_page_may_call(site: Running) -> None:
    async with site.client.get("/api/v1/genres", headers={"Origin": ORIGIN}) as answer:
        assert answer.status == 200
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    async with site.client.options("/api/v1/views", headers=ASK) as answer:
        await problem(answer, 405)


async def test_a_preflight_of_a_known_origin_is_answered(open_to_one: Running) -> None:
    for path in ("/api/v1/views", "/nope"):
        async with open_to_one.client.options(path, headers=ASK) as answer:
            assert answer.status == 204
            assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
            assert "POST" in answer.headers["Access-Control-Allow-Methods"]
            assert "Content-Type" in answer.headers["Access-Control-Allow-Headers"]
            assert "Origin" in answer.headers["Vary"]
            assert answer.headers["X-Request-ID"]


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "https://anime.example.evil.example", "http://anime.example"]
)
async def test_another_origin_is_not_let_in(open_to_one: Running, origin: str) -> None:
    async with open_to_one.client.options("/api/v1/views", headers=ASK | {"Origin": origin}) as answer:
        assert "Access-Control-Allow-Origin" not in answer.headers
    for _ in range(2):
        async with open_to_one.client.get("/api/v1/genres", headers={"Origin": origin}) as answer:
            assert "Access-Control-Allow-Origin" not in answer.headers
            assert "Origin" in answer.headers["Vary"]


async def test_answers_and_errors_may_be_read_by_the_known_origin(open_to_one: Running) -> None:
    for path in ("/api/v1/genres", "/api/v1/genres", "/nope"):
        async with open_to_one.client.get(path, headers={"Origin": ORIGIN}) as answer:
            assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
            assert "ETag" in answer.headers["Access-Control-Expose-Headers"]
            assert "Origin" in answer.headers["Vary"]
            assert "Access-Control-Allow-Credentials" not in answer.headers


async def test_a_star_lets_every_origin_in(server: Server, tmp_path: Path) -> None:
    async with (
        shared_site(server, tmp_path, CORS_ORIGINS="*") as started,
        started.client.get("/api/v1/genres", headers={"Origin": "https://any.example"}) as answer,
    ):
        assert answer.headers["Access-Control-Allow-Origin"] == "*"


async def test_links_begin_with_the_public_address(open_to_one: Running) -> None:
    for path in ("releases", "genres", "tags", "franchises", "recommendations/trending"):
        async with open_to_one.client.get(f"/api/v1/{path}/?limit=1") as answer:
            following = (await answer.json())["next"]
        if following is not None:
            assert following.startswith(f"https://api.example/base/api/v1/{path}?")
    async with open_to_one.client.get("/openapi.json") as answer:
        assert (await answer.json())["servers"] == [{"url": "https://api.example/base"}]


@pytest.mark.parametrize(
    "path",
    ["releases?limit=1", "genres?limit=1", "recommendations/trending", "schedule", "releases/no", "releases?limit=0"],
)
@pytest.mark.parametrize("form", ["origin", "absolute"])
async def test_the_host_a_client_sends_never_comes_back(site: Running, path: str, form: str) -> None:
    target = f"/api/v1/{path}" if form == "origin" else f"http://evil.example/api/v1/{path}"
    extra = "X-Forwarded-Host: evil.example\r\nForwarded: host=evil.example\r\nX-Forwarded-Proto: evil.example\r\n"
    request = f"GET {target} HTTP/1.1\r\nHost: evil.example\r\n{extra}\r\n".encode()
    for _ in range(2):
        answer = await exchange(site.port, request)
        assert b"evil" not in answer.body
        assert "evil" not in json.dumps(list(answer.headers.items()))
        if answer.status >= 400:
            check_problem(answer.status, answer.headers, answer.body)
