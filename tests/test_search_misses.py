"""What was searched in vain: counted without whoever asked, written down now and then, shown to administrators."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from actors.search_misses import SearchMisses
from server.database import Database
from server.errors import DatabaseUnavailable
from server.keys import SEARCH_MISSES
from server.rules.search_misses import LONGEST, to_write_down
from server.search.engine import Found, Suggested, Wanted
from server.search.index import SearchIndex
from server.search.misses import Misses
from server.search.searching import Search
from sql import search_misses
from tests.conftest import Server
from tests.http_fixture import SHARED, problem, shared_site
from tests.people import person, sql
from tests.running import Running
from tests.working import until

ADDRESS = "/api/v1/admin/search/misses"


def on_site(test: Any) -> Any:
    for mark in SHARED:
        test = mark(test)
    return test


@pytest.mark.parametrize(
    ("query", "written"),
    [
        ("  Ёжик, в  ТУМАНЕ! ", "ежик в тумане"),
        ("Keepers 86 (2021)", "keepers 86 2021"),
        ("Ｋｅｅｐｅｒｓ", "keepers"),
        ("me@example.org", None),
        ("@somebody", None),
        ("https://example.org/x", None),
        ("www.example.org", None),
        ("example.org/watch", None),
        ("pass 12345", None),
        ("+7 (912) 345-67-89", None),
        ("4111 1111 1111 1111", None),
        ("8–912–345–67–89", None),
        ("8•912•345•67•89", None),
        ("8_912_345_67_89", None),
        ("８９１２３", None),
        ("somebody(at)example.org", None),
        ("somebody [at] example org", None),
        ("attack at titan (2 at once)", "attack at titan 2 at once"),
        ("…!?", None),
        ("", None),
    ],
)
def test_what_is_written_down_tells_nothing_of_anybody(query: str, written: str | None) -> None:
    assert to_write_down(query) == written


def test_what_is_written_down_is_short() -> None:
    written = to_write_down("Хранители " * 400)
    assert written is not None
    assert len(written) <= LONGEST


def test_misses_wait_in_a_bounded_room_and_the_commonest_go_first() -> None:
    misses = Misses()
    misses.room = 3
    for query in ("a", "b", "b", "C", "d", "b!", "x@example.org"):
        misses.note(query)
    assert (misses.noted, misses.passed_over) == (5, 2)
    assert misses.take(1) == {"b": 3}
    assert misses.take(9) == {"a": 1, "c": 1}
    assert misses.take(9) == {}
    misses.keep({"a": 2})
    misses.note("a")
    assert misses.take(9) == {"a": 3}


class Vain:
    """An engine that finds nothing."""

    async def find(self, wanted: Wanted) -> Found:
        return Found((), 0, {}, "empty")

    async def suggest(self, text: str, limit: int) -> Sequence[Suggested]:
        return ()


async def test_nothing_is_missed_while_documents_are_missing() -> None:
    misses, index = Misses(), SearchIndex()
    search = Search(Vain(), index, misses)
    for complete in (False, True):
        index.complete = complete
        await search.find(Wanted("tides", ("tides",), "tides"))
        assert misses.noted == complete


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    made = Database(dsn, size=1)
    await made.open()
    yield made
    await made.close()


async def rows(conn: Any) -> dict[str, int]:
    return {one["query"]: one["misses"] for one in await conn.fetch("select query, misses from search_misses")}


async def test_the_actor_adds_up_what_was_missed_each_day(conn: Any, database: Database) -> None:
    misses = Misses()
    actor = SearchMisses(database, misses.take, misses.keep)
    await actor.on_tick()
    assert await rows(conn) == {}
    for query in ("tides", "tides", "sails"):
        misses.note(query)
    await actor.on_tick()
    misses.note("tides")
    await actor.on_stop()
    assert await rows(conn) == {"tides": 3, "sails": 1}
    assert await conn.fetchval("select count(*) from search_misses where day = (now() at time zone 'UTC')::date") == 2


async def test_what_could_not_be_written_down_waits(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: Any) -> None:
        raise DatabaseUnavailable("gone")

    misses = Misses()
    misses.note("tides")
    with monkeypatch.context() as patch:
        patch.setattr(search_misses, "add", fail)
        await SearchMisses(database, misses.take, misses.keep).on_tick()
    assert misses.take(9) == {"tides": 1}


async def test_a_day_keeps_so_many_queries_and_counts_on_those_it_has(
    conn: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_misses, "MOST_A_DAY", 2)
    await search_misses.add(conn, {"a": 1, "b": 1})
    await search_misses.add(conn, {"a": 2, "c": 5})
    assert await rows(conn) == {"a": 3, "b": 1}


async def test_a_page_sums_days_and_begins_with_the_commonest(conn: Any) -> None:
    today = date(2026, 5, 20)
    await conn.executemany(
        "insert into search_misses (day, query, misses, last_at) values ($1::date, $2, $3, $1::date)",
        [
            (today - timedelta(days=age), query, misses)
            for age, query, misses in ((0, "b", 2), (1, "b", 3), (0, "a", 4), (0, "c", 4), (40, "c", 90))
        ],
    )
    count, page = await search_misses.page(conn, today - timedelta(days=29), 2, 0)
    assert (count, [one.split(",")[0] for one in page]) == (3, ['{"query":"b"', '{"query":"a"'])
    assert '"misses":5' in page[0]
    assert '"last_at":"2026-05-20T00:00:00.000Z"' in page[0]
    assert len((await search_misses.page(conn, today - timedelta(days=29), 2, 2))[1]) == 1
    assert (await search_misses.page(conn, today - timedelta(days=29), 2, 99)) == (3, [])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with shared_site(server, tmp_path_factory.mktemp("site")) as started:
        yield started


@on_site
async def test_administrators_see_what_was_searched_in_vain(site: Running) -> None:
    admin = await person(site, role="admin")
    for query in ("Lost Harbour", "lost harbour", "Gone"):
        site.app[SEARCH_MISSES].note(query)

    async def written() -> bool:
        return await sql(site, "select count(*) from search_misses") == 2

    await until(written, 15)
    async with site.client.get(ADDRESS, params={"limit": "1"}, headers=admin.headers) as answer:
        assert answer.status == 200
        found = await answer.json()
    (shown,) = found["results"]
    assert (found["count"], found["previous"], shown["query"], shown["misses"]) == (2, None, "lost harbour", 2)
    assert datetime.fromisoformat(shown["last_at"]) <= datetime.now(UTC)
    async with site.client.get(found["next"], headers=admin.headers) as answer:
        second = await answer.json()
    assert [one["query"] for one in second["results"]] == ["gone"]
    await sql(site, "update search_misses set day = day - 10")
    async with site.client.get(ADDRESS, params={"days": "10"}, headers=admin.headers) as answer:
        assert (await answer.json())["results"] == []


@on_site
@pytest.mark.parametrize("params", [{"days": "0"}, {"days": "91"}])
async def test_other_questions_are_refused(site: Running, params: dict[str, str]) -> None:
    admin = await person(site, role="admin")
    async with site.client.get(ADDRESS, params=params, headers=admin.headers) as answer:
        await problem(answer, 422)
