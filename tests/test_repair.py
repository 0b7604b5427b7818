"""Repair: finds nothing where all is well, even while events wait and people write; puts right whatever was bent."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from actors.consumers.release_counts import ReleaseCounts
from actors.consumers.user_stats import UserStats
from server.cli import main
from server.commands import repair as command
from server.commands.repair import repair
from server.database import Database
from sql import library, trends
from sql.library import COLLECTION, FAVORITE, RATING, EntryEdit, ProgressEdit
from tests.outboxes import drain
from tests.people import make_user
from tests.seeding import commit, event, roll_up_all, seed_episodes, seed_partitions, seed_releases

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


async def people_and_releases(conn: Any, dsn: str) -> tuple[list[int], list[int], list[int]]:
    """Three accounts, eight releases in three genres, their episodes."""
    people = [await make_user(dsn) for _ in range(3)]
    await conn.execute("insert into genres (id, slug, name, name_key) values (1, 'a', 'A', 'a'), (2, 'b', 'B', 'b')")
    releases = await seed_releases(conn, 8)
    await conn.execute("update releases set genre_ids = array[1 + id % 2]")
    episodes = [one for some in (await seed_episodes(conn, releases, 3)).values() for one in some]
    await conn.execute("update episodes set duration_seconds = 1400 where ordinal < 3")
    return people, releases, episodes


async def act(conn: Any, chance: random.Random, user_id: int, releases: list[int], episodes: list[int]) -> None:
    """One write of somebody: some edits of any kind."""
    entries = []
    for _ in range(chance.randint(0, 4)):
        kind = chance.choice((FAVORITE, COLLECTION, RATING))
        value = {FAVORITE: 0, COLLECTION: chance.randint(1, 5), RATING: chance.randint(1, 10)}[kind]
        entries.append(EntryEdit(kind, chance.choice(releases), value, chance.random() < 0.3, NOW))
    progress = []
    for _ in range(chance.randint(0, 4)):
        completed, deleted = chance.random() < 0.5, chance.random() < 0.2
        progress.append(ProgressEdit(chance.choice(episodes), chance.randint(0, 1400), completed, deleted, False, NOW))
    merge = chance.random() < 0.5
    async with conn.transaction():
        await library.write(conn, user_id, entries, progress, origin="sync" if merge else "user", merge=merge)


async def findings(conn: Any, *, keep: bool = False) -> list[str]:
    """What a repair finds, without its summary."""
    lines: list[str] = []
    differed = await repair(conn, lines.append, keep=keep)
    found = [line for line in lines if " is " in line]
    assert differed == len(found)
    return found


async def test_nothing_differs_whether_events_wait_or_are_counted(conn, dsn):
    people, releases, episodes = await people_and_releases(conn, dsn)
    chance = random.Random(7)
    assert await findings(conn) == []
    for number in range(60):
        await act(conn, chance, chance.choice(people), releases, episodes)
        if number % 20 == 10:
            assert await findings(conn) == []
            await drain(dsn, UserStats(), ReleaseCounts())
            assert await findings(conn) == []
    assert await conn.fetchval("select count(*) from user_stats where ratings > 0 and watch_seconds > 0") == 3
    assert await findings(conn) == []


async def test_nothing_differs_while_people_write_and_consumers_count(conn, dsn):
    people, releases, episodes = await people_and_releases(conn, dsn)
    database = Database(dsn)
    await database.open()
    running = True

    async def write(user_id: int) -> None:
        chance = random.Random(user_id)
        while running:
            async with database.connection(timeout=10) as own:
                await act(own, chance, user_id, releases, episodes)

    async def count() -> None:
        while running:
            await drain(database, UserStats(), ReleaseCounts())

    async with asyncio.TaskGroup() as group:
        for user_id in people:
            group.create_task(write(user_id))
        group.create_task(count())
        try:
            found = [await findings(conn, keep=True) for _ in range(10)]
        finally:
            running = False
    await drain(database, UserStats(), ReleaseCounts())
    await database.close()
    assert found == [[]] * 10
    assert await findings(conn) == []
    assert await conn.fetchval("select sum(ratings) from user_stats") > 0


BENT = {
    "a counter of a user": ("update user_stats set favorites = favorites + 3 where user_id = $1", "favorites is"),
    "watch time": ("update user_stats set watch_seconds = 1 where user_id = $1", "watch_seconds is 1,"),
    "a user's row": ("delete from user_stats where user_id = $1", "favorites is 0,"),
    "genres": ("update user_stats set favorite_genres = '[]' where user_id = $1", "favorite_genres is out of date"),
    "a counter of a release": ("update popularity_metrics set favorites = 99 where $1 > 0", "favorites is 99,"),
    "a sum of ratings": ("update popularity_metrics set rating_sum = 99 where $1 > 0", "rating_sum is 99,"),
    "the size of the catalogue": ("update catalogue_totals set total = 5 where $1 > 0", "releases is 5, should be 8"),
}  # fmt: skip


async def test_what_was_bent_is_found_named_and_put_right(conn, dsn):
    people, releases, episodes = await people_and_releases(conn, dsn)
    chance = random.Random(3)
    for user_id in people * 8:
        await act(conn, chance, user_id, releases, episodes)
    edits = [EntryEdit(FAVORITE, releases[0], 0, False, NOW), EntryEdit(RATING, releases[0], 10, False, NOW)]
    async with conn.transaction():
        await library.write(conn, people[0], edits, [], origin="user", merge=False)
    await drain(dsn, UserStats(), ReleaseCounts())
    before = await conn.fetch("select * from user_stats order by user_id")
    numbers = await conn.fetch("select * from popularity_metrics order by release_id")
    for statement, said in BENT.values():
        assert await conn.execute(statement, people[0]) not in ("UPDATE 0", "DELETE 0")
        # A check names it and leaves it.
        assert any(said in line for line in await findings(conn)), said
        assert any(said in line for line in await findings(conn, keep=True)), said
        assert await findings(conn) == []
    after = await conn.fetch("select * from user_stats order by user_id")
    assert [{**row, "last_activity_at": None} for row in after] == [{**row, "last_activity_at": None} for row in before]
    assert all(row["last_activity_at"] for row in after)
    assert await conn.fetch("select * from popularity_metrics order by release_id") == numbers


async def test_views_that_no_pass_has_taken_up_are_not_missing_and_wrong_totals_are_put_right(conn):
    one, two = await seed_releases(conn, 2)
    await seed_partitions(conn)
    await commit(conn, event(one, viewer=1), event(one, viewer=2), event(two, viewer=1))
    await roll_up_all(conn)
    assert await findings(conn) == []
    async with conn.transaction():
        await trends.run_pass(conn, datetime.now(UTC))
    await commit(conn, event(one, viewer=3), event(one, viewer=1))
    await roll_up_all(conn)
    assert await findings(conn) == []
    await conn.execute("update popularity_metrics set total_views = 50, unique_viewers = 7 where release_id = $1", one)
    assert await findings(conn, keep=True) == [
        f"release {one}: total_views is 50, should be 2",
        f"release {one}: unique_viewers is 7, should be 2",
    ]
    assert await findings(conn) == []
    async with conn.transaction():
        await trends.run_pass(conn, datetime.now(UTC))
    assert await conn.fetchval("select total_views from popularity_metrics where release_id = $1", one) == 4
    assert await findings(conn) == []


async def test_counters_of_notifications_are_held_against_their_rows(conn: Any, dsn: str) -> None:
    one, two = [await make_user(dsn) for _ in range(2)]
    await conn.execute(
        "insert into notifications (user_id, event_id, read_at) values ($1, 1, null), ($1, 2, now()), ($2, 1, null)",
        one, two,
    )  # fmt: skip
    await conn.execute("insert into held_notifications (user_id, event_id) values ($1, 3)", two)
    await conn.execute(
        """insert into notification_budgets (user_id, window_start, unread, held)
           values ($1, now(), 1, 0), ($2, now(), 4, 0)""",
        one, two,
    )  # fmt: skip
    expected = [f"user {two}: held is 0, should be 1", f"user {two}: unread is 4, should be 1"]
    assert await findings(conn) == expected
    assert await findings(conn, keep=True) == expected
    assert await findings(conn) == []


async def test_views_are_left_alone_once_their_oldest_days_may_be_gone(conn):
    await seed_releases(conn, 1)
    await conn.execute("update popularity_metrics set total_views = 50")
    assert len(await findings(conn)) == 1
    await conn.execute("update schema_migrations set applied_at = $1", datetime.now(UTC) - timedelta(days=2000))
    assert await findings(conn) == []


async def test_many_users_are_gone_through_in_slices(conn, dsn, monkeypatch):
    monkeypatch.setattr(command, "AT_ONCE", 2)
    people = [await make_user(dsn) for _ in range(5)]
    await conn.execute("insert into user_stats (user_id, favorites) select unnest($1::bigint[]), 1", people)
    assert await findings(conn, keep=True) == [f"user {one}: favorites is 1, should be 0" for one in people]
    assert await findings(conn) == []


async def test_the_command_says_what_it_did_and_a_check_fails(conn, dsn, tmp_path, capsys):
    await seed_releases(conn, 1)
    await conn.execute("update catalogue_totals set total = 5")
    outcome = []
    for arguments in (["repair", "--check"], ["repair"], ["repair", "--check"]):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DATABASE_URL", dsn)
            patch.setenv("DATA_DIR", str(tmp_path))
            outcome.append(await asyncio.to_thread(main, arguments))
    assert outcome == [1, 0, 0]
    said = capsys.readouterr().out
    assert said.count("releases is 5, should be 1") == 2
    assert "catalogue: no numbers differed" in said
