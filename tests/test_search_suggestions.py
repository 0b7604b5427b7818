"""Suggestions: titles for what is being typed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from server.keys import SEARCH
from tests.conftest import Server
from tests.http_fixture import SHARED, problem
from tests.running import Running
from tests.search_site import search_site

pytestmark = SHARED


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """The server of this module."""
    async with search_site(server, tmp_path_factory.mktemp("search")) as started:
        yield started


async def suggest(site: Running, text: str, limit: int = 8) -> list[dict[str, Any]]:
    async with site.client.get("/api/v1/search/suggestions", params={"q": text, "limit": limit}) as answer:
        body = await answer.json()
        assert answer.status == 200, body
        assert body["count"] == len(body["results"]) <= limit
        results: list[dict[str, Any]] = body["results"]
        return results


def titles(found: list[dict[str, Any]]) -> list[str]:
    return [one["title"] for one in found]


async def test_a_suggestion_shows_the_name_that_goes_with_what_was_typed(site: Running) -> None:
    (found,) = await suggest(site, "унес")
    async with site.client.get(f"/api/v1/releases/{found['id']}") as answer:
        release = await answer.json()
    assert found == {
        "id": release["id"], "slug": release["slug"], "title": "Spirited Away", "matched": "Унесённые призраками",
        "year": 2001, "type": "movie", "poster": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("naruto", ["Naruto", "Naruto Shippuden"]),
        ("naruto s", ["Naruto Shippuden"]),
        # A single letter says which of those with the other words fit, unless none does.
        ("attack on z", ["Attack on Titan", "Attack on Titan Season 2"]),
        ("attack", ["Attack on Titan", "Attack on Titan Season 2"]),
        # Names that begin so come first, then names with a word that begins so.
        ("т", ["Your Name", "Attack on Titan", "Attack on Titan Season 2"]),
        ("titan", ["Attack on Titan", "Attack on Titan Season 2"]),
        # The very title, however unpopular.
        ("k", ["K", "Your Name", "Attack on Titan", "Attack on Titan Season 2", "Spirited Away"]),
        ("進", ["Attack on Titan", "Attack on Titan Season 2"]),
        ("撃の", ["Attack on Titan", "Attack on Titan Season 2"]),
        ("なると", ["Naruto", "Naruto Shippuden"]),
        # The other keyboard layout, by sound, with a typing error.
        ("тфкгещ", ["Naruto", "Naruto Shippuden"]),
        ("монстэр", ["Monster"]),
        ("monstre", ["Monster"]),
        ("", []),
        ("!?", []),
        ("zzzz", []),
    ],
)
async def test_what_is_typed_suggests_titles_in_order(site: Running, text: str, expected: list[str]) -> None:
    assert titles(await suggest(site, text)) == expected


async def test_the_limit_keeps_the_likeliest(site: Running) -> None:
    assert titles(await suggest(site, "attack", limit=1)) == ["Attack on Titan"]


@pytest.mark.parametrize("target", ["q=a&limit=21", "q=a&limit=0", "q=%00", "q=" + "x" * 201])
async def test_what_does_not_fit_is_refused(site: Running, target: str) -> None:
    async with site.client.get(f"/api/v1/search/suggestions?{target}") as answer:
        await problem(answer, 422)


async def test_they_are_cached_in_public(site: Running) -> None:
    async with site.client.get("/api/v1/search/suggestions?q=mon") as answer:
        assert answer.headers["Cache-Control"].startswith("public, max-age=60")
        etag = answer.headers["ETag"]
    async with site.client.get("/api/v1/search/suggestions?q=mon", headers={"If-None-Match": etag}) as answer:
        assert answer.status == 304


async def test_searches_are_counted_for_operators(site: Running) -> None:
    async with site.client.get("/api/v1/search?q=monster") as answer:
        assert answer.status == 200
    assert site.app[SEARCH].counters.outcomes["found"] >= 1
    async with site.client.get("/metrics") as answer:
        text = await answer.text()
    assert 'yojohan_searches_total{outcome="found"}' in text
    assert "yojohan_search_documents 10.0" in text
    async with site.client.get("/health") as answer:
        assert (await answer.json())["checks"]["search"] == {"status": "ok", "detail": "full text"}
