"""The fan-out: who is told of what, in slices that may stop anywhere, by as many dispatchers as there are."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from time import monotonic
from typing import Any

import asyncpg
import pytest

from actors.consumers.notifications import Notifications
from actors.dispatcher import Dispatcher, Looks
from server.database import Database, connect
from server.events import NotificationProgress
from sql import dispatch, erasure, notifications
from sql.notifications import Personal
from sql.outbox import Event
from tests.outboxes import drain, publish
from tests.telling import FIVE, counted, follow, happen, let_pass, prefer, release, stage, tell, told, wrongs

NEW_RELEASE = """
    insert into notification_events (type, target_type, target_id, release_id)
    values ('new_release', 'release', 1, 1)"""
MUTE = "insert into notification_mutes (user_id, target_type, target_id) values ($1, $2, $3)"


async def test_an_episode_is_told_to_followers_of_its_release_and_franchise_once(conn: Any) -> None:
    users = await stage(conn, 10)
    await follow(conn, users[:4])
    await follow(conn, users[2:6], "franchise")
    await follow(conn, users[6:8], "genre")
    await follow(conn, users[8:], "release", 2)
    await happen(conn, [7])
    sums = await tell(conn)
    assert (sums.delivered, sums.held) == (6, 0)
    assert [await told(conn, user) for user in users] == [[("new_episode", 7)]] * 6 + [[]] * 4
    assert await wrongs(conn) == {}


async def test_a_release_is_told_to_followers_of_its_genres_and_franchise_once_however_many_match(conn: Any) -> None:
    users = await stage(conn, 6)
    await follow(conn, users[:3], "genre", 1)
    await follow(conn, users[1:4], "genre", 2)
    await follow(conn, users[2:5], "franchise", 1)
    await conn.execute(NEW_RELEASE)
    assert (await tell(conn)).delivered == 5
    assert [await told(conn, user) for user in users] == [[("new_release", 1)]] * 5 + [[]]


async def test_what_is_personal_goes_to_its_recipient_alone_and_many_of_it_in_one_statement(conn: Any) -> None:
    users = await stage(conn, 300)
    rows = [Personal("recommendation", user, "release", 1, 1, {}) for user in users]
    await notifications.enqueue_personal(conn, rows)
    sums = await tell(conn, events=1000)
    assert (sums.delivered, sums.slices) == (300, 1)
    assert await told(conn, users[17]) == [("recommendation", 1)]


async def test_several_events_of_one_user_in_one_slice_are_counted_one_by_one(conn: Any) -> None:
    users = await stage(conn, 3)
    rows = [Personal("recommendation", users[0], "release", number, number, {}) for number in (1, 2)]
    rows += [Personal("recommendation", users[1], "release", number, None, {}) for number in range(1, 9)]
    await notifications.enqueue_personal(conn, rows)
    sums = await tell(conn, events=1000)
    assert (sums.delivered, sums.held, sums.slices) == (7, 3, 1)
    assert await told(conn, users[1]) == [("recommendation", number) for number in range(1, 6)]
    assert await wrongs(conn) == {}


async def test_events_take_turns_so_that_none_waits_for_a_great_one(conn: Any) -> None:
    users = await stage(conn, 300)
    await follow(conn, users)
    await follow(conn, users[:10], "release", 2)
    great, small = await happen(conn, [1]), await happen(conn, [101], 2)
    await dispatch.fan_out(conn, "new_episode", 50, 40, FIVE, mail=False)
    done = {
        row["id"]: row["done_at"] is not None for row in await conn.fetch("select id, done_at from notification_events")
    }
    assert done == {great[0]: False, small[0]: True}
    await tell(conn, users=40)
    assert await counted(conn, "notifications") == 310


async def test_a_slice_ends_where_it_should_also_with_gaps_between_the_ids_of_users(conn: Any) -> None:
    users = await stage(conn, 500)
    chosen = random.Random(4).sample(users, 211)
    await follow(conn, chosen)
    await happen(conn, [3])
    sums = await tell(conn, users=10)
    # Twenty-one full ones, and one that finds the rest.
    assert (sums.delivered, sums.slices) == (211, 22)
    found = await conn.fetch("select user_id from notifications order by user_id")
    assert [row["user_id"] for row in found] == sorted(chosen)


@pytest.mark.parametrize("hidden", ["is_published = false", "deleted_at = now()"])
async def test_nobody_is_told_of_a_release_that_nobody_may_see(conn: Any, hidden: str) -> None:
    users = await stage(conn, 3)
    await follow(conn, users)
    await happen(conn, [1])
    await conn.execute(f"update releases set {hidden}")
    assert (await tell(conn)).delivered == 0
    assert await conn.fetchval("select done_at is not null from notification_events")


async def test_a_deleted_episode_is_not_told(conn: Any) -> None:
    users = await stage(conn, 3)
    await follow(conn, users)
    await happen(conn, [1, 2])
    await conn.execute("update episodes set deleted_at = now() where id = 1")
    assert (await tell(conn)).delivered == 3
    assert await told(conn, users[0]) == [("new_episode", 2)]


@pytest.mark.parametrize(
    ("target", "silent"), [(("release", 1), True), (("franchise", 1), True), (("genre", 1), False)]
)
async def test_what_is_muted_is_not_told_of_and_costs_nothing(conn: Any, target: tuple[str, int], silent: bool) -> None:
    users = await stage(conn, 4)
    await follow(conn, users)
    await conn.execute(MUTE, users[1], *target)
    await happen(conn, [1])
    assert (await tell(conn)).delivered == 4 - silent
    used = await conn.fetchval("select used from notification_budgets where user_id = $1", users[1])
    assert used == (None if silent else 1)


async def test_a_muted_genre_silences_new_releases_and_recommendations_and_nothing_silences_a_moderator(
    conn: Any,
) -> None:
    users = await stage(conn, 2)
    await follow(conn, users, "franchise")
    for target in (("genre", 2), ("release", 2)):
        await conn.execute(MUTE, users[0], *target)
    await conn.execute(NEW_RELEASE)
    await notifications.enqueue_personal(
        conn,
        [
            Personal(kind, user, "comment", 1, 2, {})
            for kind in ("recommendation", "reply", "moderation")
            for user in users
        ],
    )
    await tell(conn)
    assert [kind for kind, _ in await told(conn, users[0])] == ["moderation"]
    assert len(await told(conn, users[1])) == 4


async def test_who_has_switched_a_type_off_is_not_told_and_pays_nothing(conn: Any) -> None:
    users = await stage(conn, 3)
    await follow(conn, users)
    await prefer(conn, users[:1], in_app=62 - 2)
    await prefer(conn, users[1:2], in_app=62 - 2, email_instant=2)
    await happen(conn, [1])
    assert (await tell(conn, mail=True)).delivered == 2
    # The second gets a mail only, which costs as much as any.
    rows = await conn.fetch("select user_id, used, unread from notification_budgets order by user_id")
    assert [tuple(row) for row in rows] == [(users[1], 1, 0), (users[2], 1, 1)]
    mails = await conn.fetch("select user_id, mode from notification_mails")
    assert [tuple(row) for row in mails] == [(users[1], "instant")]
    assert await told(conn, users[1]) == []


async def test_without_a_mail_server_no_mail_is_written_down_and_who_wanted_only_that_pays_nothing(conn: Any) -> None:
    users = await stage(conn, 2)
    await follow(conn, users)
    await prefer(conn, users[:1], in_app=0, email_daily=2)
    await happen(conn, [1])
    assert (await tell(conn, mail=False)).delivered == 1
    assert await counted(conn, "notification_mails") == 0
    assert await counted(conn, "notification_budgets") == 1


async def test_two_dispatchers_share_the_work_and_tell_everybody_once(conn: Any, dsn: str) -> None:
    users = await stage(conn, 600)
    await follow(conn, users)
    await happen(conn, range(1, 5))
    others = [await connect(dsn) for _ in range(3)]
    sums = await asyncio.gather(*(_until_done(other, conn) for other in others))
    for other in others:
        await other.close()
    assert sum(sums) == 4 * 600
    assert sum(one > 0 for one in sums) > 1
    assert await counted(conn, "notifications") == 4 * 600
    assert await wrongs(conn) == {}


async def _until_done(conn: Any, watch: Any) -> int:
    total, deadline = 0, monotonic() + 30
    while await watch_open(conn):
        assert monotonic() < deadline
        # One event a slice, so that the others find some that are free.
        total += (await dispatch.fan_out(conn, "new_episode", 1, 50, FIVE, mail=False)).delivered
    return total


async def watch_open(conn: Any) -> bool:
    found: bool = await conn.fetchval("select exists (select from notification_events where done_at is null)")
    return found


async def test_killed_at_any_point_it_goes_on_and_tells_nobody_twice(conn: Any, dsn: str) -> None:
    users = await stage(conn, 800)
    await follow(conn, users)
    await follow(conn, users[::3], "franchise")
    await happen(conn, range(1, 8))
    chance, killed, deadline = random.Random(11), 0, monotonic() + 60
    while await watch_open(conn):
        assert monotonic() < deadline
        worker = await connect(dsn)
        pid = worker.get_server_pid()
        work = asyncio.create_task(tell(worker, users=chance.choice((15, 60))))
        await asyncio.wait((work,), timeout=chance.uniform(0.001, 0.03))
        await conn.execute("select pg_terminate_backend($1)", pid)
        killed += isinstance((await asyncio.gather(work, return_exceptions=True))[0], Exception)
        worker.terminate()
    assert killed > 3
    per_user = await conn.fetch("select user_id, count(*) from notifications group by user_id")
    assert {row["count"] for row in per_user} == {5}
    assert len(per_user) == 800
    assert await counted(conn, "held_notifications") == 2 * 800
    assert await wrongs(conn) == {}


async def test_fan_outs_with_overlapping_followers_never_lock_each_other_up(conn: Any, dsn: str) -> None:
    users = await stage(conn, 400)
    await follow(conn, users)
    await follow(conn, users[100:], "release", 2)
    await happen(conn, range(1, 9))
    await happen(conn, range(101, 109), 2)
    others = [await connect(dsn) for _ in range(4)]
    # A deadlock would be an error here; ids given backwards must not matter either.
    await asyncio.gather(*(_until_done(other, conn) for other in others))
    for other in others:
        await other.close()
    assert await counted(conn, "notifications") == 400 * 5
    assert await counted(conn, "held_notifications") == 400 * 3 + 300 * 8
    assert await wrongs(conn) == {}


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    opened = Database(dsn)
    await opened.open()
    yield opened
    await opened.close()


def dispatcher_of(database: Database, grown: list[tuple[int, int]], progress: NotificationProgress) -> Dispatcher:
    return Dispatcher(
        database, FIVE, progress, Looks(), lambda first, last: grown.append((first, last)), mail=False
    )  # fmt: skip


async def test_the_dispatcher_tells_counts_and_says_whose_lists_have_grown(conn: Any, database: Database) -> None:
    users = await stage(conn, 30)
    await follow(conn, users)
    await happen(conn, range(1, 8))
    grown: list[tuple[int, int]] = []
    progress = NotificationProgress()
    dispatcher = dispatcher_of(database, grown, progress)
    await dispatcher.on_tick()
    assert (progress.delivered, progress.held) == ({"new_episode": 150}, {"new_episode": 60})
    assert grown == [(users[0], users[-1])]
    assert progress.open == 0
    await let_pass(conn)
    await dispatcher.on_tick()
    assert (progress.collapsed, progress.delivered["digest"]) == (60, 30)


async def test_a_type_that_cannot_be_told_rests_and_holds_up_no_other(
    conn: Any, database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    users = await stage(conn, 3)
    await follow(conn, users)
    await happen(conn, [1])
    await notifications.enqueue_personal(conn, [Personal("recommendation", users[0], "release", 1, 1, {})])
    working = dispatch.fan_out

    async def failing(conn: Any, kind: str, *rest: Any, **more: Any) -> dispatch.Slice:
        if kind == "new_episode":
            raise asyncpg.UniqueViolationError("a fault of ours")
        return await working(conn, kind, *rest, **more)

    monkeypatch.setattr(dispatch, "fan_out", failing)
    progress = NotificationProgress()
    dispatcher = dispatcher_of(database, [], progress)
    await dispatcher.on_tick()
    await dispatcher.on_tick()
    assert progress.delivered == {"recommendation": 1}
    assert progress.failed == 1
    assert "notifications put off" in caplog.text


CONSUMER = Notifications()


async def test_what_the_catalogue_publishes_becomes_an_event_each_for_those_who_wait(conn: Any, dsn: str) -> None:
    users = await stage(conn, 2)
    await follow(conn, users[:1], "genre", 2)
    await follow(conn, users[1:])
    await publish(dsn, Event("catalogue", "catalogue", {"added": [1, 2, 999]}))
    await publish(dsn, Event("catalogue", "catalogue", {"episodes": [[1, 5], [2, 105], [1, 999], [2, 6]]}))
    for ignored in ("updated", "deleted", "episodes_updated", "episodes_deleted"):
        await publish(dsn, Event("catalogue", "catalogue", {ignored: [[1, 5]] if "ep" in ignored else [1]}))
    await drain(dsn, CONSUMER)
    rows = await conn.fetch("select type, target_id, release_id from notification_events order by id")
    # Nobody follows what the second release is about, but its genre; nobody waits for its episodes.
    assert [tuple(row) for row in rows] == [("new_release", 1, 1), ("new_release", 2, 2), ("new_episode", 5, 1)]
    await tell(conn)
    assert await told(conn, users[0]) == [("new_release", 1), ("new_release", 2)]


async def test_the_same_event_within_five_seconds_is_one_also_over_several_batches(conn: Any, dsn: str) -> None:
    users = await stage(conn, 1)
    await follow(conn, users)
    episode = Event("catalogue", "catalogue", {"episodes": [[1, 5]]})
    await publish(dsn, episode, episode)
    await drain(dsn, CONSUMER)
    await publish(dsn, episode)
    await drain(dsn, CONSUMER)
    assert await counted(conn, "notification_events") == 1
    await conn.execute("update notification_events set created_at = created_at - interval '5 seconds'")
    await publish(dsn, episode)
    await drain(dsn, CONSUMER)
    assert await counted(conn, "notification_events") == 2


async def test_replies_and_decisions_reach_whom_they_are_for_but_nobody_hears_of_their_own_reply(
    conn: Any, dsn: str
) -> None:
    users = await stage(conn, 2)
    reply = {"comment_id": 9, "release_id": 1, "recipient_id": users[0], "author_id": users[1]}
    decision = {
        "target_type": "review", "target_id": 4, "release_id": 1, "recipient_id": users[0], "decision": "rejected",
        "reason": "spoilers",
    }  # fmt: skip
    await publish(
        dsn,
        Event("reply", "comment:9", reply, users[0]),
        Event("reply", "comment:10", reply | {"comment_id": 10, "author_id": users[0]}, users[0]),
        Event("reply", "comment:11", reply | {"comment_id": 11, "recipient_id": 10**9}),
        Event("moderation", "review:4", decision, users[0]),
    )
    await drain(dsn, CONSUMER)
    await tell(conn)
    assert await told(conn, users[0]) == [("reply", 9), ("moderation", 4)]
    assert await counted(conn, "notification_events") == 2
    data = await conn.fetchval("select data from notification_events where type = 'moderation'")
    assert data == {"decision": "rejected", "reason": "spoilers"}


async def test_an_erased_account_leaves_nothing_of_what_it_was_told_nor_what_was_on_its_way(conn: Any) -> None:
    users = await stage(conn, 2)
    await follow(conn, users)
    await prefer(conn, users, email_daily=2)
    await notifications.enqueue_personal(conn, [Personal("reply", user, "comment", 1, 1, {}) for user in users])
    await happen(conn, range(1, 8))
    await tell(conn, mail=True)
    async with conn.transaction():
        await erasure.erase(conn, users[0])
    # A slice that had seen the subscription before.
    await conn.execute(
        "insert into notification_budgets (user_id, window_start, used, unread) values ($1, now(), 1, 1)", users[0]
    )
    await conn.execute("insert into notifications (user_id, event_id) values ($1, 1)", users[0])
    await erasure.forget_notifications(conn, users[0])
    for table in (
        "notification_budgets",
        "notifications",
        "held_notifications",
        "notification_mails",
        "notification_preferences",
    ):
        assert await conn.fetchval(f"select count(*) from {table} where user_id = $1", users[0]) == 0, table
        assert await counted(conn, table) > 0, table
    assert await conn.fetchval("select count(*) from notification_events where recipient_id = $1", users[0]) == 0
    await let_pass(conn)
    assert await release(conn) == 1
    assert await wrongs(conn) == {}
