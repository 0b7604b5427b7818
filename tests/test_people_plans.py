"""No statement about people reads through a growing table: every one of them, as planned for any parameters.

The catalogue has 30,000 releases, 10,000 people keep 120,000 things and have watched 300,000 episodes; the benchmarks
hold the same statements against 150,000, 100,000 and 5,000,000 (`python -m tests.bench --only app`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from server.database import connect
from server.rules.reviews import SORTS, order
from sql import erasure, reviews
from sql.query import Query
from sql.reviews import Judged
from tests import catalogue_seed, people_seed, talk_seed
from tests.conftest import Server
from tests.http_fixture import SHARED
from tests.judging import DAILY, review, settle, words
from tests.people_plans import GROWING, NOUNS, prepare_for, statements, tables_read_through

pytestmark = SHARED
# What recommendations are made from.
STORED = """
insert into release_neighbours (release_id, neighbours, scores)
select id, array[id - 3, id + 3], array[0.5, 0.4] from releases;
insert into release_audience (release_id, others, weights)
select id, array[id - 3, id + 3], array[0.5, 0.4] from releases where id % 9 = 0;
analyze release_neighbours, release_audience
"""
SCANNED = "select relname, seq_scan from pg_stat_xact_user_tables where seq_scan > 0"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def conn(server: Server) -> AsyncIterator[Any]:
    async with catalogue_seed.database(server, 30_000) as dsn:
        connection = await connect(dsn, random_page_cost="1.1")
        await people_seed.fill(connection, 10_000, progress=30)
        await talk_seed.fill(connection)
        await connection.execute(STORED)
        await prepare_for(connection)
        yield connection
        await connection.close()


@pytest.mark.parametrize("noun", NOUNS)
async def test_every_statement_finds_its_rows_by_an_index(conn: Any, noun: str) -> None:
    found = {query.name: await tables_read_through(conn, query) for query in statements(noun)}
    assert {name: tables for name, tables in found.items() if tables} == {}


async def test_erasing_somebody_reads_through_no_table_either_nor_do_the_keys_that_point_to_them(conn: Any) -> None:
    user_id = await conn.fetchval("select user_id from progress order by user_id offset 5000 limit 1")
    transaction = conn.transaction()
    await transaction.start()
    # What this connection did before may not have been taken off the counters yet.
    before = dict(await conn.fetch(SCANNED))
    await erasure.erase(conn, user_id)
    read = {name for name, scans in await conn.fetch(SCANNED) if scans > before.get(name, 0)}
    await transaction.rollback()
    assert {name.rstrip("_0123456789") for name in read} & GROWING == set()


async def test_no_page_of_reviews_reads_through_a_table_in_whatever_order(conn: Any) -> None:
    for sort in SORTS:
        for by_key in (False, True):
            text = reviews.compose_page(order(sort), by_key=by_key)  # type: ignore[arg-type]
            assert await tables_read_through(conn, Query("list_reviews", text)) == set(), sort


async def test_nothing_done_to_reviews_reads_through_a_table(conn: Any) -> None:
    mine = await conn.fetchrow(
        "select id, user_id, release_id from reviews where counted order by id offset 500 limit 1"
    )
    other = await conn.fetchval("select max(id) from users")
    release_id = await conn.fetchval("select max(id) from releases where visible")
    transaction = conn.transaction()
    await transaction.start()
    before = dict(await conn.fetch(SCANNED))
    made = await review(conn, other, release_id, quota=DAILY)
    assert made.review_id is not None
    await reviews.edit(conn, other, made.review_id, 3, Judged(words(1), has_link=False, worded=True), None)
    await reviews.delete(conn, other, made.review_id)
    await reviews.vote(conn, other, mine["id"])
    await reviews.unvote(conn, other, mine["id"])
    await settle(conn, "review", mine["id"], "hidden")
    read = {name for name, scans in await conn.fetch(SCANNED) if scans > before.get(name, 0)}
    await transaction.rollback()
    assert {name.rstrip("_0123456789") for name in read} & GROWING == set()


async def test_a_statement_that_reads_through_a_table_is_noticed(conn: Any) -> None:
    (query,) = catalogue_seed.parse("-- name: wrong\nselect * from progress where position_seconds = $1").values()
    assert await tables_read_through(conn, query) == {"progress"}
