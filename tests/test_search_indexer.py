"""The indexer against a server that speaks Elasticsearch: what it has is what the database shows, whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import actors.search_indexer as module
from actors.search_indexer import SearchIndexer
from server.adapters.elasticsearch import Elasticsearch
from server.database import Database
from server.events import Indexing
from server.rules import elastic_index
from tests.elastic_server import ElasticServer, Trouble, elastic_server
from tests.elastic_spec import FILE
from tests.importing import load

pytestmark = pytest.mark.skipif(not FILE.exists(), reason="no description of Elasticsearch beside the project")

TITLES = ("Steins;Gate", "Bakemonogatari", "Атака титанов")


class Bench:
    """One database, one Elasticsearch, and any number of indexers to be ticked by hand."""

    def __init__(self, database: Database, conn: Any, elastic: ElasticServer) -> None:
        self.database = database
        self.conn = conn
        self.elastic = elastic
        self.made: list[SearchIndexer] = []
        self.moves = 0

    def moved(self) -> None:
        self.moves += 1

    def indexer(self) -> tuple[SearchIndexer, Indexing]:
        progress = Indexing()
        made = SearchIndexer(self.database, Elasticsearch(self.elastic.url), progress, self.moved)
        self.made.append(made)
        return made, progress

    async def filled(self) -> tuple[SearchIndexer, Indexing]:
        """One that has filled an index."""
        indexer, progress = self.indexer()
        await ticks(indexer, 4)
        assert progress.ready
        return indexer, progress

    def titles(self, progress: Indexing) -> set[str]:
        return {one["keys"][0] for one in self.elastic.documents(progress.alias).values()}


async def ticks(indexer: SearchIndexer, times: int) -> None:
    for _ in range(times):
        indexer._try_at = float("-inf")
        await indexer.on_tick()


@asynccontextmanager
async def opened(dsn: str, conn: Any) -> AsyncIterator[Bench]:
    database = Database(dsn, size=4)
    await database.open()
    async with elastic_server() as elastic:
        bench = Bench(database, conn, elastic)
        yield bench
        for one in bench.made:
            await one.on_stop()
    await database.close()


@pytest.fixture
async def bench(dsn: str, conn: Any) -> AsyncIterator[Bench]:
    await load(conn, *({"title": title, "type": "tv", "genres": ["Drama"]} for title in TITLES))
    await conn.execute("update search_state set rules = 1")
    async with opened(dsn, conn) as made:
        yield made


async def test_it_is_not_ready_before_every_release_has_a_document(bench: Bench) -> None:
    await bench.conn.execute("update search_state set rules = 0")
    indexer, progress = bench.indexer()
    await ticks(indexer, 4)
    assert (progress.filled, progress.ready) == (True, False)
    await bench.conn.execute("update search_state set rules = 1")
    await ticks(indexer, 1)
    assert progress.ready


async def test_an_empty_elasticsearch_is_filled_and_then_answers(bench: Bench) -> None:
    indexer, progress = bench.indexer()
    await indexer.on_tick()
    assert (progress.ready, progress.filling, progress.leading) == (False, False, True)
    await ticks(indexer, 2)
    assert bench.titles(progress) == {"steins gate", "bakemonogatari", "атака титанов"}
    await indexer.on_tick()
    assert (progress.ready, progress.filling, progress.lag) == (True, False, 0.0)
    assert progress.documents["written"] == 3


async def test_what_changes_is_followed_and_what_is_hidden_goes(bench: Bench) -> None:
    indexer, progress = await bench.filled()
    await load(bench.conn, {"title": "Mushishi"})
    await bench.conn.execute("update releases set deleted_at = now() where title = 'Bakemonogatari'")
    await bench.conn.execute(
        "update search_documents set changed = pg_current_xact_id()"
        " where release_id = (select id from releases where title = 'Bakemonogatari')"
    )
    await ticks(indexer, 1)
    assert bench.titles(progress) == {"steins gate", "атака титанов", "mushishi"}
    assert (progress.documents["written"], progress.documents["removed"]) == (4, 1)
    # Whoever keeps answers is told, once.
    told = bench.moves
    await ticks(indexer, 2)
    assert bench.moves == told + 1


async def test_nothing_is_sent_where_nothing_changed(bench: Bench) -> None:
    indexer, _ = await bench.filled()
    bench.elastic.requests.clear()
    await ticks(indexer, 3)
    assert bench.elastic.requests == []


CHANGE = "update search_documents set keys = array[$1], changed = pg_current_xact_id() where $2 = any (keys)"


async def test_a_change_that_is_committed_late_is_not_passed_over(bench: Bench) -> None:
    indexer, progress = await bench.filled()
    async with bench.database.transaction() as slow:
        await slow.execute(CHANGE, "slow", "bakemonogatari")
        await bench.conn.execute(CHANGE, "quick", "steins gate")
        await ticks(indexer, 2)
        assert bench.titles(progress) == {"steins gate", "bakemonogatari", "атака титанов"}
    await ticks(indexer, 1)
    assert bench.titles(progress) == {"quick", "slow", "атака титанов"}


async def test_a_document_of_an_earlier_look_never_replaces_a_later_one(bench: Bench) -> None:
    indexer, progress = await bench.filled()
    one = next(iter(bench.elastic.indexes.values()))
    key = next(iter(one.documents))
    one.versions[key] += 1_000_000
    await bench.conn.execute("update search_documents set keys = '{older}', changed = pg_current_xact_id()")
    await ticks(indexer, 1)
    assert "older" not in one.documents[key]["keys"]
    assert progress.documents["outdated"] == 1
    # That settles it.
    bench.elastic.requests.clear()
    await ticks(indexer, 1)
    assert bench.elastic.requests == []


@pytest.mark.parametrize("trouble", ["cut", "some", "429", "500", "garbage", "list", "redirect"])
async def test_after_any_trouble_nothing_is_missing(bench: Bench, trouble: Trouble) -> None:
    indexer, progress = await bench.filled()
    await load(bench.conn, {"title": "Mushishi"}, {"title": "Monster"})
    bench.elastic.trouble = trouble
    await ticks(indexer, 2)
    assert progress.failures == 2
    bench.elastic.trouble = ""
    await ticks(indexer, 1)
    assert bench.titles(progress) == {"steins gate", "bakemonogatari", "атака титанов", "mushishi", "monster"}


async def test_pauses_after_failures_grow(bench: Bench) -> None:
    indexer, progress = await bench.filled()
    await load(bench.conn, {"title": "Mushishi"})
    await bench.elastic.stop()
    for _ in range(5):
        await indexer.on_tick()
    assert progress.failures == 1
    await ticks(indexer, 9)
    assert indexer._pause == module.LONGEST_PAUSE
    await bench.elastic.start()
    await ticks(indexer, 1)
    assert indexer._pause == module.FIRST_PAUSE
    assert "mushishi" in bench.titles(progress)


async def test_one_document_that_is_refused_keeps_nobody_else_out(bench: Bench) -> None:
    indexer, progress = await bench.filled()
    index = next(iter(bench.elastic.indexes.values()))
    del index.properties["years"]
    await load(bench.conn, {"title": "Mushishi"}, {"title": "Monster", "year": 2004})
    await ticks(indexer, 2)
    assert "mushishi" in bench.titles(progress)
    assert "monster" not in bench.titles(progress)
    assert (progress.documents["refused"], progress.failures) == (1, 0)


async def test_one_instance_writes_and_another_takes_over(bench: Bench) -> None:
    first, leading = await bench.filled()
    second, other = bench.indexer()
    await load(bench.conn, {"title": "Mushishi"})
    bench.elastic.requests.clear()
    await ticks(second, 2)
    # It knows everything that searches need, and writes nothing.
    assert (other.ready, other.alias, other.leading) == (True, leading.alias, False)
    assert bench.elastic.requests == []
    await first.on_stop()
    await ticks(second, 1)
    assert other.leading
    assert "mushishi" in bench.titles(other)


async def test_an_instance_that_lost_its_lease_does_not_move_the_cursor(bench: Bench) -> None:
    indexer, progress = await bench.filled()
    await load(bench.conn, {"title": "Mushishi"})
    before = await bench.conn.fetchrow("select xid, slot from search_indexes")
    sent = indexer._send

    async def lose(*arguments: Any, **options: Any) -> None:
        await sent(*arguments, **options)
        await bench.conn.execute("update search_indexing set holder = gen_random_uuid()")

    indexer._send = lose  # type: ignore[method-assign]
    await ticks(indexer, 1)
    assert await bench.conn.fetchrow("select xid, slot from search_indexes") == before
    assert not indexer._ours
    assert progress.failures == 0


async def test_a_holder_that_died_is_replaced_within_a_minute(bench: Bench) -> None:
    await bench.filled()
    second, other = bench.indexer()
    await bench.conn.execute("update search_indexing set held_until = now() - interval '1 second'")
    await ticks(second, 1)
    assert other.leading


@pytest.mark.parametrize("reason", ["shape", "rebuild"])
async def test_another_index_is_filled_beside_the_live_one(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    indexer, progress = await bench.filled()
    (before,) = bench.elastic.indexes
    if reason == "shape":
        monkeypatch.setattr(elastic_index, "SHAPE", elastic_index.SHAPE + 1)
    else:
        await bench.conn.execute("update search_state set rebuilds = rebuilds + 1")
    await ticks(indexer, 1)
    assert len(bench.elastic.indexes) == 2
    # What searches see is whole at every moment, and follows changes.
    assert len(bench.titles(progress)) == 3
    await load(bench.conn, {"title": "Mushishi"})
    bench.elastic.trouble, bench.elastic.troubled = "500", "/_aliases"
    await ticks(indexer, 2)
    assert len(bench.titles(progress)) == 4
    assert [name for name, _ in bench.elastic.named(progress.alias)] == [before]
    bench.elastic.trouble = ""
    await ticks(indexer, 1)
    assert len(bench.titles(progress)) == 4
    assert len(bench.elastic.indexes) == 1
    assert before not in bench.elastic.indexes
    await ticks(indexer, 1)
    assert progress.ready


async def test_numbers_are_compared_in_the_very_tick_of_a_swap(bench: Bench) -> None:
    indexer, progress = await bench.filled()
    await bench.conn.execute("update search_state set rebuilds = rebuilds + 1")
    await ticks(indexer, 1)
    await bench.conn.execute("update popularity_metrics set popularity_score = 100")
    indexer._compare_at = float("-inf")
    await ticks(indexer, 2)
    assert progress.failures == 0
    assert {one["popularity"] for one in bench.elastic.documents(progress.alias).values()} == {100}


async def test_a_swap_whose_end_was_not_heard_is_finished(bench: Bench) -> None:
    indexer, progress = await bench.filled()
    await bench.conn.execute("update search_state set rebuilds = rebuilds + 1")
    await ticks(indexer, 1)
    async with bench.database.connection() as conn:
        live, filling = await module.sql.indexes(conn)
    # As if it had died between the swap and noting it down.
    bench.elastic._alias(elastic_index.swap(progress.alias, filling.name, [live.name])["actions"])
    indexer._verify_at = float("-inf")
    await ticks(indexer, 4)
    assert list(bench.elastic.indexes) == [filling.name]
    assert (progress.ready, len(bench.titles(progress))) == (True, 3)


async def test_an_index_that_is_no_longer_wanted_is_removed(bench: Bench) -> None:
    indexer, progress = await bench.filled()
    await bench.conn.execute("update search_state set rebuilds = rebuilds + 1")
    await ticks(indexer, 1)
    await bench.conn.execute("update search_state set rebuilds = rebuilds + 1")
    await ticks(indexer, 4)
    assert len(bench.elastic.indexes) == 1
    assert progress.ready


async def test_an_elasticsearch_that_lost_its_data_is_filled_again(bench: Bench) -> None:
    indexer, progress = await bench.filled()
    bench.elastic.wipe()
    indexer._verify_at = float("-inf")
    await ticks(indexer, 1)
    await indexer.on_tick()
    assert not progress.ready
    await ticks(indexer, 3)
    assert progress.ready
    assert len(bench.titles(progress)) == 3


async def test_a_removal_from_an_index_that_is_gone_leaves_nothing_behind(bench: Bench) -> None:
    indexer, progress = await bench.filled()
    bench.elastic.wipe()
    await bench.conn.execute("update releases set deleted_at = now() where title = 'Bakemonogatari'")
    await bench.conn.execute("update search_documents set changed = pg_current_xact_id() where slot = 1")
    await ticks(indexer, 1)
    indexer._verify_at = float("-inf")
    await ticks(indexer, 5)
    assert progress.ready
    assert len(bench.elastic.indexes) == 1
    assert bench.titles(progress) == {"steins gate", "атака титанов"}


async def test_the_loss_is_seen_by_the_next_change_too(bench: Bench) -> None:
    indexer, progress = await bench.filled()
    bench.elastic.wipe()
    await load(bench.conn, {"title": "Mushishi"})
    await ticks(indexer, 5)
    # A bulk makes no index of its own accord.
    assert all(index.strict for index in bench.elastic.indexes.values())
    assert len(bench.titles(progress)) == 4


async def test_a_database_restored_elsewhere_takes_a_name_of_its_own(bench: Bench) -> None:
    indexer, progress = await bench.filled()
    before, held = progress.alias, dict(bench.elastic.indexes)
    await bench.conn.execute("update search_indexes set xid = '999999999999'")
    await ticks(indexer, 4)
    assert progress.alias != before
    assert progress.ready
    # What the other installation has is left alone.
    assert held.items() <= bench.elastic.indexes.items()


async def test_numbers_that_move_by_themselves_are_sent_again_once_they_moved_enough(bench: Bench) -> None:
    indexer, progress = await bench.filled()
    await bench.conn.execute(
        "update popularity_metrics set popularity_score = 100, average_rating = 7, rating_count = 1"
    )
    await bench.conn.execute("update search_documents set changed = pg_current_xact_id()")
    await ticks(indexer, 1)
    sent = progress.documents["written"]
    await bench.conn.execute("update popularity_metrics set popularity_score = 101")
    await bench.conn.execute("update popularity_metrics set popularity_score = 150 where release_id = 1")
    for _ in range(3):
        indexer._compare_at = float("-inf")
        await ticks(indexer, 1)
    assert progress.documents["written"] == sent + 1
    found = {one["id"]: one["popularity"] for one in bench.elastic.documents(progress.alias).values()}
    assert sorted(found.values()) == [100, 100, 150]


async def test_what_is_missing_for_long_is_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST_LAG", 0.05)
    indexer, progress = await bench.filled()
    bench.elastic.trouble = "500"
    await load(bench.conn, {"title": "Mushishi"})
    await ticks(indexer, 1)
    await asyncio.sleep(0.1)
    await ticks(indexer, 1)
    assert (progress.ready, progress.filled, progress.lag > 0.05) == (False, True, True)
    bench.elastic.trouble = ""
    await ticks(indexer, 2)
    assert (progress.ready, progress.lag) == (True, 0.0)


async def test_an_absent_database_is_waited_for(bench: Bench) -> None:
    indexer, progress = await bench.filled()
    await bench.database.close()
    await ticks(indexer, 1)
    assert progress.failures == 1
    await bench.database.open()
    await ticks(indexer, 1)
    assert progress.failures == 1
