"""Taking back everything of one user as an operation: slice by slice, also when whoever was at it is killed."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from actors.works import undo_user
from actors.works.base import Progress, Stopped
from actors.works.undo_user import UndoUser
from server.database import Database
from server.files import Files
from sql import operations, reviews
from sql.operations import Operation
from tests import judging
from tests.commenting import make_users, post, wrong_counters
from tests.seeding import seed_releases
from tests.working import bench

COMMENTS = 23


@pytest.fixture(autouse=True)
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(undo_user, "UNDO_SLICE", 4)


async def talk(conn: Any) -> tuple[int, int, int, list[int]]:
    """Somebody who says much, somebody who answers, a moderator, and the releases they speak about."""
    (culprit, other), (moderator,) = await make_users(conn, 2, "moderator"), await make_users(conn, 1)
    # Made by a moderator, so that nothing is held; it is a user's now.
    releases = await seed_releases(conn, 3)
    for number in range(COMMENTS):
        said = (await post(conn, culprit, releases[number % 3])).comment_id
        await post(conn, other, releases[number % 3], said)
    for release in releases:
        await judging.review(conn, culprit, release)
        liked = (await judging.review(conn, other, release)).review_id
        assert liked is not None
        await reviews.vote(conn, culprit, liked)
    await conn.execute("update users set role = 'user' where id = any ($1)", [culprit, other])
    return culprit, other, moderator, releases


async def ask(database: Database, moderator: int, culprit: int) -> Operation:
    async with database.transaction() as conn:
        request = {"user_id": culprit, "reason": "Enough."}
        return await operations.create(conn, moderator, "undo_user", request)


async def hidden(conn: Any, user_id: int) -> int:
    return int(await conn.fetchval("select count(*) from comments where user_id = $1 and state = 'hidden'", user_id))


async def test_what_was_cut_off_goes_on_behind_its_last_slice(conn: Any, dsn: str, tmp_path: Path) -> None:
    culprit, other, moderator, releases = await talk(conn)
    stale: set[str] = set()
    paused, database, files = asyncio.Event(), Database(dsn), Files(tmp_path)
    await database.open()
    operation = await ask(database, moderator, culprit)

    def cut_off(tags: Collection[str]) -> None:
        # Right after the second slice was committed, before anybody was told what it made stale.
        if tags and not paused.is_set():
            if stale:
                paused.set()
                raise asyncio.CancelledError
            stale.update(tags)

    async with database.connection() as one:
        (claimed,) = await operations.claim(one, ["undo_user"], 1)
    with pytest.raises(asyncio.CancelledError):
        await UndoUser(database, cut_off).run(claimed, Progress(database, files, claimed))
    assert await hidden(conn, culprit) == 8
    # Meanwhile they go on.
    await post(conn, culprit, releases[0])
    await conn.execute("update operations set leased_until = now() - interval '1 s'")
    stale.clear()
    async with bench(dsn, tmp_path, [UndoUser(database, stale.update)]) as runs:
        ended = await runs.ended(operation.id)
    await database.close()
    assert (ended["status"], ended["attempts"]) == ("succeeded", 2)
    assert ended["result"] == {"comments": COMMENTS + 1, "reviews": 3, "votes": 3, "reports": 0}
    assert stale == {f"{what}:{release}" for what in ("comments", "reviews") for release in releases}
    assert await hidden(conn, culprit) == COMMENTS + 1
    assert await hidden(conn, other) == 0
    assert await conn.fetchval("select count(*) from reviews where user_id = $1 and counted", other) == 3
    # Each of them was decided about once.
    decided = """
        select count(*), count(distinct (target_type, target_id)) from moderation_decisions where moderator_id = $1
    """
    assert tuple(await conn.fetchrow(decided, moderator)) == (COMMENTS + 4, COMMENTS + 4)
    assert await conn.fetchval("select count(distinct operation_id) from moderation_decisions") == 1
    assert await wrong_counters(conn) == []
    assert await judging.wrong(conn) == []


async def test_somebody_who_keeps_writing_meanwhile_is_met_as_well(conn: Any, dsn: str, tmp_path: Path) -> None:
    culprit, _, moderator, releases = await talk(conn)
    database, begun = Database(dsn), asyncio.Event()
    await database.open()

    async def write() -> None:
        await begun.wait()
        for number in range(15):
            async with database.single() as one:
                await post(one, culprit, releases[number % 3])

    writer = asyncio.create_task(write())
    async with bench(dsn, tmp_path, [UndoUser(database, lambda _: begun.set())]) as runs:
        operation = await ask(runs.database, moderator, culprit)
        ended = await runs.ended(operation.id)
        await writer
        assert ended["status"] == "succeeded"
        again = await ask(runs.database, moderator, culprit)
        rest = await runs.ended(again.id)
    await database.close()
    assert ended["result"]["comments"] + rest["result"]["comments"] == COMMENTS + 15
    assert await hidden(conn, culprit) == COMMENTS + 15
    assert await wrong_counters(conn) == []


async def test_it_stops_where_it_is_when_it_is_cancelled(conn: Any, dsn: str, tmp_path: Path) -> None:
    culprit, _, moderator, _ = await talk(conn)
    database = Database(dsn)
    await database.open()
    operation = await ask(database, moderator, culprit)
    async with database.connection() as one:
        (claimed,) = await operations.claim(one, ["undo_user"], 1)
        await conn.execute("update operations set stopping = true where id = $1", operation.id)
    with pytest.raises(Stopped):
        await UndoUser(database, lambda _: None).run(claimed, Progress(database, Files(tmp_path), claimed))
    await database.close()
    assert await hidden(conn, culprit) == 0


async def test_of_an_account_that_is_gone_nothing_is_left_to_do(conn: Any, dsn: str, tmp_path: Path) -> None:
    (moderator,) = await make_users(conn, 1)
    database = Database(dsn)
    await database.open()
    async with bench(dsn, tmp_path, [UndoUser(database, lambda _: None)]) as runs:
        ended = await runs.ended((await ask(runs.database, moderator, 999_999)).id)
        assert ended["status"] == "succeeded"
        assert ended["result"] == {"comments": 0, "reviews": 0, "votes": 0, "reports": 0}
    await database.close()
