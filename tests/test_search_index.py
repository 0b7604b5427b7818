"""The index in memory: sets of slots, facets, order; and its keeper, which hears of every committed change."""

from __future__ import annotations

from typing import Any

import pytest

from actors.search_index import SearchIndexKeeper
from server.database import Database, connect
from server.search import bitmaps
from server.search.columns import SPARSE, Column, Values
from server.search.engine import Filters
from server.search.index import Order, SearchIndex, bucket
from sql import search as sql
from sql import search_documents
from sql.release_list import Choice
from sql.search import Row
from tests.importing import load
from tests.search_site import CATALOGUE, release


def row(slot: int, **fields: Any) -> Row:
    given: dict[str, Any] = {
        "release_id": 100 + slot, "visible": True, "type": "tv", "status": "finished", "season": None,
        "age_rating": None, "year": None, "rating": None, "genre_ids": [], "tag_ids": [],
    }  # fmt: skip
    return Row(slot=slot, **(given | fields))


def some(count: int) -> SearchIndex:
    """Documents whose values follow from their slots."""
    index = SearchIndex()
    for start in range(0, count, 400):
        index.put(
            [
                row(
                    slot, type=("tv", "movie", "ova")[slot % 3], year=1990 + slot % 30 if slot % 7 else None,
                    rating=slot % 100 / 10 if slot % 2 else None, genre_ids=[slot % 5, 5 + slot % 2],
                    tag_ids=[slot % 1_000], visible=slot % 11 != 0,
                )
                for slot in range(start, min(count, start + 400))
            ]
        )  # fmt: skip
    return index


def members(bits: int) -> set[int]:
    return set(bitmaps.slots(bits))


@pytest.mark.parametrize(
    "slots", [[], [0], [5], [63, 64], [7, 3, 7], list(range(100, 160)), [1, 149_999], [*range(40), 9_000]]
)
def test_a_set_of_slots_gives_back_its_slots(slots: list[int]) -> None:
    bits = bitmaps.bitmap(slots)
    assert list(bitmaps.slots(bits)) == sorted(set(slots))
    assert bits.bit_count() == len(set(slots))
    assert list(bitmaps.count_each(bits, [slots, [0, 1, 2], []])) == [len(slots), len({0, 1, 2} & set(slots)), 0]


def test_a_column_counts_and_keeps_in_step_with_changes() -> None:
    column = Column(("a", "b", "c"))
    column.grow(6)
    column.put([(0, "a"), (1, "b"), (2, "a"), (3, None), (4, "c"), (5, "unheard of")])
    everybody = 0b111111
    assert sorted(column.counts(everybody)) == [("a", 2), ("b", 1), ("c", 1)]
    column.put([(0, "b"), (4, None), (3, "a")])
    assert sorted(column.counts(everybody)) == [("a", 2), ("b", 2)]
    assert (members(column.bitmap("a")), members(column.any_of(["b", "c"]))) == ({2, 3}, {0, 1})
    assert column.bitmap("unheard of") == 0
    assert [members(part) for part in column.parted(everybody, descending=True)] == [{0, 1}, {2, 3}, {4, 5}]


def test_values_are_the_same_whether_few_or_many_have_them() -> None:
    values = Values()
    values.put(0, [(slot, [1, 2] if slot % 2 else [1]) for slot in range(SPARSE + 1)])
    every, odd = set(range(SPARSE + 1)), set(range(1, SPARSE + 1, 2))
    assert (members(values.bitmap(1)), members(values.bitmap(2)), values.bitmap(3)) == (every, odd, 0)
    values.put(bitmaps.bitmap([1, 2]), [(1, [3]), (2, [2, 3])])
    assert (members(values.bitmap(1)), members(values.bitmap(2))) == (every - {1, 2}, odd - {1} | {2})
    assert dict(values.counts(bitmaps.bitmap(range(10)))) == {1: 8, 2: 5, 3: 2}


def test_filters_are_as_the_definition_says() -> None:
    index = some(2_500)
    rows = {slot: (("tv", "movie", "ova")[slot % 3], 1990 + slot % 30 if slot % 7 else None) for slot in range(2_500)}
    shown = {slot for slot in rows if slot % 11}
    assert members(index.allowed(Filters())) == shown
    assert members(index.allowed(Filters(types=Choice(("tv", "movie"), ("movie",))))) == {
        slot for slot in shown if rows[slot][0] == "tv"
    }
    assert members(index.allowed(Filters(year_from=2000, year_to=2005))) == {
        slot for slot in shown if 2000 <= (rows[slot][1] or 0) <= 2005
    }
    assert members(index.allowed(Filters(genres=Choice((3, 5), (6,)), tags=Choice((), (8,))))) == {
        slot for slot in shown if slot % 5 == 3 and slot % 2 == 0 and slot % 1_000 != 8
    }
    assert members(index.allowed(Filters(rating_from=2.5, rating_to=7.1))) == {
        slot for slot in shown if slot % 2 and 25 <= slot % 100 <= 71
    }
    assert members(index.allowed(Filters(rating_from=10))) == set()
    assert members(index.allowed(Filters(types=Choice(("ova",))), but="types")) == shown


def test_counts_add_up() -> None:
    index = some(2_500)
    hits = index.visible
    shown = members(hits)
    for facet in ("types", "years", "genres", "tags", "ratings"):
        counted = dict(index.counts(hits, facet))
        assert all(counted.values())
        if facet in ("types", "tags"):
            assert sum(counted.values()) == len(shown)
    assert dict(index.counts(hits, "genres"))[5] == sum(slot % 2 == 0 for slot in shown)
    assert dict(index.counts(hits, "ratings"))["9-10"] == sum(slot % 2 == 1 and slot % 100 >= 90 for slot in shown)


def test_a_bucket_takes_its_lower_end_and_the_last_one_both() -> None:
    assert [bucket(rating) for rating in (None, 0.0, 0.5, 7.0, 7.99, 9.0, 10.0)] == [
        None, None, "0-1", "7-8", "7-8", "9-10", "9-10",
    ]  # fmt: skip


@pytest.mark.parametrize("count", [3, 50, 2_400])
def test_popular_ones_are_the_same_whichever_way_they_are_looked_for(count: int) -> None:
    index, order = some(2_500), Order()
    order.grow(2_500)
    order.add(slot * 7 % 2_500 for slot in range(2_500))
    index.reorder(order)
    hits = bitmaps.bitmap(range(2_500 - count, 2_500))
    expected = [slot * 7 % 2_500 for slot in range(2_500) if slot * 7 % 2_500 >= 2_500 - count]
    for most in (0, 1, 10, 2_500):
        assert index.popular(hits, most) == expected[:most]
        assert index.popular(hits, most, least=True) == expected[::-1][:most]


def test_slots_the_index_has_not_heard_of_are_left_out_and_new_ones_come_last() -> None:
    index = some(10)
    assert members(index.bitmap([3, 12])) == {3}
    index.put([row(12)])
    assert index.order.slots[-1] == 12
    assert members(index.allowed(Filters())) == {*range(1, 10), 12}


async def keeper_on(dsn: str) -> tuple[Database, SearchIndex, SearchIndexKeeper, list[int]]:
    database, index, moves = Database(dsn), SearchIndex(), list[int]()
    await database.open()
    keeper = SearchIndexKeeper(database, index, lambda: moves.append(1))
    await keeper.on_start()
    await keeper.on_tick()
    return database, index, keeper, moves


async def test_the_keeper_loads_what_is_there_and_hears_of_what_changes(conn: Any, dsn: str) -> None:
    await load(conn, *CATALOGUE)
    await conn.execute("update popularity_metrics set popularity_score = release_id")
    database, index, keeper, moves = await keeper_on(dsn)
    try:
        assert index.loaded.is_set()
        assert (index.documents, len(index.names)) == (10, 10)
        newest = index.popular(index.visible, 1)
        assert index.ids[newest[0]] == await conn.fetchval("select max(id) from releases")
        before = len(moves)
        await keeper.on_tick()
        assert len(moves) == before
        await load(conn, release(11, "Newcomer", type="ova", genres=["New"]), release(3, "Naruto Again", year=2003))
        await keeper.on_tick()
        assert (index.documents, len(moves)) == (11, before + 1)
        genre = await conn.fetchval("select id from genres where name = 'New'")
        assert [index.ids[slot] for slot in bitmaps.slots(index.many["genres"].bitmap(genre))] == [
            await conn.fetchval("select id from releases where title = 'Newcomer'")
        ]
        assert [len(index.names.beginning(key)) for key in ("newcomer", "naruto again")] == [1, 1]
    finally:
        await database.close()


async def test_what_is_hidden_leaves_the_index(conn: Any, dsn: str) -> None:
    await load(conn, *CATALOGUE)
    database, index, keeper, _ = await keeper_on(dsn)
    try:
        gone = await conn.fetchval("update releases set is_published = false where title = 'Monster' returning id")
        await search_documents.stir(conn, [gone])
        await keeper.on_tick()
        assert index.documents == 9
    finally:
        await database.close()


async def test_a_transaction_that_takes_long_is_not_passed_over(conn: Any, dsn: str) -> None:
    """Its number is older than those of others that commit before it."""
    await load(conn, *CATALOGUE)
    database, index, keeper, _ = await keeper_on(dsn)
    slow = await connect(dsn)
    try:
        one, other = [row["id"] for row in await conn.fetch("select id from releases order by id limit 2")]
        transaction = slow.transaction()
        await transaction.start()
        await slow.execute("update releases set year = 1950 where id = $1", one)
        await search_documents.stir(slow, [one])
        await conn.execute("update releases set year = 1951 where id = $1", other)
        await search_documents.stir(conn, [other])
        await keeper.on_tick()
        assert (index.single["years"].bitmap(1950), index.single["years"].bitmap(1951)) == (0, 0)
        await transaction.commit()
        await keeper.on_tick()
        assert index.single["years"].bitmap(1950).bit_count() == index.single["years"].bitmap(1951).bit_count() == 1
    finally:
        await slow.close()
        await database.close()


async def test_the_order_and_ratings_follow_the_database(conn: Any, dsn: str) -> None:
    await load(conn, *CATALOGUE)
    await conn.execute(
        "update popularity_metrics set popularity_score = release_id, rating_count = 1, average_rating = 7.5"
    )
    slots, ratings = await sql.by_popularity(conn)
    ids = {row["slot"]: row["release_id"] for row in await conn.fetch("select slot, release_id from search_documents")}
    assert [ids[slot] for slot in slots] == sorted(ids.values(), reverse=True)
    assert list(ratings) == [7.5] * 10
