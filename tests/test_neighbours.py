"""The keeper of neighbours: what goes stale, when a worker is started, by whom, and what becomes of it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from actors import neighbours as module
from actors.consumers.base import Delivered
from actors.consumers.neighbours import Neighbours
from actors.neighbours import BETWEEN, COUNTED, Command, NeighbourKeeper, counts, due, pause_after
from server.crew_recommendations import PROGRAM, worker
from server.database import Database, connect
from server.errors import Unavailable
from server.events import Recommending
from server.rules.recommending import INTERRUPTED
from server.settings import load
from sql import neighbours, recommendations
from sql.neighbours import Work
from tests.seeding import seed_releases
from tests.working import until

NOW = datetime(2026, 5, 1, tzinfo=UTC)
NOTHING = Work(
    catalogue_changes=5, catalogue_seen=5, catalogue_counted=5, counted_at=NOW, library_seen=1000,
    started_at=NOW - timedelta(days=1), finished_at=NOW - timedelta(days=1), library_changes=1000, library_written=1000,
    stale=0, leased=False, failures=0, audience_at=None, audience_users=0, audience_items=0,
)  # fmt: skip


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    opened = Database(dsn)
    await opened.open()
    yield opened
    await opened.close()


async def store(conn: Any, release_id: int, *near: int) -> None:
    await conn.execute(
        "insert into release_neighbours (release_id, neighbours, scores) values ($1, $2, $3)",
        release_id, list(near), [0.5] * len(near),
    )  # fmt: skip


async def stale(conn: Any) -> set[int]:
    return {row["release_id"] for row in await conn.fetch("select release_id from release_neighbours where stale")}


def told(**payload: list[Any]) -> Delivered:
    return Delivered(1, 1, "catalogue", "catalogue", None, payload, NOW)


async def test_a_change_makes_stale_itself_its_neighbours_and_its_franchise(conn: Any) -> None:
    changed, near, part, other = await seed_releases(conn, 4)
    saga = await conn.fetchval("insert into franchises (slug, name, name_key) values ('s', 's', 's') returning id")
    await conn.execute("update releases set franchise_id = $1 where id = any ($2)", saga, [changed, part])
    await store(conn, changed, near)
    for release_id in (near, part, other):
        await store(conn, release_id)
    await Neighbours().handle(conn, [told(updated=[changed]), told(episodes=[[other, 1]])])
    assert await stale(conn) == {changed, near, part}
    assert (await neighbours.look(conn)).catalogue_changes == 1
    await Neighbours().handle(conn, [told(added=[10_001], deleted=[10_002], restored=[other])])
    assert await stale(conn) == {changed, near, part, other}
    assert (await neighbours.look(conn)).catalogue_changes == 4


async def test_many_changes_at_once_mark_only_themselves(conn: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "MOST_MARKED", 1)
    one, two, near = await seed_releases(conn, 3)
    await store(conn, one, near)
    await store(conn, two)
    await store(conn, near)
    await Neighbours().handle(conn, [told(updated=[one, two])])
    assert await stale(conn) == {one, two}


async def test_words_are_counted_among_what_is_visible(conn: Any) -> None:
    first, second, hidden = await seed_releases(conn, 3)
    await conn.execute("update releases set genre_ids = '{1,2}', tag_ids = '{7}' where id = any ($1)", [first, hidden])
    await conn.execute("update releases set genre_ids = '{2}' where id = $1", second)
    await conn.execute("update releases set is_published = false where id = $1", hidden)
    await conn.execute("insert into word_frequencies values ('tag', 99, 5), ('genre', 2, 77)")
    await neighbours.count_words(conn, 12)
    rows = {tuple(row) for row in await conn.fetch("select * from word_frequencies")}
    assert rows == {("genre", 1, 1), ("genre", 2, 2), ("tag", 7, 1)}
    work = await neighbours.look(conn)
    assert (work.catalogue_counted, work.counted_at is not None) == (12, True)


async def test_one_at_a_time_holds_the_lease(conn: Any) -> None:
    mine, other = uuid4(), uuid4()
    work = replace(await neighbours.look(conn), library_changes=40, library_written=30)
    assert await neighbours.take_lease(conn, mine, 60, work)
    assert not await neighbours.take_lease(conn, other, 60, work)
    assert await neighbours.renew_lease(conn, mine, 60)
    assert not await neighbours.renew_lease(conn, other, 60)
    assert (await neighbours.look(conn)).leased
    assert await neighbours.end_run(conn, other, well=False) == 0
    assert await neighbours.end_run(conn, mine, well=False) == 1
    assert await neighbours.take_lease(conn, other, -1, work)
    # It has run out.
    assert await neighbours.take_lease(conn, mine, 60, work)
    assert await neighbours.end_run(conn, mine, well=True) == 0
    await conn.execute("update recommending_state set library_written = 20")
    seen = await neighbours.look(conn)
    # Statistics that say less than they did have begun anew: what they say now comes on top.
    assert (seen.leased, seen.library_changes) == (False, 40 + seen.library_written)


async def test_writes_to_libraries_are_seen(conn: Any) -> None:
    user = await conn.fetchval("insert into users (username, username_key) values ('a', 'a') returning id")
    before = (await neighbours.look(conn)).library_changes
    await conn.execute(
        "insert into library_entries (user_id, kind, release_id, changed_at, revision)"
        " select $1, 1, n, now(), 1 from generate_series(1, 30) n",
        user,
    )

    async def counted() -> bool:
        await conn.execute("select pg_stat_force_next_flush()")
        await conn.execute("select pg_stat_clear_snapshot()")
        return (await neighbours.look(conn)).library_changes == before + 30

    await until(counted)


def test_a_run_is_due_when_there_is_something_to_do() -> None:
    assert not due(NOTHING, NOW)
    assert due(replace(NOTHING, stale=1), NOW)
    assert due(replace(NOTHING, catalogue_changes=6), NOW)
    assert due(replace(NOTHING, started_at=None, finished_at=None), NOW)
    assert not due(replace(NOTHING, library_changes=1199), NOW)
    assert due(replace(NOTHING, library_changes=1200), NOW)
    # Of many entries a share has to change.
    assert not due(replace(NOTHING, library_seen=1_000_000, library_changes=1_019_999), NOW)
    assert due(replace(NOTHING, library_seen=1_000_000, library_changes=1_020_000), NOW)


def test_a_run_is_not_due_while_one_is_under_way_or_has_just_been() -> None:
    work = replace(NOTHING, stale=1)
    assert not due(replace(work, leased=True), NOW)
    assert not due(replace(work, started_at=NOW - BETWEEN / 2), NOW)
    assert not due(replace(work, started_at=NOW - BETWEEN * 1.5, failures=1), NOW)
    assert due(replace(work, started_at=NOW - BETWEEN * 2.5, failures=1), NOW)
    assert pause_after(0) == BETWEEN
    assert pause_after(50) == timedelta(hours=6)


def test_words_are_counted_at_first_and_then_hourly_if_the_catalogue_has_changed() -> None:
    assert counts(replace(NOTHING, counted_at=None), NOW)
    assert not counts(replace(NOTHING, counted_at=None, leased=True), NOW)
    changed = replace(NOTHING, catalogue_counted=4)
    assert not counts(changed, NOW)
    assert counts(changed, NOW + COUNTED * 1.1)
    assert not counts(NOTHING, NOW + COUNTED * 1.1)


def test_the_worker_gets_this_database_one_thread_and_no_other_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DATABASE_URL_FILE", "SECRET_KEY", "SECRET_KEY_FILE", "CACHE_TTL_SIMILAR", "NOTIFY_SOCKET"):
        monkeypatch.setenv(name, "secrets/of/ours")
    monkeypatch.setenv("PGSSLROOTCERT", "/etc/ca.pem")
    made = worker(load({"DATA_DIR": str(tmp_path)}), "postgresql://here/db")
    assert made.arguments == [sys.executable, str(PROGRAM), "recommend-worker"]
    assert PROGRAM.is_file()
    assert made.environment["DATABASE_URL"] == "postgresql://here/db"
    assert made.environment["OPENBLAS_NUM_THREADS"] == "1"
    assert made.environment["PGSSLROOTCERT"] == "/etc/ca.pem"
    assert "secrets/of/ours" not in made.environment.values()
    assert made.directory == str(tmp_path)
    behind = load({"DATA_DIR": str(tmp_path), "DATABASE_DIRECT_URL": "postgresql://direct/db"})
    # Its lock lives as long as its session, which a pooler shares out.
    assert worker(behind, "postgresql://pooler/db").environment["DATABASE_URL"] == "postgresql://direct/db"


class Keeping:
    """A keeper whose worker is a line of Python, and what it told others."""

    def __init__(self, database: Database, tmp_path: Path, line: str) -> None:
        self.progress, self.changed, self.pressed = Recommending(), list[Any](), False
        how = Command([sys.executable, "-c", line], {}, str(tmp_path))
        self.keeper = NeighbourKeeper(database, self.progress, how, self._tell, lambda: self.pressed)
        self.keeper._ready = 0.0

    def _tell(self, tags: Collection[str]) -> None:
        self.changed.append(tuple(tags))

    async def tick_until(self, attribute: str, value: object) -> None:
        """Tick until the progress says so."""
        for _ in range(1500):
            await self.keeper.on_tick()
            if getattr(self.progress, attribute) == value:
                return
            await asyncio.sleep(0.02)
        raise AssertionError(f"{attribute} is {getattr(self.progress, attribute)}")


async def test_a_worker_that_ends_well_has_cached_answers_made_anew(
    database: Database, conn: Any, tmp_path: Path
) -> None:
    keeping = Keeping(database, tmp_path, "open('ran', 'w').close()")
    await keeping.tick_until("runs", 1)
    assert (tmp_path / "ran").exists()
    assert keeping.changed == [("similar", "personal")]
    assert not keeping.progress.running
    assert not (await neighbours.look(conn)).leased
    # It has just been: nobody begins again.
    await keeping.keeper.on_tick()
    assert not keeping.progress.running


async def test_a_worker_that_fails_is_told_and_tried_later(
    database: Database, conn: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keeping = Keeping(database, tmp_path, "raise SystemExit('out of wisdom')")
    await keeping.tick_until("failures", 1)
    assert keeping.changed == []
    record = next(one for one in caplog.records if one.name == "yojohan.recommendations" and one.levelname == "WARNING")
    assert (record.__dict__["status"], record.__dict__["said"]) == (1, "out of wisdom")
    work = await neighbours.look(conn)
    assert (work.failures, work.leased) == (1, False)
    assert not due(work, datetime.now(UTC) + BETWEEN * 1.5)
    assert due(work, datetime.now(UTC) + BETWEEN * 2.5)


async def test_the_last_words_of_a_worker_are_told(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keeping = Keeping(database, tmp_path, f"raise SystemExit({'x' * 2 * module.LAST_WORDS!r} + ' the end')")
    await keeping.tick_until("failures", 1)
    record = next(one for one in caplog.records if one.name == "yojohan.recommendations" and one.levelname == "WARNING")
    assert record.__dict__["said"].endswith("x the end")
    assert len(record.__dict__["said"]) <= module.LAST_WORDS


async def test_a_worker_that_finds_another_at_it_has_not_failed(database: Database, conn: Any, tmp_path: Path) -> None:
    keeping = Keeping(database, tmp_path, f"raise SystemExit({INTERRUPTED})")
    await keeping.tick_until("interrupted", 1)
    work = await neighbours.look(conn)
    assert (work.leased, work.failures, keeping.progress.failures, keeping.changed) == (False, 0, 0, [])


async def test_answers_are_made_anew_though_how_the_run_ended_cannot_be_written_down(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any, **__: Any) -> int:
        raise Unavailable("The database is away.")

    monkeypatch.setattr(neighbours, "end_run", away)
    keeping = Keeping(database, tmp_path, "")
    await keeping.tick_until("runs", 1)
    assert keeping.changed == [("similar", "personal")]


async def test_neither_viewers_nor_words_keep_a_run_from_beginning(
    database: Database, conn: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def slow(*_: Any) -> None:
        raise Unavailable("The database took too long.")

    monkeypatch.setattr(recommendations, "new_viewers", slow)
    monkeypatch.setattr(neighbours, "count_words", slow)
    keeping = Keeping(database, tmp_path, "")
    keeping.progress.viewers = {1}
    await keeping.tick_until("runs", 1)
    await keeping.keeper.on_tick()
    said = sorted(one.getMessage() for one in caplog.records if one.levelname == "WARNING")
    # Tried again much later, not with every tick.
    assert said == ["who looked at recommendations is not written down", "words of the catalogue are not counted"]


async def test_words_are_counted_in_time_enough_and_by_one_at_a_time(conn: Any, dsn: str) -> None:
    other = await connect(dsn)
    await seed_releases(conn, 2)
    await conn.execute("update releases set genre_ids = '{1}'")
    async with conn.transaction(), other.transaction():
        await neighbours.count_words(conn, 1)
        assert await conn.fetchval("show statement_timeout") == "1min"
        await neighbours.count_words(other, 2)
    await other.close()
    assert await conn.fetchval("select catalogue_counted from recommending_state") == 1
    assert await conn.fetchval("show statement_timeout") == "0"


async def test_pressure_ends_a_worker_and_starts_none(database: Database, conn: Any, tmp_path: Path) -> None:
    keeping = Keeping(database, tmp_path, "import time; time.sleep(60)")
    keeping.pressed = True
    await keeping.keeper.on_tick()
    assert not keeping.progress.running
    keeping.pressed = False
    await keeping.tick_until("running", True)
    process = keeping.keeper._process
    assert process is not None
    assert (await neighbours.look(conn)).leased
    keeping.pressed = True
    await keeping.tick_until("interrupted", 1)
    assert process.returncode is not None
    work = await neighbours.look(conn)
    assert (work.leased, work.failures, keeping.changed) == (False, 0, [])


async def test_a_keeper_that_stops_takes_a_stubborn_worker_along(
    database: Database, conn: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GRACE", 0.2)
    line = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); open('deaf', 'w').close(); time.sleep(60)"
    )
    keeping = Keeping(database, tmp_path, line)
    await keeping.tick_until("running", True)

    async def deaf() -> bool:
        return (tmp_path / "deaf").exists()

    await until(deaf)
    process = keeping.keeper._process
    await keeping.keeper.on_stop()
    assert process is not None
    assert process.returncode == -9
    assert not (await neighbours.look(conn)).leased


async def test_a_worker_that_takes_too_long_has_failed(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LONGEST_RUN", 0.0)
    keeping = Keeping(database, tmp_path, "import time; time.sleep(60)")
    await keeping.tick_until("failures", 1)
    assert keeping.progress.interrupted == 0


async def test_where_there_is_no_such_program_the_run_has_failed(database: Database, tmp_path: Path) -> None:
    keeping = Keeping(database, tmp_path, "")
    how = Command(["/nowhere/python"], {}, str(tmp_path))
    keeping.keeper._command = how
    await keeping.tick_until("failures", 1)
    assert not keeping.progress.running


async def test_two_keepers_run_one_worker(database: Database, tmp_path: Path) -> None:
    one, two = (Keeping(database, tmp_path, "import time; time.sleep(60)") for _ in range(2))
    await asyncio.gather(one.keeper.on_tick(), two.keeper.on_tick())
    await asyncio.gather(one.keeper.on_tick(), two.keeper.on_tick())
    assert [one.progress.running, two.progress.running].count(True) == 1
    await asyncio.gather(one.keeper.on_stop(), two.keeper.on_stop())


async def test_who_looked_at_recommendations_is_told_once_a_day(database: Database, conn: Any, tmp_path: Path) -> None:
    user = await conn.fetchval("insert into users (username, username_key) values ('a', 'a') returning id")
    keeping = Keeping(database, tmp_path, "")
    keeping.pressed = True
    for _ in range(2):
        # Somebody else has been erased meanwhile.
        keeping.progress.viewers = {user, user + 1000}
        await keeping.keeper.on_tick()
    told_of = "select actor_id, action_type, target_type, target_id from activity"
    assert [tuple(row) for row in await conn.fetch(told_of)] == [(user, "recommendation_viewed", "user", user)]
    assert keeping.progress.viewers == set()
    await conn.execute("update activity set created_at = now() - interval '25 hours'")
    keeping.progress.viewers = {user}
    await keeping.keeper.on_tick()
    assert len(await conn.fetch(told_of)) == 2


async def test_the_real_worker_stores_what_a_request_then_answers_from(
    database: Database, conn: Any, dsn: str, tmp_path: Path
) -> None:
    first, second, other = await seed_releases(conn, 3)
    await conn.execute("insert into genres (slug, name, name_key) values ('g', 'g', 'g'), ('h', 'h', 'h')")
    await conn.execute("update releases set genre_ids = '{1}' where id = any ($1)", [first, second])
    await conn.execute("update releases set genre_ids = '{2}' where id = $1", other)
    keeping = Keeping(database, tmp_path, "")
    keeping.keeper._command = worker(load({"DATA_DIR": str(tmp_path)}), dsn)
    await keeping.tick_until("runs", 1)
    stored = dict(await conn.fetch("select release_id, neighbours from release_neighbours"))
    assert stored == {first: [second], second: [first], other: []}
    work = await neighbours.look(conn)
    assert (work.stale, work.catalogue_seen, work.leased, work.failures) == (0, work.catalogue_changes, False, 0)
    # Nothing is left to do, so that nobody begins again before something changes.
    assert not due(work, datetime.now(UTC) + BETWEEN * 2)
    await Neighbours().handle(conn, [told(updated=[first])])
    assert due(await neighbours.look(conn), datetime.now(UTC) + BETWEEN * 2)
