"""The dispatcher in trouble: statements that take too long, accounts erased meanwhile, imports, second thoughts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from actors import dispatcher as module
from actors.consumers import notifications as consumer
from actors.consumers.base import Delivered
from actors.consumers.notifications import Notifications
from actors.dispatcher import Dispatcher, Looks
from server.database import Database, connect
from server.errors import DeadlineExceeded
from server.events import NotificationProgress
from sql import dispatch, erasure, notifications
from sql.notifications import Personal
from sql.outbox import Event
from tests.outboxes import drain, publish
from tests.telling import FIVE, counted, follow, happen, let_pass, stage, tell, told, wrongs

CONSUMER = Notifications()


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    opened = Database(dsn)
    await opened.open()
    yield opened
    await opened.close()


async def test_a_moderator_s_second_decision_is_told_however_soon_it_comes(conn: Any, dsn: str) -> None:
    users = await stage(conn, 1)
    said = {"target_type": "review", "target_id": 4, "release_id": 1, "recipient_id": users[0], "reason": None}
    rejected, approved = (
        Event("moderation", "review:4", said | {"decision": decision}) for decision in ("rejected", "approved")
    )
    await publish(dsn, rejected, approved, approved)
    await drain(dsn, CONSUMER)
    await publish(dsn, rejected)
    await drain(dsn, CONSUMER)
    rows = await conn.fetch("select data ->> 'decision' from notification_events order by id")
    assert [row[0] for row in rows] == ["rejected", "approved"]


async def test_what_a_great_import_brings_is_written_down_in_portions_and_each_once(
    conn: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = await stage(conn, 1)
    await follow(conn, users)
    portions: list[int] = []
    record = notifications.record

    async def counting(conn: Any, news: Any) -> int:
        portions.append(len(news))
        return await record(conn, news)

    monkeypatch.setattr(notifications, "record", counting)
    monkeypatch.setattr(consumer, "MOST_AT_ONCE", 25)
    now = await conn.fetchval("select now()")
    payload = {"episodes": [[1, number] for number in range(1, 61)]}
    events = [Delivered(1, number, "catalogue", "catalogue", None, payload, now) for number in range(2)]
    async with conn.transaction():
        await CONSUMER.handle(conn, events)
    assert len(portions) == 5
    assert max(portions) <= 25
    assert await counted(conn, "notification_events") == 60
    assert CONSUMER.most == 20


@pytest.mark.parametrize("first", ["the slice", "the erasure"])
async def test_an_erasure_and_a_slice_that_tells_the_same_user_do_not_lock_each_other_up(
    conn: Any, dsn: str, first: str
) -> None:
    users = await stage(conn, 2)
    for comment in (1, 2):
        rows = [Personal("reply", user, "comment", comment, 1, {}) for user in users]
        await notifications.enqueue_personal(conn, rows)
        if comment == 1:
            await tell(conn)
    slicing, erasing, barrier = [await connect(dsn) for _ in range(3)]
    stop = barrier.transaction()
    await stop.start()
    # The slice is stopped with the events in its hands, or the erasure with the budget in its own.
    table = "notification_budgets" if first == "the slice" else "notifications"
    await barrier.execute(f"select from {table} where user_id = $1 for update", users[0])
    steps = [
        (slicing.get_server_pid(), dispatch.fan_out(slicing, "reply", 50, 2000, FIVE, mail=False)),
        (erasing.get_server_pid(), _forget(erasing, users[0])),
    ]
    work = []
    for pid, step in steps if first == "the slice" else reversed(steps):
        work.append(asyncio.create_task(step))
        await _stands(conn, pid, work[-1])
    await stop.rollback()
    async with asyncio.timeout(10):
        await asyncio.gather(*work)
    await erasure.forget_notifications(conn, users[0])
    for other in (slicing, erasing, barrier):
        await other.close()
    assert await told(conn, users[1]) == [("reply", 1), ("reply", 2)]
    assert await conn.fetchval("select count(*) from notification_events where recipient_id = $1", users[0]) == 0
    assert await wrongs(conn) == {}


async def _forget(conn: Any, user_id: int) -> None:
    async with conn.transaction():
        await erasure.forget_notifications(conn, user_id)


async def _stands(conn: Any, pid: int, task: asyncio.Task[Any]) -> None:
    """Until it waits for a lock, or is done."""
    stands = "select cardinality(pg_blocking_pids($1)) > 0"
    async with asyncio.timeout(5):
        while not task.done() and not await conn.fetchval(stands, pid):  # noqa: ASYNC110 - a lock says nothing by itself
            await asyncio.sleep(0.01)


async def test_a_kind_that_takes_too_long_rests_alone_and_comes_back_smaller(
    conn: Any, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = await stage(conn, 4)
    await follow(conn, users)
    await happen(conn, range(1, 9))
    asked: list[tuple[int, int]] = []
    working = dispatch.deliver_held

    async def slow(conn: Any, most: int, *given: Any, rows: int, **more: Any) -> Any:
        asked.append((most, rows))
        if most > 500:
            raise DeadlineExceeded("The database took too long.")
        return await working(conn, most, *given, rows=rows, **more)

    monkeypatch.setattr(dispatch, "deliver_held", slow)
    progress = NotificationProgress()
    dispatcher = Dispatcher(database, FIVE, progress, Looks(), lambda _first, _last: None, mail=False)
    await dispatcher.on_tick()
    await dispatcher.on_tick()
    # The episodes are told meanwhile, and nobody asks again before the pause is over.
    assert (progress.delivered["new_episode"], progress.failed, asked) == (20, 1, [(2000, 20_000)])
    monkeypatch.setattr(module, "PAUSE", 0.0)
    dispatcher._resting.clear()
    await let_pass(conn)
    for _ in range(3):
        await dispatcher.on_tick()
    assert asked[1:3] == [(1000, 10_000), (500, 5_000)]
    assert progress.delivered["digest"] == 4
    assert asked[3][0] == 550
