"""Whoever answers, the answers are the same: each question goes to a server on PostgreSQL alone and to one with
Elasticsearch, over the same database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from actors.trending import TrendingCalculator
from server import keys
from server.adapters import elasticsearch
from server.database import connect
from server.rules.search_document import RULES
from server.search import documents, elastic_finder
from sql import search_documents
from tests.catalogue_seed import database
from tests.conftest import Server
from tests.elastic_server import ElasticServer, elastic_server, until
from tests.elastic_spec import FILE
from tests.http_fixture import SHARED
from tests.importing import load
from tests.running import Running, running

pytestmark = [
    *SHARED,
    pytest.mark.skipif(not FILE.exists(), reason="no description of Elasticsearch beside the project"),
]

RELEASES = (
    {"title": "Attack on Titan", "titles": {"ru": "Атака титанов", "ja": "進撃の巨人", "romaji": "Shingeki no Kyojin"},
     "synopsis": "Humans are hunted by giants behind their walls.", "genres": ["Action", "Drama"], "tags": ["Gore"]},
    {"title": "Attack on Titan Season 2", "titles": {"romaji": "Shingeki no Kyojin 2nd Season"}, "genres": ["Action"],
     "franchise": "Attack on Titan", "season": "spring", "year": 2017},
    {"title": "Attack No. 1", "titles": {"ja": "アタックNo.1"}, "genres": ["Sports"], "year": 1969},
    {"title": "Fullmetal Alchemist", "titles": {"ru": "Стальной алхимик"}, "genres": ["Action", "Drama"],
     "synopsis": "Two brothers search for a stone, hunting what they lost."},
    {"title": "Fullmetal Alchemist: Brotherhood", "titles": {"ru": "Стальной алхимик: Братство"}, "type": "tv"},
    {"title": "Наруто", "titles": {"en": "Naruto"}, "synopsis": "Молодой ниндзя ищет признания деревни."},
    {"title": "Наруто: Ураганные хроники", "titles": {"en": "Naruto Shippuuden"}, "franchise": "Naruto"},
    {"title": "銀河英雄伝説", "titles": {"en": "Legend of the Galactic Heroes"}, "type": "ova", "status": "finished"},
    {"title": "Steins;Gate", "synonyms": ["Штейнс;Гейт", "S;G"], "genres": ["Drama", "Thriller"], "tags": ["Time"]},
    {"title": "Steins;Gate 0", "genres": ["Drama"], "tags": ["Time", "Gore"], "age_rating": "16+"},
    {"title": "Your Name", "titles": {"ja": "君の名は。", "romaji": "Kimi no Na wa."}, "type": "movie", "year": 2016},
    {"title": "Gate", "type": "tv", "season": "summer", "year": 2015},
    {"title": "Story of a Number"},
    {"title": "Alchemy Club", "tags": ["Titan"], "synopsis": "An alchemist founds a club about brothers."},
)  # fmt: skip
NUMBERS = """
    update popularity_metrics m set
        popularity_score = (r.id * 7919 % 1009)::float8 / 3, rating_count = r.id % 4,
        average_rating = case when r.id % 4 > 0 then ((r.id * 31 % 91) / 10.0 + 1)::real else 0 end
    from releases r where r.id = m.release_id
"""
TEXTS = (
    "attack on titan", "attack titan", "attack", "Атака титанов", "進撃の巨人", "巨人", "進撃", "shingeki no kyojin 2",
    "shingeki no kyojin s2", "сингэки но кёдзин", "атака титнов", "atack on titan", "fulmetal alchmist", "феефсл ешефт",
    "fnfrf nbnfyjd", "stein gate", "steins;gate", "штейнс гейт", "steins gate 0", "S;G", "brothers", "hunting", "walls",
    "деревня", "признание ниндзя", "naruto", "наруто ураганные", "drama", "titan", "gore", "kimi no na wa", "君の名は",
    "銀河英雄", "legend galactic", "gat", "st", "release", "release 5", "also known as 7", "genre 3", "story number",
    "qwxzy", "titan qwxzy", "!!!", "on", "2", "Release \\"
)  # fmt: skip
BODIES: tuple[dict[str, Any], ...] = (
    {},
    {"limit": 5, "page": 3},
    {"facets": ["genres", "tags", "types", "statuses", "seasons", "age_ratings", "years", "ratings"]},
    {"query": "release", "facets": ["genres", "tags", "types", "statuses", "seasons", "years", "ratings"], "page": 2},
    {"query": "release", "limit": 50, "page": 4},
    {"query": "release", "limit": 50, "page": 5},
    {"query": "release", "limit": 50, "page": 6},
    *({"query": "story", "limit": 50, "page": page} for page in range(1, 7)),
    *({"query": "genre", "limit": 20, "page": page} for page in range(1, 15, 3)),
    *({"query": "2", "limit": 20, "page": page} for page in range(1, 8)),
    {"query": "story", "limit": 7, "page": 9, "facets": ["types"], "filters": {"types": ["tv", "ova", "web"]}},
    *({"query": "release", "sort": sort, "limit": 30} for sort in (
        "updated", "-updated", "year", "-year", "rating", "-rating", "popularity", "-popularity", "title", "-title")),
    *({"sort": sort, "limit": 30, "page": 2} for sort in ("year", "-rating", "popularity", "-title")),
    {"query": "release", "filters": {"types": ["tv", "movie"]}, "facets": ["types", "statuses", "genres"]},
    {"query": "release", "filters": {"types": ["!tv"], "statuses": ["finished"]}, "facets": ["types", "statuses"]},
    {"filters": {"genres": ["genre-1"]}, "facets": ["genres", "tags"]},
    {"filters": {"genres": ["genre-1", "!genre-2"], "tags": ["!tag-3"]}, "facets": ["genres", "years"]},
    {"filters": {"year_from": 1990, "year_to": 2005}, "facets": ["years", "types"]},
    {"filters": {"rating_from": 7.3}, "facets": ["ratings"], "sort": "-rating", "limit": 50},
    {"filters": {"rating_from": 5, "rating_to": 7.6}, "facets": ["ratings", "seasons"], "sort": "rating", "limit": 50},
    {"filters": {"seasons": ["spring", "!summer"], "age_ratings": ["16+"]}, "facets": ["seasons", "age_ratings"]},
    {"filters": {"franchises": ["franchise-2"]}, "facets": ["types"]},
    {"filters": {"franchises": ["!franchise-2"]}, "facets": ["types"]},
    {"query": "attack", "filters": {"genres": ["nowhere"]}, "facets": ["genres"]},
    {"query": "attack titan", "filters": {"genres": ["action"], "tags": ["gore"]}},
    {"query": "drama", "facets": ["genres"]},
)  # fmt: skip


@dataclass
class Both:
    """Two servers over one database, and the Elasticsearch that one of them has."""

    plain: Running
    elastic: Running
    server: ElasticServer

    async def answers(self, method: str, path: str, **options: Any) -> tuple[Any, Any]:
        """What each of them says."""
        found = []
        for one in (self.plain, self.elastic):
            async with one.client.request(method, f"/api/v1{path}", **options) as answer:
                assert answer.status == 200, await answer.text()
                found.append(await answer.json())
        return found[0], found[1]

    @property
    def fallbacks(self) -> int:
        return self.elastic.app[keys.SEARCH].counters.fallbacks


def short(answer: Any) -> tuple[Any, ...]:
    """What a difference is seen by."""
    return answer["count"], answer["corrected_query"], answer["facets"], [one["id"] for one in answer["results"]]


async def healthy(running: Running) -> bool:
    async with running.client.get("/health") as answer:
        found = await answer.json()
    return all(
        found["checks"][name]["status"] == "ok" for name in ("search", "elasticsearch") if name in found["checks"]
    )


@pytest.fixture(scope="module")
def unhurried() -> Iterator[None]:
    """Nothing moves by itself, and nobody is given up for being slow: here the answers are compared."""

    async def rest(_: TrendingCalculator) -> None:
        pass

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrendingCalculator, "on_tick", rest)
        patch.setattr(elasticsearch, "SEARCH", 10.0)
        patch.setattr(elastic_finder, "SEARCH", 10.0)
        yield


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def both(server: Server, unhurried: None, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Both]:
    """Three hundred releases of a generated catalogue, and some that people know."""
    async with database(server, 300) as dsn, elastic_server() as found:
        conn = await connect(dsn)
        await load(conn, *RELEASES)
        await conn.execute(NUMBERS)
        # Before the servers start: it is then that they read how popular each is.
        await documents.write(conn, [row["id"] for row in await conn.fetch("select id from releases")])
        await search_documents.reach_rules(conn, RULES)
        await conn.close()
        room = tmp_path_factory.mktemp("both")
        wanted = {"SEARCH_BACKEND": "elasticsearch", "ELASTICSEARCH_URL": found.url}
        async with running(dsn, room / "a") as plain, running(dsn, room / "b", **wanted) as elastic:
            for one in (plain, elastic):
                await until(lambda: healthy(one), 30)  # noqa: B023 - waited for at once
            yield Both(plain, elastic, found)


@pytest.mark.parametrize("text", TEXTS)
async def test_a_text_is_read_and_answered_alike(both: Both, text: str) -> None:
    facets = ["genres", "tags", "types", "years", "ratings"]
    sent, before = len(both.server.requests), both.fallbacks
    plain, elastic = await both.answers("POST", "/search", json={"query": text, "facets": facets})
    assert short(elastic) == short(plain)
    assert elastic == plain
    assert both.fallbacks == before
    assert len(both.server.requests) > sent or text == "!!!"


@pytest.mark.parametrize("body", BODIES, ids=str)
async def test_filters_facets_orders_and_pages_are_the_same(both: Both, body: dict[str, Any]) -> None:
    before = both.fallbacks
    plain, elastic = await both.answers("POST", "/search", json=body)
    assert short(elastic) == short(plain)
    assert elastic == plain
    assert both.fallbacks == before


@pytest.mark.parametrize("text", TEXTS)
async def test_suggestions_are_the_same(both: Both, text: str) -> None:
    before = both.fallbacks
    plain, elastic = await both.answers("GET", "/search/suggestions", params={"q": text, "limit": "20"})
    assert elastic == plain
    assert both.fallbacks == before


async def test_nothing_that_was_sent_was_out_of_order(both: Both) -> None:
    assert both.server.forbidden == []
