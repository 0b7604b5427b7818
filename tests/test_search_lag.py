"""How far the search index is behind what is committed: held back by a long transaction, and seen on /metrics."""

from __future__ import annotations

from time import monotonic
from typing import Any

from actors.search_index import SearchIndexKeeper
from server.database import Database, connect
from server.events import SearchInStep
from server.search.index import SearchIndex
from sql import search_documents
from tests.http_fixture import ON_18
from tests.importing import load
from tests.running import Running
from tests.search_site import CATALOGUE


async def test_the_index_is_in_step_until_a_transaction_that_goes_on_holds_it_back(conn: Any, dsn: str) -> None:
    await load(conn, *CATALOGUE)
    in_step, database = SearchInStep(), Database(dsn)
    await database.open()
    keeper = SearchIndexKeeper(database, SearchIndex(), lambda: None, in_step)
    slow = await connect(dsn)

    async def looked() -> bool:
        """Whether everything was there at the next look."""
        before = monotonic()
        await keeper.on_tick()
        return in_step.at >= before

    try:
        await keeper.on_start()
        # It is loaded, and nothing has been said of what came meanwhile.
        assert not await looked()
        assert await looked()
        (one,) = [row["id"] for row in await conn.fetch("select id from releases order by id limit 1")]
        async with slow.transaction():
            # It has a number from here on, and nothing to do with search.
            await slow.execute("create table elsewhere ()")
            assert await looked()
            await search_documents.stir(conn, [one])
            assert not await looked()
        assert await looked()
    finally:
        await slow.close()
        await database.close()


@ON_18
async def test_the_lag_is_shown_to_operators(server_running: Running) -> None:
    async with server_running.client.get("/metrics") as answer:
        lines = (await answer.text()).splitlines()
    (lag,) = [float(line.split()[1]) for line in lines if line.startswith("yojohan_search_index_lag_seconds ")]
    assert 0 <= lag < 60
