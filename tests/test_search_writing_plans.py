"""No statement that searches, writes search documents, counts words or lists misses reads through a growing table."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from server.database import connect
from tests import catalogue_seed
from tests.conftest import Server
from tests.http_fixture import SHARED
from tests.people_plans import prepare_for, statements, tables_read_through

pytestmark = SHARED
DOCUMENTS = """
insert into search_documents (release_id, names, words, keys, config, rules)
select id, array_to_tsvector(array['w' || id % 9000, '=' || id]), to_tsvector('simple', 'w' || id % 9000), array[title],
       'simple', 1
from releases
"""
WORDS = """
insert into search_words (word, skeleton, variants, rules)
select 'w' || number, 's' || number, array[number, -number], 1 from generate_series(0, 9000) number
"""
MISSES = """
insert into search_misses (day, query)
select current_date - number % 90, 'query ' || number from generate_series(1, 20000) number
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def conn(server: Server) -> AsyncIterator[Any]:
    async with catalogue_seed.database(server, 20_000) as dsn:
        connection = await connect(dsn, random_page_cost="1.1")
        for statement in (DOCUMENTS, WORDS, MISSES, "vacuum analyze"):
            await connection.execute(statement)
        await prepare_for(connection)
        yield connection
        await connection.close()


@pytest.mark.parametrize("noun", ["search", "search_documents", "search_words"])
async def test_every_statement_finds_its_rows_by_an_index(conn: Any, noun: str) -> None:
    found = {query.name: await tables_read_through(conn, query) for query in statements(noun)}
    assert {name: tables for name, tables in found.items() if tables} == {}


async def test_misses_are_added_by_their_key(conn: Any) -> None:
    found = {query.name: await tables_read_through(conn, query) for query in statements("search_misses")}
    # A page sums up what the days hold, for administrators.
    assert {name for name, tables in found.items() if tables} <= {"page"}
