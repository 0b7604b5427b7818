"""The builder of search documents: what is missing, a rebuild, the upkeep of words; and the command that rebuilds."""

from __future__ import annotations

import argparse
import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from actors import search_builder
from actors.search_builder import SearchBuilder
from server.commands import rebuild_search
from server.database import Database
from server.errors import DatabaseUnavailable
from server.events import SearchBuilding
from server.search import building
from server.search.documents import RULES
from server.settings import load as load_settings
from sql import search_documents
from tests.http_fixture import ON_18
from tests.importing import load
from tests.running import running
from tests.working import until


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    made = Database(dsn, size=2)
    await made.open()
    yield made
    await made.close()


@pytest.fixture(autouse=True)
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_builder, "DOCUMENTS", 2)
    monkeypatch.setattr(search_builder, "WORDS", 3)
    monkeypatch.setattr(search_builder, "SLICES", 2)
    monkeypatch.setattr(search_builder, "PAUSE", 0)
    monkeypatch.setattr(search_builder, "REST", 0)


def releases(count: int) -> list[dict[str, Any]]:
    return [{"title": f"Sails number {'abcdefgh'[n]}{'xyz' * n}", "external_ids": {"mal": n + 1}} for n in range(count)]


async def settle(builder: SearchBuilder, ticks: int = 12) -> None:
    """As many ticks as any of these rounds needs."""
    for _ in range(ticks):
        await builder.on_tick()


async def documents(conn: Any) -> dict[int, Any]:
    return {one["release_id"]: tuple(one) for one in await conn.fetch("select * from search_documents")}


async def test_what_is_missing_is_written_and_then_the_level_is_full(conn: Any, database: Database) -> None:
    await load(conn, *releases(5))
    before = await documents(conn)
    await conn.execute("delete from search_documents where slot > 1")
    await conn.execute("update search_documents set rules = 0 where slot = 0")
    progress = SearchBuilding()
    builder = SearchBuilder(database, progress)
    assert progress.complete is None
    await builder.on_tick()
    assert progress.complete is False
    await settle(builder)
    assert (progress.complete, progress.written) == (True, 4)
    assert (await search_documents.state(conn)).rules == RULES
    assert set(await documents(conn)) == set(before)
    assert await conn.fetchval("select min(rules) from search_documents") == RULES


async def test_after_the_start_words_are_counted_once_until_something_changes(conn: Any, database: Database) -> None:
    await load(conn, *releases(4))
    await conn.execute("insert into search_words (word, skeleton, variants, rules) values ('gone', 'x', '{}', 1)")
    progress = SearchBuilding()
    builder = SearchBuilder(database, progress)
    await settle(builder)
    words = {one["word"]: one["frequency"] for one in await conn.fetch("select word, frequency from search_words")}
    assert (words["sails"], "gone" in words, progress.words_dropped) == (4, False, 1)
    looked_at = progress.words
    assert looked_at == len(words) + 1
    # The next instance finds that nothing changed since.
    await conn.execute("update search_state set counted_at = now() - interval '2 hours'")
    await settle(SearchBuilder(database, progress))
    assert progress.words == looked_at
    await load(conn, {"title": "Harbours", "external_ids": {"mal": 99}})
    await settle(SearchBuilder(database, progress))
    assert progress.words == 2 * looked_at


async def test_a_rebuild_goes_on_where_another_instance_stopped(conn: Any, database: Database) -> None:
    await load(conn, *releases(7))
    right = await documents(conn)
    await conn.execute("update search_documents set keys = '{}', words = ''")
    await conn.execute("update search_words set variants = '{}'")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search_builder, "SLICES", 1)
        await settle(SearchBuilder(database, SearchBuilding(), anew=True), 2)
    reached = (await search_documents.state(conn)).rebuilt_to
    assert reached is not None
    assert await conn.fetchval("select count(*) from search_documents where keys <> '{}'") == 4
    progress = SearchBuilding()
    await settle(SearchBuilder(database, progress))
    state = await search_documents.state(conn)
    assert (state.rebuilt_to, state.rebuilds, state.rules, progress.written) == (None, 1, RULES, 3)
    found = await documents(conn)
    # All but the marks.
    assert {key: one[:8] for key, one in found.items()} == {key: one[:8] for key, one in right.items()}
    assert await conn.fetchval("select count(*) from search_words where variants = '{}'") == 0


async def test_only_one_instance_builds_at_a_time(conn: Any, database: Database) -> None:
    await load(conn, *releases(3))
    await conn.execute("delete from search_documents")
    progress = SearchBuilding()
    async with conn.transaction():
        assert await search_documents.take_turn(conn)
        await settle(SearchBuilder(database, progress), 3)
        assert await documents(conn) == {}
    await settle(SearchBuilder(database, progress))
    assert progress.written == 3


async def test_what_a_lost_database_took_back_is_written_later(
    conn: Any, database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await load(conn, *releases(5))
    await conn.execute("delete from search_documents")
    fill, calls = building.fill, 0

    async def breaks(*given: Any) -> Any:
        nonlocal calls
        calls += 1
        done = await fill(*given)
        if calls == 2:
            raise DatabaseUnavailable("gone")
        return done

    monkeypatch.setattr(building, "fill", breaks)
    with caplog.at_level(logging.WARNING):
        await settle(SearchBuilder(database, SearchBuilding()))
    assert len(await documents(conn)) == 5
    assert "wait for the database" in caplog.text


async def test_the_command_builds_everything_anew_and_says_what_it_did(
    conn: Any, dsn: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await load(conn, *releases(3))
    right = await documents(conn)
    await conn.execute("update search_documents set names = '' where slot = 1")
    await conn.execute("insert into search_words (word, skeleton, variants, rules) values ('gone', 'x', '{}', 1)")
    words = await conn.fetchval("select count(*) from search_words")
    settings = load_settings({"DATABASE_URL": dsn, "DATA_DIR": str(tmp_path)}, tmp_path / ".env")
    for written, dropped in ((1, 1), (0, 0)):
        assert await rebuild_search.run(settings, argparse.Namespace()) == 0
        said = capsys.readouterr().out
        expected = f"documents: 3 looked at, {written} written; words: {words} looked at, {dropped} forgotten ("
        assert said.startswith(expected), said
        words -= dropped
    found = await documents(conn)
    assert {key: one[:8] for key, one in found.items()} == {key: one[:8] for key, one in right.items()}
    assert (await search_documents.state(conn)).rebuilds == 2


async def test_the_command_shows_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    bar = rebuild_search.Bar(shown=True)
    bar.show(5, 10, "documents")
    shown = capsys.readouterr().err
    assert "50%" in shown
    assert "5 documents" in shown
    rebuild_search.Bar(shown=False).show(5, 10, "documents")
    assert capsys.readouterr().err == ""


async def test_searching_goes_on_while_everything_is_rebuilt(conn: Any, dsn: str, database: Database) -> None:
    await load(conn, *releases(8))
    await conn.execute("update search_documents set words = ''")
    counts: list[int] = []
    looking = asyncio.Event()

    async def look() -> None:
        async with database.connection() as other:
            while True:
                counts.append(await other.fetchval("select count(*) from search_documents where names @@ 'sails'"))
                looking.set()

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        looker = tasks.create_task(look())
        await looking.wait()
        await rebuild_search.rebuild(conn, rebuild_search.Bar(shown=False))
        looker.cancel()
    assert await conn.fetchval("select count(*) from search_documents where words <> ''") == 8
    assert set(counts) == {8}


@ON_18
async def test_a_server_builds_everything_anew_after_its_start_where_that_is_set(
    conn: Any, dsn: str, tmp_path: Path
) -> None:
    await load(conn, *releases(3))
    await conn.execute("update search_documents set keys = '{}'")
    await search_documents.reach_rules(conn, RULES)

    async def rebuilt() -> bool:
        return (await search_documents.state(conn)).rebuilds == 1

    async with running(dsn, tmp_path, SEARCH_REINDEX_ON_START="1"):
        await until(rebuilt, 20)
    assert await conn.fetchval("select count(*) from search_documents where keys <> '{}'") == 3
