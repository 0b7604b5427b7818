"""Pages of every order, whatever it is made by; and searching while documents are missing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from random import Random
from time import perf_counter
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from server.bodies import search as bodies
from server.errors import Unavailable
from server.schemas.search import SearchBody
from server.search import bitmaps, postgresql, ranking
from server.search.engine import Filters, Sort
from server.search.index import SearchIndex
from server.search.postgresql import PostgresqlEngine
from sql.search import Row
from tests.search_site import small_engine, titles, wanted
from tests.test_search_ladder import queries

NOBODY: Any = None


def filled(rows: list[tuple[int | None, float | None]]) -> SearchIndex:
    """Documents of these years and ratings."""
    index = SearchIndex()
    index.put(
        [
            Row(slot, 100 + slot, True, "tv", "finished", None, None, year, rating, [], [])
            for slot, (year, rating) in enumerate(rows)
        ]
    )
    return index


async def paged(index: SearchIndex, bits: int, sort: Sort, size: int) -> list[int]:
    pages = [
        await ranking.by_column(NOBODY, index, bits, sort, slice(start, start + size))
        for start in range(0, index.size + size, size)
    ]
    return [slot for page in pages for slot in page]


@pytest.mark.parametrize("seed", range(8))
async def test_pages_of_parts_of_any_sizes_make_up_the_whole(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.search.ratings.MANY", 20)
    chance = Random(seed)
    parts = [(chance.randint(1, 40), chance.choice([None, *range(1990, 2010)])) for _ in range(12)]
    # Ratings of one bucket more than of others, and its ends too.
    ratings = [None, 1.0, 10.0, *(chance.choice([7.0, 7.99, chance.randint(100, 1000) / 100]) for _ in range(40))]
    rows = [(year, chance.choice(ratings)) for size, year in parts for _ in range(size)]
    chance.shuffle(rows)
    index = filled(rows)
    bits = bitmaps.bitmap([slot for slot in range(index.size) if chance.random() < 0.8])
    for name, column in (("year", 0), ("rating", 1)):
        expected = sorted(bitmaps.slots(bits), key=lambda slot: (rows[slot][column] or 0, slot))
        for size in (1, 3, 7, 50, 1_000):
            assert await paged(index, bits, name, size) == expected  # type: ignore[arg-type]
            assert await paged(index, bits, f"-{name}", size) == expected[::-1]  # type: ignore[arg-type]


@pytest_asyncio.fixture
async def engine(conn: Any, dsn: str) -> AsyncIterator[PostgresqlEngine]:
    async with small_engine(conn, dsn) as engine:
        yield engine


@pytest.mark.parametrize("sort", ["title", "-updated"])
async def test_few_statements_find_a_page_wherever_it_lies(
    engine: PostgresqlEngine, monkeypatch: pytest.MonkeyPatch, sort: Sort
) -> None:
    whole = list((await engine.find(wanted("", sort=sort))).ids)
    # What is filtered for lies at the very end of the order.
    index, last = engine.index, [engine.index.ids.index(one) for one in whole[-3:]]
    async with engine._database.connection() as conn:
        for most in (ranking.SORTED, 0):
            monkeypatch.setattr(ranking, "SORTED", most)
            with queries() as seen:
                slots = await ranking.by_column(conn, index, bitmaps.bitmap(last), sort, slice(1, 3))
            assert slots == last[1:]
            assert sum(seen.values()) == 1


async def test_steps_through_the_whole_order_grow(engine: PostgresqlEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []

    async def walk(_conn: Any, _sort: str, limit: int, offset: int) -> list[int]:
        asked.append((limit, offset))
        return list(range(offset, min(100_000, offset + limit)))

    monkeypatch.setattr("sql.search.walk", walk)
    index = filled([(None, None)] * 100_000)
    bits = bitmaps.bitmap(range(70_000, 100_000))
    found = await ranking.by_column(NOBODY, index, bits, "title", slice(20, 40))
    assert found == list(range(70_020, 70_040))
    assert len(asked) <= 12


async def test_while_documents_are_missing_ratings_and_orders_hold_as_well(conn: Any, engine: PostgresqlEngine) -> None:
    engine.index.complete = False
    assert await titles(conn, await engine.find(wanted("naruto "))) == ["Naruto", "Naruto Shippuden"]
    assert await titles(conn, await engine.find(wanted("naruto", sort="-title"))) == ["Naruto Shippuden", "Naruto"]
    assert await titles(conn, await engine.find(wanted("naruto", sort="year"))) == ["Naruto", "Naruto Shippuden"]
    await conn.execute(
        "update popularity_metrics set rating_count = 1, average_rating = 7.7"
        " where release_id = (select id from releases where title = 'Naruto Shippuden')"
    )
    for filters in (Filters(rating_from=7.7), Filters(rating_to=7.7)):
        found = await engine.find(wanted("naruto", filters=filters))
        assert (await titles(conn, found), found.count) == (["Naruto Shippuden"], 1)
    assert (await engine.find(wanted("naruto", filters=Filters(rating_from=7.71)))).count == 0
    for sort in ("-rating", "rating", "popularity", "-popularity", "updated", "-updated"):
        assert len((await engine.find(wanted("naruto", sort=sort))).ids) == 2
    assert await titles(conn, await engine.find(wanted("naruto", sort="-rating"))) == ["Naruto Shippuden", "Naruto"]


async def test_while_documents_are_missing_few_look_through_all_names_at_once(
    engine: PostgresqlEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.index.complete = False
    running, most, let = 0, 0, asyncio.Event()

    async def plainly(*_: Any) -> list[int]:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await let.wait()
        running -= 1
        return []

    monkeypatch.setattr("sql.search.plainly", plainly)
    monkeypatch.setattr(postgresql, "PATIENCE", 0.05)
    searches = [asyncio.create_task(engine.find(wanted("naruto"))) for _ in range(4)]
    done, _ = await asyncio.wait(searches, timeout=5, return_when=asyncio.FIRST_EXCEPTION)
    assert any(isinstance(task.exception(), Unavailable) for task in done)
    let.set()
    answers = await asyncio.gather(*searches, return_exceptions=True)
    assert (most, sum(isinstance(answer, Unavailable) for answer in answers)) == (2, 2)
    assert (await engine.find(wanted("naruto"))).count == 0


async def test_counting_gives_others_their_turns() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    def slow() -> Any:
        for value in range(5):
            end = perf_counter() + 0.002
            while perf_counter() < end:
                pass
            yield value, 1

    task = asyncio.create_task(others())
    assert len(await postgresql._in_turns(slow())) == 5
    task.cancel()
    assert turns >= 4


def body(**fields: Any) -> SearchBody:
    return msgspec.convert(fields, SearchBody)


def test_a_bound_of_nothing_is_not_no_bound() -> None:
    assert bodies.canonical(body(filters={"rating_to": 0})) != bodies.canonical(body())
    assert bodies.canonical(body(filters={"genres": []})) == bodies.canonical(body())


async def test_highlights_of_many_releases_give_others_their_turns() -> None:
    said = {"title": "A", "titles": {}, "synonyms": [], "synopsis": "a able sea"}
    turns: list[int] = []
    asyncio.get_running_loop().call_soon(turns.append, 1)
    marked = await bodies._marked([msgspec.json.encode(said).decode()] * 30, ("a", "sea"))
    assert (len(marked), turns) == (30, [1])
    fields = {one["field"]: one["ranges"] for one in msgspec.json.decode(marked[0])["highlights"]}
    assert fields == {"title": [[0, 1]], "synopsis": [[7, 3]]}
