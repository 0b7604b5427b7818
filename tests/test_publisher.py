"""Scheduled publishing: drafts become public when their time has come, once, whoever looks and whatever crashes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from actors.publisher import SLICE, Publisher
from server.cms import publishing
from server.database import Database, connect
from server.errors import Unavailable
from sql import imports
from tests.http_fixture import ON_18, queries_seen
from tests.running import running
from tests.seeding import seed_releases
from tests.words import facts


async def schedule(conn: Any, count: int, when: str = "-1 second", *, announced: bool = False) -> list[int]:
    """So many drafts that are to be published then, as seen from now."""
    ids = await seed_releases(conn, count, visible=False)
    await conn.execute(
        """update releases set publish_at = now() + $2::text::interval, announced = $3, updated_at = '2020-01-01'
           where id = any ($1)""",
        ids,
        when,
        announced,
    )
    return ids


async def publish(conn: Any, most: int = SLICE) -> publishing.Published:
    """One slice."""
    async with conn.transaction():
        return await publishing.publish_due(conn, most)


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    """The pool that the actor takes its connections from."""
    opened = Database(dsn)
    await opened.open()
    yield opened
    await opened.close()


async def test_a_draft_is_published_when_its_time_has_come(conn: Any) -> None:
    due, later = await schedule(conn, 1), await schedule(conn, 1, "1 hour")
    assert await publishing.anything_due(conn)
    published = await publish(conn)
    assert published == (due, {"releases", f"release:{due[0]}"})
    rows = await conn.fetch("select id, visible, publish_at is null as done, announced from releases order by id")
    assert [tuple(row) for row in rows] == [(due[0], True, True, True), (later[0], False, False, False)]
    assert await facts(conn) == {"added": due}
    assert not await publishing.anything_due(conn)
    assert await publish(conn) == ([], set())
    # The list by the latest change shows it first, and its document says so.
    said = await conn.fetchval(
        "select document::json ->> 'updated_at' from release_documents where release_id = $1", due[0]
    )
    assert datetime.fromisoformat(said).year == datetime.now(UTC).year


async def test_one_that_was_announced_before_is_only_updated(conn: Any) -> None:
    new, old = await schedule(conn, 1), await schedule(conn, 1, announced=True)
    await publish(conn)
    assert await facts(conn) == {"added": new, "updated": old}


async def test_the_record_says_that_a_clock_did_it(conn: Any) -> None:
    (due,) = await schedule(conn, 1)
    meant = await conn.fetchval("select rfc3339(publish_at) from releases where id = $1", due)
    await publish(conn)
    row = await conn.fetchrow("select noun, entity_id, action, origin, actor_id, operation_id, diff from revisions")
    assert tuple(row) == (
        "release", due, "published", "schedule", None, None,
        {"is_published": [False, True], "publish_at": [meant, None]},
    )  # fmt: skip


async def test_a_deleted_draft_waits_until_it_is_restored(conn: Any) -> None:
    (due,) = await schedule(conn, 1)
    await conn.execute("update releases set deleted_at = now()")
    assert not await publishing.anything_due(conn)
    assert await publish(conn) == ([], set())
    await conn.execute("update releases set deleted_at = null")
    assert (await publish(conn)).ids == [due]


async def test_the_ones_that_waited_longest_come_first(conn: Any) -> None:
    second, first = await schedule(conn, 1, "-1 hour"), await schedule(conn, 1, "-1 day")
    assert [(await publish(conn, 1)).ids for _ in range(3)] == [first, second, []]


async def test_a_slice_that_did_not_commit_is_done_again(conn: Any, dsn: str) -> None:
    due = await schedule(conn, 3)
    dying = await connect(dsn)
    transaction = dying.transaction()
    await transaction.start()
    assert (await publishing.publish_due(dying, 2)).ids == due[:2]
    dying.terminate()
    assert sorted((await publish(conn)).ids) == due
    assert await facts(conn) == {"added": due}
    assert await conn.fetchval("select count(*) from revisions") == 3


async def test_instances_beside_each_other_publish_each_draft_once(conn: Any, dsn: str) -> None:
    due = await schedule(conn, 40)
    others = [await connect(dsn) for _ in range(4)]

    async def work(one: Any) -> list[int]:
        done: list[int] = []
        while found := (await publish(one, 3)).ids:
            done += found
        return done

    try:
        done = await asyncio.gather(*map(work, others))
    finally:
        for one in others:
            await one.close()
    assert sorted(release for part in done for release in part) == due
    assert await facts(conn) == {"added": due}


async def test_a_draft_that_somebody_edits_does_not_hold_up_the_others(conn: Any, dsn: str) -> None:
    due = await schedule(conn, 2)
    other = await connect(dsn)
    try:
        async with other.transaction():
            await other.execute("select from releases where id = $1 for update", due[0])
            assert (await publish(conn)).ids == due[1:]
    finally:
        await other.close()
    assert (await publish(conn)).ids == due[:1]


async def test_the_actor_publishes_more_than_a_slice_and_drops_their_tags(conn: Any, database: Database) -> None:
    due = await schedule(conn, 2 * SLICE + 1)
    dropped: list[set[str]] = []
    rung: list[bool] = []
    database.bell.listeners.append(lambda: rung.append(True))
    await Publisher(database, lambda tags: dropped.append(set(tags))).on_tick()
    assert [len(tags) for tags in dropped] == [SLICE + 1, SLICE + 1, 2]
    assert await conn.fetchval("select count(*) from releases where visible") == len(due)
    # Consumers of the outbox are called at once.
    assert len(rung) == 3


async def test_a_look_when_nothing_is_due_is_one_statement(conn: Any, database: Database) -> None:
    await schedule(conn, 1, "1 hour")
    with queries_seen() as names:
        await Publisher(database, lambda _: None).on_tick()
    assert names == ["anything_due"]
    await seed_releases(conn, 2_000)
    await conn.execute("analyze releases")
    plan = await conn.fetch("explain " + publishing.publishing.QUERIES.anything_due.text)
    assert any("releases_scheduled" in row[0] for row in plan)


@ON_18
async def test_the_actor_waits_for_a_busy_or_absent_database(conn: Any, dsn: str, database: Database) -> None:
    due = await schedule(conn, 1)
    actor = Publisher(database, lambda _: None)
    importing = await connect(dsn)
    try:
        async with importing.transaction():
            await imports.lock(importing)
            # The pool's lock_timeout ends the wait.
            await actor.on_tick()
            assert await conn.fetchval("select count(*) from releases where visible") == 0
    finally:
        await importing.close()
    await actor.on_tick()
    assert await conn.fetchval("select array_agg(id) from releases where visible") == due
    await database.close()
    with suppress(Unavailable):
        await actor.on_tick()


@ON_18
async def test_who_asks_again_after_the_hour_sees_the_release(dsn: str, tmp_path: Path) -> None:
    conn = await asyncpg.connect(dsn)
    async with running(dsn, tmp_path) as site:
        (draft,) = await schedule(conn, 1, "1 hour")
        for path in (f"/api/v1/releases/{draft}", "/api/v1/releases"):
            async with site.client.get(path) as answer:
                assert answer.status == (404 if path.endswith(str(draft)) else 200)
        await conn.execute("update releases set publish_at = now() where id = $1", draft)
        async with asyncio.timeout(10):
            while (await (await site.client.get("/api/v1/releases")).json())["count"] != 1:  # noqa: ASYNC110 - a clock
                await asyncio.sleep(0.05)
        async with site.client.get(f"/api/v1/releases/{draft}") as answer:
            assert answer.status == 200
        assert site.fatal == []
    await conn.close()
