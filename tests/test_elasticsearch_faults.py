"""Elasticsearch is slow, dies, refuses, talks nonsense: every search is answered all the same, by PostgreSQL then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from itertools import count
from time import monotonic
from typing import Any

import pytest
import pytest_asyncio

from server import keys
from server.adapters.elasticsearch import Elasticsearch
from server.database import connect
from server.rules.search_document import RULES
from server.search import documents
from sql import search_documents
from tests.catalogue_seed import database
from tests.conftest import Server
from tests.elastic_server import ElasticServer, Trouble, elastic_server, until
from tests.elastic_spec import FILE
from tests.http_fixture import SHARED
from tests.running import Running, running

pytestmark = [
    *SHARED,
    pytest.mark.skipif(not FILE.exists(), reason="no description of Elasticsearch beside the project"),
]
TROUBLES = ("hang", "cut", "429", "500", "garbage", "list", "huge", "redirect", "partial")
PASSWORD = "p@ss/hunter2"
NUMBERS = count()


@dataclass
class Site:
    """A running server, its Elasticsearch, and questions nobody has asked before."""

    running: Running
    elastic: ElasticServer
    asked: int = 0

    async def search(self) -> tuple[dict[str, Any], float]:
        """A search that no cache knows, and how long it took."""
        self.asked += 1
        started = monotonic()
        # Years that exclude nothing, another pair each time.
        years = {"year_from": 1900 + self.asked // 50, "year_to": 2100 - self.asked % 50}
        body = {"query": "release", "filters": years, "facets": ["types"]}
        async with self.running.client.post("/api/v1/search", json=body) as answer:
            assert answer.status == 200, await answer.text()
            found = await answer.json()
        return found, monotonic() - started

    async def quickest(self) -> float:
        """The seconds of the quickest of five searches: a busy machine delays some."""
        return min([(await self.search())[1] for _ in range(5)])

    async def check(self) -> dict[str, Any]:
        """What /health says of Elasticsearch."""
        async with self.running.client.get("/health") as answer:
            assert answer.status == 200
            found: dict[str, Any] = (await answer.json())["checks"]["elasticsearch"]
            return found

    async def searches_sent(self) -> int:
        """How many searches one question leads to."""
        before = len(self.searches)
        await self.search()
        return len(self.searches) - before

    @property
    def searches(self) -> list[tuple[str, str]]:
        return [one for one in self.elastic.requests if one[1].endswith("/_search")]

    async def well(self) -> bool:
        return (await self.check())["status"] == "ok"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def module_site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with database(server, 60) as dsn, elastic_server() as elastic:
        elastic.password = PASSWORD
        conn = await connect(dsn)
        await documents.write(conn, [row["id"] for row in await conn.fetch("select id from releases")])
        await search_documents.reach_rules(conn, RULES)
        await conn.close()
        url = elastic.url.replace(PASSWORD, "p%40ss%2Fhunter2")
        room = tmp_path_factory.mktemp("site")
        async with running(dsn, room, SEARCH_BACKEND="elasticsearch", ELASTICSEARCH_URL=url) as started:
            yield Site(started, elastic)


@pytest_asyncio.fixture(loop_scope="module")
async def site(module_site: Site) -> AsyncIterator[Site]:
    """The site in good health, and so again afterwards."""
    await until(module_site.well)
    await until(module_site.running.app[keys.SEARCH].index.loaded.is_set)
    yield module_site
    module_site.elastic.trouble = ""
    module_site.elastic.troubled = ""
    if module_site.elastic._runner is None:
        await module_site.elastic.start()
    await until(module_site.well)


async def test_it_answers_with_its_name_and_password(site: Site) -> None:
    # On a busy machine its first answers may come too late.
    async with asyncio.timeout(20):
        while True:
            before = site.running.app[keys.SEARCH].counters.fallbacks
            sent = await site.searches_sent()
            if sent and site.running.app[keys.SEARCH].counters.fallbacks == before:
                break


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_the_same_request_is_answered_whatever_happens(site: Site, trouble: Trouble) -> None:
    site.elastic.trouble, site.elastic.troubled = trouble, "/_search"
    fallbacks = site.running.app[keys.SEARCH].counters.fallbacks
    for _ in range(4):
        found, seconds = await site.search()
        assert found["count"] > 40
        assert found["facets"]["types"]
        # 300 ms of patience, and what a busy machine adds; one that hangs would keep it for a minute.
        assert seconds < 10
    assert site.running.app[keys.SEARCH].counters.fallbacks == fallbacks + 4
    await until(lambda: degraded(site))
    # It comes back by itself.
    site.elastic.trouble = ""
    await until(site.well)
    assert await site.searches_sent() > 0


def first_hit(**said: Any) -> Callable[[Any], None]:
    def spoil(answer: Any) -> None:
        for hit in answer["hits"]["hits"][:1]:
            hit.update(said)

    return spoil


def first_bucket(facet: str, **said: Any) -> Callable[[Any], None]:
    def spoil(answer: Any) -> None:
        if "aggregations" in answer:
            answer["aggregations"][facet]["values"]["buckets"][0].update(said)

    return spoil


@pytest.mark.parametrize(
    "spoil",
    [
        first_hit(sort=[1.0]), first_hit(sort=[1.0, 2.0, "3"]), first_hit(sort=7), first_hit(_id=str(2**63)),
        first_hit(_id="-1"), first_hit(_source={"keys": [], "slot": "x"}),
        first_bucket("genres", key="drama"), first_bucket("tags", key=2**63), first_bucket("years", key=None),
        first_bucket("types", key=5), first_bucket("genres", doc_count="many"), first_bucket("genres", doc_count=1.5),
    ],
)  # fmt: skip
async def test_an_answer_of_another_shape_is_none(
    site: Site, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Any], None]
) -> None:
    search, spoilt = Elasticsearch.search, 0

    async def spoiled(*asked: Any) -> dict[str, Any]:
        nonlocal spoilt
        answer = await search(*asked)
        spoil(answer)
        spoilt += 1
        return answer

    counters = site.running.app[keys.SEARCH].counters

    async def answered() -> bool:
        """Whether this answer was one of those that were spoilt; until it is asked again, there are none."""
        number, fallbacks = next(NUMBERS), counters.fallbacks
        # No cache knows it.
        body = {
            "query": "release", "filters": {"year_to": 2100 - number % 50}, "limit": 1 + number // 50 % 50,
            "facets": ["genres", "tags", "years", "types"],
        }  # fmt: skip
        async with site.running.client.post("/api/v1/search", json=body) as answer:
            assert answer.status == 200, await answer.text()
            assert (await answer.json())["count"] > 40
        assert counters.fallbacks == fallbacks + 1
        return spoilt > 0

    with monkeypatch.context() as patch:
        patch.setattr(Elasticsearch, "search", spoiled)
        await until(answered)


async def unwell(site: Site) -> bool:
    return not await site.well()


async def degraded(site: Site) -> bool:
    return await site.check() == {"status": "degraded", "detail": "it does not answer; PostgreSQL does"}


async def test_one_that_is_gone_is_left_alone_and_found_again(site: Site) -> None:
    await site.elastic.stop()
    for _ in range(5):
        await site.search()
    await until(lambda: degraded(site))
    # Nobody waits for it while it is away.
    assert await site.quickest() < 0.25
    await site.elastic.start()
    await until(site.well)
    assert await site.searches_sent() > 0


async def test_after_one_failure_nobody_waits_for_the_next(site: Site) -> None:
    site.elastic.trouble, site.elastic.troubled = "hang", "/_search"
    before = len(site.searches)
    outcomes = await asyncio.gather(*(site.search() for _ in range(10)))
    assert all(found["count"] > 0 for found, _ in outcomes)
    # Those that were under way at once, and not one more.
    assert await site.quickest() < 0.25
    assert len(site.searches) <= before + 10 + 1


async def test_one_that_lost_its_index_is_filled_again(site: Site) -> None:
    site.elastic.wipe()
    found, _ = await site.search()
    assert found["count"] > 40
    await until(lambda: unwell(site))
    await until(site.well, 30)
    assert await site.searches_sent() > 0


async def test_a_wrong_password_is_no_failure_of_searches(site: Site) -> None:
    site.elastic.password = "another"
    found, _ = await site.search()
    assert found["count"] > 40
    await until(lambda: degraded(site))
    site.elastic.password = PASSWORD
    await until(site.well)


async def test_readiness_does_not_depend_on_it(site: Site) -> None:
    await site.elastic.stop()
    await site.search()
    async with site.running.client.get("/ready") as answer:
        assert answer.status == 200


async def test_what_an_editor_changes_is_found_within_a_second_or_two(site: Site) -> None:
    conn = await connect(site.running.app[keys.SETTINGS].database_url)
    await conn.execute(
        "update search_documents set names = names || to_tsvector('simple', 'sudden'), changed = pg_current_xact_id()"
        " where release_id = 3"
    )
    await conn.close()
    started = monotonic()

    async def there() -> bool:
        site.asked += 1
        body = {"query": "sudden", "filters": {"year_to": 2100 - site.asked % 50}}
        async with site.running.client.post("/api/v1/search", json=body) as answer:
            return any(one["id"] == 3 for one in (await answer.json())["results"])

    await until(there)
    assert monotonic() - started < 5


async def test_metrics_show_it_and_nothing_shows_the_password(site: Site) -> None:
    await site.search()
    async with site.running.client.get("/metrics") as answer:
        text = await answer.text()
    assert "yojohan_elasticsearch_ready 1.0" in text
    assert 'yojohan_elasticsearch_documents_total{end="written"}' in text
    async with site.running.client.get("/health") as answer:
        text += await answer.text()
    assert b"hunter2" not in b"".join(site.running.log.lines)
    assert "hunter2" not in text
