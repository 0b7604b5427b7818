"""No read of the catalogue scans a table: each statement is planned on thirty thousand releases.

Two kinds of statement may scan, and are therefore not here: the counts of a vocabulary (a whole pass by nature, cached
for ten minutes) and exact counts of filters that let a large part of the catalogue through (those not in NARROW).
Everything else has to find its rows by an index.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from server.schemas.catalogue_answers import ReleasePage
from sql import cms_episodes, cms_rebuild, cms_vocabularies, episodes, publishing, release_list, releases, vocabularies
from sql.release_list import SORTS, Choice, Filter
from tests import catalogue_seed
from tests.catalogue_seed import Api
from tests.conftest import Server
from tests.running import running

pytestmark = pytest.mark.asyncio(loop_scope="module")
RELEASES = 30_000
LARGE = {"releases", "episodes", "release_documents", "popularity_metrics"}
# Every filter alone: the narrow and the broad, what is wanted and what is not.
FILTERS = {
    "genre": Filter(genres=Choice([29])),
    "broad genre": Filter(genres=Choice([1])),
    "two genres": Filter(genres=Choice([1, 2])),
    "not a genre": Filter(genres=Choice(unwanted=[1])),
    "tag": Filter(tags=Choice([7])),
    "type": Filter(types=Choice(["music"])),
    "broad type": Filter(types=Choice(["tv", "movie"])),
    "not a type": Filter(types=Choice(unwanted=["tv"])),
    "status": Filter(statuses=Choice(["paused"])),
    "season": Filter(seasons=Choice(["winter"])),
    "age rating": Filter(age_ratings=Choice(["18+"])),
    "franchise": Filter(franchises=Choice([5, 6])),
    "years": Filter(year_from=1990, year_to=1991),
    "one season": Filter(seasons=Choice(["spring"]), year_from=2020, year_to=2020),
}
# Counts that read at most a fifth of the catalogue.
NARROW = ("genre", "tag", "type", "status", "franchise", "years", "one season", "two genres")
KEYS: dict[str, Any] = {
    "updated": datetime(2025, 10, 1, tzinfo=UTC),
    "year": 1990,
    "title": "m 500",
    "rating": 5.0,
    "popularity": 0.05,
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def dsn(server: Server) -> AsyncIterator[str]:
    """The large catalogue, which these tests only read."""
    async with catalogue_seed.database(server, RELEASES) as address:
        yield address


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def conn(dsn: str) -> AsyncIterator[Any]:
    """A connection to it, with the costs of a solid-state disk as the embedded server has them."""
    connection = await catalogue_seed.connect(
        dsn, random_page_cost="1.1", jit="off", max_parallel_workers_per_gather="0"
    )
    yield connection
    await connection.close()


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes(inner)


async def scanned(conn: Any, text: str, parameters: list[Any]) -> set[str]:
    """The large tables that a statement reads from end to end."""
    found = await conn.fetchval(f"explain (format json) {text}", *parameters)
    return {
        node["Relation Name"]
        for node in nodes(found[0]["Plan"])
        if node["Node Type"] == "Seq Scan" and node["Relation Name"] in LARGE
    }


@pytest.mark.parametrize("sort", [f"{sign}{name}" for sign, name in product(("", "-"), SORTS)])
async def test_each_order_reads_its_pages_by_an_index(conn: Any, sort: str) -> None:
    after = (KEYS[sort.removeprefix("-")], 45_000)
    pages = [(20, 0, None), (100, 0, None), (100, 2_000, None), (21, 0, after), (101, 0, after)]
    for limit, offset, beyond in pages:
        assert await scanned(conn, *release_list.compose_page(Filter(), sort, limit, offset, beyond)) == set()


@pytest.mark.parametrize("sort", ["-updated", "-popularity"])
@pytest.mark.parametrize("name", FILTERS)
async def test_each_filter_reads_its_pages_by_an_index(conn: Any, name: str, sort: str) -> None:
    for after in (None, (KEYS[sort.removeprefix("-")], 45_000)):
        assert await scanned(conn, *release_list.compose_page(FILTERS[name], sort, 21, 0, after)) == set()


@pytest.mark.parametrize("name", NARROW)
async def test_a_narrow_filter_is_counted_by_an_index(conn: Any, name: str) -> None:
    assert await scanned(conn, *release_list.compose_count(FILTERS[name])) == set()


async def test_a_scan_of_a_large_table_is_noticed(conn: Any) -> None:
    text = (
        "select count(*) from releases r join episodes e on e.release_id = r.id where r.synopsis > '' and e.title > ''"
    )
    assert await scanned(conn, text, []) == {"releases", "episodes"}


async def test_the_deepest_page_that_may_be_asked_for_costs_milliseconds(conn: Any) -> None:
    text, parameters = release_list.compose_page(Filter(), "-updated", 100, 9_900, None)
    found = await conn.fetchval(f"explain (analyze, format json) {text}", *parameters)
    assert found[0]["Execution Time"] < 250


NOON = datetime(2026, 5, 4, tzinfo=UTC)
STATEMENTS: list[tuple[Any, list[Any]]] = [
    (releases.QUERIES.get_releases, [[300, 301]]),
    (releases.QUERIES.get_release_by_slug, ["release-100"]),
    (releases.QUERIES.current_slug, ["old"]),
    (releases.QUERIES.resolve, [300]),
    (releases.QUERIES.resolve_slug, ["release-100"]),
    (releases.QUERIES.total, []),
    (releases.QUERIES.latest, [20]),
    (releases.QUERIES.latest, [100]),
    (releases.QUERIES.id_range, []),
    (releases.QUERIES.random_ids, [3, 90_000, 12]),
    (releases.QUERIES.random_ids, [3, 90_000, 408]),
    (releases.QUERIES.documents, [[3, 6, 9]]),
    (releases.QUERIES.related, [300, 20, 0]),
    (releases.QUERIES.count_related, [300]),
    (episodes.QUERIES.list_episodes, [300, 20, 0]),
    (episodes.QUERIES.count_episodes, [300]),
    (episodes.QUERIES.get_episode, [300]),
    (episodes.QUERIES.aired_between, [NOON, NOON.replace(day=11), 2000]),
    (vocabularies.QUERIES.list_franchises, [20, 0]),
    (vocabularies.QUERIES.list_franchises, [100, 2_000]),
    (vocabularies.QUERIES.get_franchise, [30]),
    (vocabularies.QUERIES.franchise_releases, [30, 100]),
    (vocabularies.QUERIES.find_franchises, [["franchise-5"], ["franchise 000005"], [5]]),
    (cms_vocabularies.OF["franchise"].word_places, [[5], ["franchise 000007"], ["franchise-9"]]),
    (cms_episodes.QUERIES.episode_places, [[300], [300], [Decimal(2)]]),
    (cms_episodes.QUERIES.episode_documents, [[300], True]),
    (cms_episodes.QUERIES.living_releases, [[300]]),
    (cms_rebuild.QUERIES.few_of_tag, [5, 2_000]),
    (cms_rebuild.QUERIES.next_of_genre, [5, 0, 500]),
    (cms_rebuild.QUERIES.next_of_tag, [5, 30_000, 500]),
    (cms_rebuild.QUERIES.next_of_franchise, [30, 0, 500]),
    (publishing.QUERIES.anything_due, []),
    (publishing.QUERIES.lock_due, [100]),
]


@pytest.mark.parametrize(("query", "parameters"), STATEMENTS, ids=lambda value: getattr(value, "name", ""))
async def test_a_read_finds_its_rows_by_an_index(conn: Any, query: Any, parameters: list[Any]) -> None:
    assert await scanned(conn, query.text, parameters) == set()


async def test_a_walk_goes_on_by_cursor_where_pages_end(dsn: str, tmp_path: Path) -> None:
    async with running(dsn, tmp_path, CACHE_MAX_BYTES="0") as started:
        api = Api(started, None)
        deep = await api.get("/releases?limit=100&page=98&sort=title", ReleasePage)
        pages = [deep]
        for _ in range(6):
            pages.append(await api.get(pages[-1]["next"], ReleasePage))
        assert ["cursor=" in page["next"] for page in pages[:4]] == [False, False, True, True]
        assert pages[2]["previous"].endswith("page=99")
        ids = [release["id"] for page in pages for release in page["results"]]
        assert len(set(ids)) == 700
        assert len({page["count"] for page in pages}) == 1
        odd = await api.get("/releases?limit=30&page=333", ReleasePage)
        assert "cursor=" in odd["next"]
        after = await api.get(odd["next"], ReleasePage)
        assert (len(after["results"]), after["previous"]) == (30, None)
