"""The index in memory: sets of slots, facets, order; and its keeper, which hears of every committed change."""

from __future__ import annotations

from random import Random
from struct import pack, unpack
from typing import Any

import pytest

from actors.search_index import SearchIndexKeeper, _together
from server.database import Database, connect
from server.errors import Unavailable
from server.search import bitmaps
from server.search.columns import SPARSE, Column, Values
from server.search.engine import Filters
from server.search.index import Order, SearchIndex
from server.search.ratings import bucket, hundredths
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


def test_new_slots_are_among_those_without_a_value() -> None:
    column = Column(("a", "b"))
    column.grow(2)
    column.put([(0, "a")])
    assert [members(part) for part in column.parted(0b11, descending=False)] == [{1}, {0}]
    column.grow(2)
    column.put([(3, "a")])
    assert [members(part) for part in column.parted(0b1111, descending=False)] == [{1, 2}, {0, 3}]


@pytest.mark.parametrize("touched", [1, 3, 40])
def test_values_forget_what_slots_had_before_however_many_there_are(touched: int) -> None:
    values, chance = Values(), Random(touched)
    known = {slot: chance.sample(range(50), 3) for slot in range(2_000)}
    values.put(0, list(known.items()))
    for _ in range(20):
        anew = {slot: chance.sample(range(50), 3) for slot in chance.sample(range(2_000), touched)}
        values.put(bitmaps.bitmap(list(anew)), list(anew.items()))
        known |= anew
    for value in range(50):
        assert members(values.bitmap(value)) == {slot for slot, ids in known.items() if value in ids}


def test_values_may_change_while_they_are_counted() -> None:
    values = Values()
    values.put(0, [(slot, [slot % 7]) for slot in range(70)])
    counting = values.counts(bitmaps.bitmap(range(70)))
    first = next(counting)
    values.put(0, [(70, [8, 9])])
    assert dict([first, *counting]) == dict.fromkeys(range(7), 10)


@pytest.mark.parametrize("shown", [7.7, 7.07, 8.29, 9.99, 10.0, 1.0, 6.67])
def test_a_bound_takes_in_the_rating_that_is_shown(shown: float) -> None:
    """Averages are kept in four bytes: 7.7 is a little less there."""
    (kept,) = unpack("f", pack("f", shown))
    index = SearchIndex()
    index.put([row(0, rating=kept), row(1, rating=shown - 0.02), row(2, rating=shown + 0.02), row(3)])
    assert members(index.allowed(Filters(rating_from=shown, rating_to=shown))) == {0}
    assert 0 in members(index.allowed(Filters(rating_from=shown)))
    assert 0 in members(index.allowed(Filters(rating_to=shown)))


async def test_ratings_are_rounded_as_the_database_shows_them(conn: Any) -> None:
    averages = [total / count for count in range(1, 60) for total in range(count, 10 * count + 1, 7)]
    rows = await conn.fetch(
        "select a::real as kept, (round(a::real::numeric, 2) * 100)::integer as shown from unnest($1::float8[]) a",
        averages,
    )
    assert [hundredths(row["kept"]) for row in rows] == [row["shown"] for row in rows]


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
    assert [bucket(hundredths(rating)) for rating in (None, 0.0, 0.5, 7.0, 7.99, 9.0, 10.0)] == [
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
    slots = await sql.by_popularity(conn)
    rated, ratings = await sql.ratings(conn)
    ids = {row["slot"]: row["release_id"] for row in await conn.fetch("select slot, release_id from search_documents")}
    assert [ids[slot] for slot in slots] == sorted(ids.values(), reverse=True)
    assert (sorted(rated), list(ratings)) == (sorted(slots), [7.5] * 10)


async def test_ratings_follow_without_a_word_from_anybody(conn: Any, dsn: str) -> None:
    await load(conn, *CATALOGUE)
    one = await conn.fetchval("select id from releases where title = 'Monster'")
    database, index, keeper, moves = await keeper_on(dsn)
    try:
        for average, bounds in ((7.7, (7.7, 7.7)), (8.2, (8.2, 8.2)), (0.0, (0.0, 10.0))):
            await conn.execute(
                "update popularity_metrics set average_rating = $2::real, rating_count = sign($2::real)::integer"
                " where release_id = $1",
                one, average,
            )  # fmt: skip
            before = len(moves)
            await keeper._rate()
            fitting = members(index.allowed(Filters(rating_from=bounds[0], rating_to=bounds[1])))
            assert [index.ids[slot] for slot in fitting] == ([one] if average else [])
            assert len(moves) == before + 1
            await keeper._rate()
            assert len(moves) == before + 1
    finally:
        await database.close()


def test_changes_all_over_the_index_are_taken_in_by_parts_that_lie_together() -> None:
    slots = [14_999, 3, 5_002, 9_999, 5_003, 4]
    parts = [[one.slot for one in part] for part in _together([row(slot) for slot in slots])]
    assert parts == [[3, 4, 5_002], [5_003, 9_999], [14_999]]
    assert list(_together([])) == []


async def test_what_was_taken_is_told_of_even_if_the_database_goes_away(
    conn: Any, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await load(conn, *CATALOGUE)
    database, index, keeper, moves = await keeper_on(dsn)
    try:
        await load(conn, release(11, "Newcomer"), release(12, "Another"), release(13, "Third"))
        monkeypatch.setattr("actors.search_index.SLICE", 2)
        changed, calls = sql.documents_changed, []

        async def once(*given: Any) -> Any:
            calls.append(1)
            if len(calls) > 1:
                raise Unavailable("The database is away.")
            return await changed(*given)

        monkeypatch.setattr(sql, "documents_changed", once)
        before = len(moves)
        await keeper.on_tick()
        assert (len(calls), index.documents, len(moves)) == (2, 12, before + 1)
        monkeypatch.undo()
        await keeper.on_tick()
        assert (index.documents, len(moves)) == (13, before + 2)
    finally:
        await database.close()


async def test_documents_have_their_places_as_soon_as_there_are_all(conn: Any, dsn: str) -> None:
    await load(conn, *CATALOGUE)
    await conn.execute("update search_state set rules = 0")
    database, index, keeper, moves = await keeper_on(dsn)
    try:
        assert not index.complete
        await load(conn, release(11, "Newcomer"))
        await conn.execute(
            "update popularity_metrics set popularity_score = 99999 where release_id ="
            " (select id from releases where title = 'Newcomer')"
        )
        await keeper.on_tick()
        newcomer = index.ids.index(await conn.fetchval("select id from releases where title = 'Newcomer'"))
        assert index.order.slots[-1] == newcomer
        await conn.execute("update search_state set rules = 1")
        before = len(moves)
        await keeper.on_tick()
        assert (index.complete, index.order.slots[0], len(moves)) == (True, newcomer, before + 1)
    finally:
        await database.close()
