"""Searching over HTTP: what is found, how it is narrowed, counted, ordered, shown and cached."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from server.database import connect
from server.keys import DATABASE, SEARCH_MISSES
from tests.conftest import Server
from tests.http_fixture import SHARED, problem
from tests.importing import load
from tests.running import Running
from tests.search_site import release, search_site

pytestmark = SHARED


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """The server of this module."""
    async with search_site(server, tmp_path_factory.mktemp("search")) as started:
        yield started


async def get(site: Running, **parameters: Any) -> dict[str, Any]:
    given = [
        (name, one) for name, value in parameters.items() for one in (value if isinstance(value, list) else [value])
    ]
    async with site.client.get("/api/v1/search", params=given) as answer:
        body: dict[str, Any] = await answer.json()
        assert answer.status == 200, body
        return body


async def post(site: Running, **body: Any) -> dict[str, Any]:
    async with site.client.post("/api/v1/search", json=body) as answer:
        found: dict[str, Any] = await answer.json()
        assert answer.status == 200, found
        assert answer.headers["Cache-Control"] == "no-store"
        return found


def titles(body: dict[str, Any]) -> list[str]:
    return [one["title"] for one in body["results"]]


async def until_found(site: Running, text: str, count: int) -> None:
    """Wait until a search finds so many."""
    async with asyncio.timeout(10):
        while (await get(site, q=text))["count"] != count:  # noqa: ASYNC110 - what tells is the answer itself
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("attack on titan", "Attack on Titan"),
        ("Attack on Titan 2nd season", "Attack on Titan Season 2"),
        ("атака титанов 2 сезон", "Attack on Titan Season 2"),
        ("進撃の巨人", "Attack on Titan"),
        ("巨人", "Attack on Titan"),
        ("унесенные призраками", "Spirited Away"),
        ("onepiece", "One Piece"),
        ("naru", "Naruto"),
        ("k", "K"),
        ("100%_\\ 'quoted'", "100%_\\ 'Quoted' Title"),
    ],
)
async def test_a_title_in_any_script_is_found_first_and_as_it_was_typed(site: Running, text: str, title: str) -> None:
    body = await get(site, q=text)
    assert (titles(body)[0], body["corrected_query"]) == (title, None)


@pytest.mark.parametrize(
    ("text", "title", "corrected"),
    [
        ("феефсл ешефт", "Attack on Titan", "attack titan"),
        ("yfhenj", "Naruto", "наруто"),
        ("шингеки но кёдзин", "Attack on Titan", "shingeki no kyojin"),
        ("atack on titn", "Attack on Titan", "attack on titan"),
        ("спиритэд", "Spirited Away", "spirited"),
        ("qqqqwwww", None, None),
        ("naruto qqqqwwww", "Naruto", "naruto"),
    ],
)
async def test_what_is_not_found_as_typed_is_read_otherwise_and_the_answer_says_how(
    site: Running, text: str, title: str | None, corrected: str | None
) -> None:
    body = await get(site, q=text)
    assert (titles(body)[:1], body["corrected_query"]) == ([title] if title else [], corrected)


async def test_the_very_title_comes_before_longer_ones_and_words_of_a_synopsis_last(site: Running) -> None:
    assert titles(await get(site, q="naruto")) == ["Naruto", "Naruto Shippuden"]
    assert titles(await get(site, q="village")) == ["Naruto", "Naruto Shippuden"]
    # Stems: "giant" for "giants", "духа" for "духов".
    assert titles(await get(site, q="giant")) == ["Attack on Titan"]
    assert titles(await get(site, q="дух")) == ["Spirited Away"]


async def test_a_genre_is_found_by_its_name(site: Running) -> None:
    assert titles(await get(site, q="romance")) == ["Your Name"]


async def test_filters_narrow_and_may_be_negated(site: Running) -> None:
    assert titles(await get(site, q="attack", year_from=2015)) == ["Attack on Titan Season 2"]
    assert titles(await get(site, genre="drama", type="movie", sort="year")) == ["Spirited Away", "Your Name"]
    assert titles(await get(site, genres=["drama", "!romance"], types="movie")) == ["Spirited Away"]
    assert titles(await get(site, franchise="!titans", genre="action", sort="year")) == [
        "One Piece", "Naruto", "Naruto Shippuden", "K",
    ]  # fmt: skip
    assert titles(await get(site, franchise="Titans", sort="-year")) == ["Attack on Titan Season 2", "Attack on Titan"]
    assert (await get(site, genre="no such genre"))["count"] == 0
    assert titles(await get(site, age_rating="18", sort="title")) == ["Attack on Titan", "Monster"]
    assert titles(await get(site, status="!finished")) == ["One Piece"]


async def test_both_ways_to_ask_give_the_same(site: Running) -> None:
    asked = {"genres": ["action"], "year_to": 2010}
    assert await post(site, query="naruto", filters=asked, facets=["types"]) == await get(
        site, q="naruto", genre="action", year_to=2010, facets="types"
    )


async def test_facets_leave_their_own_choice_out_where_a_release_has_one_value(site: Running) -> None:
    body = await get(
        site, type="movie", genre="drama", facets="types,genres,years,seasons,statuses,age_ratings,tags,ratings"
    )
    assert body["count"] == 2
    facets = body["facets"]
    assert facets["types"] == [{"value": "tv", "count": 3}, {"value": "movie", "count": 2}]
    assert facets["genres"] == [
        {"value": "Drama", "count": 2}, {"value": "Fantasy", "count": 1}, {"value": "Romance", "count": 1},
    ]  # fmt: skip
    assert facets["years"] == [{"value": 2001, "count": 1}, {"value": 2016, "count": 1}]
    assert facets["seasons"] == [{"value": "summer", "count": 2}]
    assert facets["tags"] == facets["ratings"] == []
    years = (await get(site, q="attack", year_from=2015, facets=["years"]))["facets"]["years"]
    assert years == [{"value": 2013, "count": 1}, {"value": 2017, "count": 1}]


async def test_ratings_are_counted_in_buckets_and_filter_exactly(site: Running) -> None:
    body = await post(site, facets=["ratings"], filters={"rating_from": 1})
    assert (body["count"], body["facets"]["ratings"]) == (0, [])


@pytest.mark.parametrize("sort", ["updated", "year", "rating", "popularity", "title"])
async def test_a_sort_and_its_reverse_show_the_same_in_opposite_order(site: Running, sort: str) -> None:
    up, down = titles(await get(site, sort=sort)), titles(await get(site, sort=f"-{sort}"))
    assert len(up) == 10
    assert up == down[::-1]
    some, others = titles(await get(site, q="drama", sort=sort)), titles(await get(site, q="drama", sort=f"-{sort}"))
    assert len(some) == 5
    assert some == others[::-1]


@pytest.mark.parametrize("sort", ["-updated", "title", "-year", "rating", "-popularity"])
@pytest.mark.parametrize("asked", [{}, {"genre": "action"}, {"q": "drama"}])
async def test_small_pages_of_a_sort_make_up_the_whole(site: Running, sort: str, asked: dict[str, str]) -> None:
    whole = titles(await get(site, sort=sort, **asked))
    pages = [titles(await get(site, sort=sort, limit=2, page=page, **asked)) for page in range(1, 7)]
    assert [title for page in pages for title in page] == whole


async def test_sorts_follow_what_they_are_named_after(site: Running) -> None:
    assert titles(await get(site, sort="-popularity"))[:2] == ["Attack on Titan", "Attack on Titan Season 2"]
    assert titles(await get(site, sort="year"))[:2] == ["100%_\\ 'Quoted' Title", "One Piece"]
    assert titles(await get(site, q="action", sort="title"))[0] == "Attack on Titan"


async def test_pages_follow_each_other_without_gaps(site: Running) -> None:
    seen, following = [], "/api/v1/search?q=action&limit=2&facets=types"
    while following:
        async with site.client.get(following) as answer:
            body = await answer.json()
        assert body["count"] == 6
        assert body["facets"]["types"] == [{"value": "tv", "count": 6}]
        seen += titles(body)
        following = body["next"]
    assert len(seen) == len(set(seen)) == 6
    assert seen == titles(await get(site, q="action"))


async def test_results_are_releases_with_highlights(site: Running) -> None:
    (found,) = (await get(site, q="giants"))["results"]
    async with site.client.get(f"/api/v1/releases/{found['id']}") as answer:
        plain = await answer.json()
    marks = found.pop("highlights")
    assert found == plain
    assert marks == [{"field": "synopsis", "text": plain["synopsis"], "ranges": [[42, 6]]}]
    first = (await get(site, q="атака титанов"))["results"][0]
    assert {"field": "titles.ru", "text": "Атака титанов", "ranges": [[0, 5], [6, 7]]} in first["highlights"]


async def test_an_answer_is_cached_and_asked_for_again_costs_nothing(site: Running) -> None:
    async with site.client.get("/api/v1/search?q=monster") as answer:
        etag = answer.headers["ETag"]
        assert answer.headers["Cache-Control"].startswith("public, max-age=15")
        assert "searches" in answer.headers["Surrogate-Key"].split()
    async with site.client.get("/api/v1/search?q=Monster", headers={"If-None-Match": etag}) as answer:
        assert answer.status == 304


@pytest.mark.parametrize(
    "body",
    [
        {"query": "x" * 201}, {"query": "a\x00b"}, {"query": 5}, {"wrong": 1}, {"filters": {"genre": ["drama"]}},
        {"filters": {"types": ["series"]}}, {"filters": {"tags": ["x"] * 51}}, {"facets": ["colours"]},
        {"sort": "newest"}, {"limit": 101}, {"page": 0}, {"limit": 100, "page": 101}, {"filters": {"rating_from": 11}},
        {"filters": {"genres": [""]}},
    ],
)  # fmt: skip
async def test_what_does_not_fit_is_refused(site: Running, body: dict[str, Any]) -> None:
    async with site.client.post("/api/v1/search", json=body) as answer:
        await problem(answer, 422)


@pytest.mark.parametrize("target", ["q=%00", "q=" + "x" * 201, "page=101&limit=100", "facets=colours", "type=series"])
async def test_an_address_that_does_not_fit_is_refused(site: Running, target: str) -> None:
    async with site.client.get(f"/api/v1/search?{target}") as answer:
        await problem(answer, 422)


@pytest.mark.parametrize("text", ["%ED%A0%80", "%FF", "!!!", "%5C", "%27", "%26%7C%3A*", "~", "=%3D", "%F0%9F%92%A9"])
async def test_odd_texts_are_answered(site: Running, text: str) -> None:
    for path in ("search", "search/suggestions"):
        async with site.client.get(f"/api/v1/{path}?q={text}") as answer:
            assert answer.status in (200, 422), await answer.read()


async def test_a_lone_surrogate_is_refused(site: Running) -> None:
    body = b'{"query": "a\\ud800"}'
    headers = {"Content-Type": "application/json"}
    async with site.client.post("/api/v1/search", data=body, headers=headers) as answer:
        assert answer.status in (400, 422)


async def test_an_empty_query_browses_by_what_changed_last(site: Running) -> None:
    async with site.client.get("/api/v1/releases") as answer:
        listed = titles(await answer.json())
    body = await get(site)
    assert (titles(body), body["count"], body["corrected_query"]) == (listed, 10, None)
    assert titles(await get(site, q="   ")) == listed


async def test_signs_alone_find_nothing(site: Running) -> None:
    assert (await get(site, q="!!!"))["count"] == 0


async def test_a_search_in_vain_is_counted_and_one_that_filters_emptied_is_not(site: Running) -> None:
    misses = site.app[SEARCH_MISSES]
    before = misses.noted
    await get(site, q="xylophone orchestra", facets="genres")
    assert misses.noted == before + 1
    await get(site, q="naruto", year_to=1950)
    assert misses.noted == before + 1


async def test_what_is_written_elsewhere_is_found_within_seconds_though_the_answer_was_cached(site: Running) -> None:
    assert (await get(site, q="latecomer"))["count"] == 0
    conn = await connect(site.app[DATABASE].dsn)
    try:
        await load(conn, release(99, "The Latecomer", year=2025))
        await until_found(site, "latecomer", 1)
        await conn.execute("update releases set is_published = false where title = 'The Latecomer'")
        await conn.execute("update search_documents set changed = pg_current_xact_id() where release_id in"
                           " (select id from releases where title = 'The Latecomer')")  # fmt: skip
        await until_found(site, "latecomer", 0)
    finally:
        await conn.close()
