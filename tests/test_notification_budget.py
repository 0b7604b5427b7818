"""So many an hour and no more, whoever tells what how often: the budget, what is held, and how it arrives."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from server.database import connect
from sql import dispatch, notifications
from sql.dispatch import Budget
from sql.notifications import Personal
from tests.telling import FIVE, counted, follow, happen, let_pass, prefer, release, stage, tell, told, wrongs

BUDGET = "select used, held, unread from notification_budgets where user_id = $1"
BERLIN = ZoneInfo("Europe/Berlin")


async def budget_of(conn: Any, user_id: int) -> tuple[int, int, int]:
    row = await conn.fetchrow(BUDGET, user_id)
    return row["used"], row["held"], row["unread"]


async def digests(conn: Any, user_id: int) -> list[dict[str, Any]]:
    rows = await conn.fetch(
        "select e.data from notifications n join notification_events e on e.id = n.event_id"
        " where n.user_id = $1 and e.type = 'digest' order by n.id", user_id,
    )  # fmt: skip
    return [row["data"] for row in rows]


async def test_five_an_hour_are_told_and_the_others_arrive_collapsed_when_it_turns(conn: Any) -> None:
    (user,) = await stage(conn, 1)
    await follow(conn, [user])
    ids = await happen(conn, range(1, 13))
    sums = await tell(conn)
    assert (sums.delivered, sums.held) == (5, 7)
    assert await told(conn, user) == [("new_episode", number) for number in range(1, 6)]
    assert await budget_of(conn, user) == (5, 7, 5)
    assert await release(conn) == 0
    await let_pass(conn)
    assert await release(conn) == 1
    assert await digests(conn, user) == [{"counts": {"new_episode": 7}, "events": ids[5:]}]
    # The digest is the first of the window that begins with it.
    assert await budget_of(conn, user) == (1, 0, 6)
    await happen(conn, range(13, 18))
    assert (await tell(conn)).delivered == 4
    assert await wrongs(conn) == {}


async def test_one_that_was_held_arrives_as_itself(conn: Any) -> None:
    (user,) = await stage(conn, 1)
    await follow(conn, [user])
    await happen(conn, range(1, 7))
    await tell(conn)
    await let_pass(conn)
    await release(conn)
    assert await told(conn, user) == [("new_episode", number) for number in range(1, 7)]
    assert await budget_of(conn, user) == (1, 0, 6)


async def test_who_comes_while_something_is_held_joins_it_even_after_the_hour(conn: Any) -> None:
    (user,) = await stage(conn, 1)
    await follow(conn, [user])
    await happen(conn, range(1, 7))
    await tell(conn)
    await let_pass(conn)
    await happen(conn, [7, 8])
    assert (await tell(conn)).delivered == 0
    await release(conn)
    assert [data["counts"] for data in await digests(conn, user)] == [{"new_episode": 3}]
    assert await budget_of(conn, user) == (1, 0, 6)


async def test_all_types_share_one_budget_and_a_digest_counts_them_apart(conn: Any) -> None:
    (user,) = await stage(conn, 1)
    await follow(conn, [user])
    await happen(conn, range(1, 4))
    for kind, number in (("reply", 3), ("moderation", 2), ("recommendation", 2)):
        rows = [Personal(kind, user, "comment", place, 1, {}) for place in range(number)]  # type: ignore[arg-type]
        await notifications.enqueue_personal(conn, rows)
    sums = await tell(conn)
    assert (sums.delivered, sums.held) == (5, 5)
    await let_pass(conn)
    await release(conn)
    (data,) = await digests(conn, user)
    assert sum(data["counts"].values()) == 5
    assert set(data["counts"]) <= {"new_episode", "reply", "moderation", "recommendation"}
    assert len(data["counts"]) > 1


async def test_a_digest_names_twenty_events_and_counts_all(conn: Any) -> None:
    (user,) = await stage(conn, 1)
    await follow(conn, [user])
    await happen(conn, range(1, 41))
    await tell(conn, events=7)
    await let_pass(conn)
    await release(conn)
    (data,) = await digests(conn, user)
    assert data["counts"] == {"new_episode": 35}
    assert len(data["events"]) == 20


async def test_an_hour_begins_with_its_first_notification(conn: Any) -> None:
    (user,) = await stage(conn, 1)
    await follow(conn, [user])
    await happen(conn, range(1, 4))
    await tell(conn)
    await let_pass(conn, 3500)
    await happen(conn, range(4, 8))
    sums = await tell(conn)
    assert (sums.delivered, sums.held) == (2, 2)
    await let_pass(conn, 101)
    assert await release(conn) == 1


async def test_nought_as_the_limit_lets_everything_through(conn: Any) -> None:
    (user,) = await stage(conn, 1)
    await follow(conn, [user])
    await happen(conn, range(1, 31))
    sums = await tell(conn, Budget(0, 3600))
    assert (sums.delivered, sums.held) == (30, 0)
    assert await wrongs(conn) == {}


async def test_what_was_switched_off_while_it_waited_does_not_arrive(conn: Any) -> None:
    users = await stage(conn, 2)
    await follow(conn, users)
    await happen(conn, range(1, 9))
    await tell(conn)
    await prefer(conn, users[:1], in_app=0)
    await let_pass(conn)
    await release(conn)
    assert await digests(conn, users[0]) == []
    assert len(await digests(conn, users[1])) == 1
    assert await budget_of(conn, users[0]) == (5, 0, 5)
    assert await wrongs(conn) == {}


async def test_a_digest_goes_by_the_most_urgent_mail_of_what_is_in_it(conn: Any) -> None:
    users = await stage(conn, 1)
    await follow(conn, users)
    await prefer(conn, users, in_app=0, email_weekly=2, email_instant=16)
    await happen(conn, range(1, 7))
    await notifications.enqueue_personal(conn, [Personal("reply", users[0], "comment", n, 1, {}) for n in range(3)])
    await tell(conn, mail=True)
    await let_pass(conn)
    await release(conn, mail=True)
    row = await conn.fetchrow(
        "select m.mode, e.data, e.type from notification_mails m join notification_events e on e.id = m.event_id"
        " order by e.id desc"
    )
    assert row["type"] == "digest"
    # Nothing of it is for the list.
    assert row["data"]["counts"] == {}
    assert row["mode"] == ("instant" if "reply" in row["data"]["mail_counts"] else "weekly")
    assert await counted(conn, "notifications") == 0
    assert await wrongs(conn) == {}


async def test_a_slice_that_began_before_the_window_counts_in_it(conn: Any, dsn: str) -> None:
    """Somebody who waited for the user's budget writes no notification into the hour before."""
    (user,) = await stage(conn, 1)
    await follow(conn, [user])
    other = await connect(dsn)
    early = other.transaction()
    await early.start()
    await other.execute("select now()")
    await happen(conn, [1])
    await tell(conn)
    await happen(conn, [2])
    assert (await dispatch.fan_out(other, "new_episode", 50, 2000, FIVE, mail=False)).delivered == 1
    await early.commit()
    await other.close()
    assert await wrongs(conn) == {}


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_three_dispatchers_at_once_over_many_hours_never_tell_anybody_too_much_nor_lose_anything(
    conn: Any, dsn: str, seed: int
) -> None:
    chance = random.Random(seed)
    limit = Budget(chance.choice((1, 3, 5)), 3600)
    users = await stage(conn, 40)
    for kind, target in (("release", 1), ("release", 2), ("franchise", 1)):
        await follow(conn, sorted(chance.sample(users, 25)), kind, target)
    workers = [await connect(dsn) for _ in range(3)]
    happened = 0
    for _ in range(6):
        before = await counted(conn, "notifications")
        await asyncio.gather(
            *(_hour(worker, conn, limit, random.Random(chance.random())) for worker in workers), _news(conn, chance)
        )
        happened += 1
        each = await conn.fetch(
            "select n.user_id, count(*) from notifications n join notification_budgets b using (user_id)"
            " where n.created_at >= b.window_start group by n.user_id"
        )
        assert max((row["count"] for row in each), default=0) <= limit.most
        assert await conn.fetchval("select max(used) from notification_budgets") <= limit.most
        assert await wrongs(conn) == {}
        assert await counted(conn, "notifications") <= before + 40 * limit.most
        await let_pass(conn)
    await release(conn, limit)
    for worker in workers:
        await worker.close()
    await _nothing_is_lost(conn)
    assert happened == 6


async def _news(conn: Any, chance: random.Random) -> None:
    for _ in range(chance.randint(3, 8)):
        release_id = chance.choice((1, 2))
        await happen(conn, [chance.randint(1, 60) + 100 * (release_id - 1)], release_id)
        await asyncio.sleep(chance.uniform(0, 0.01))


async def _hour(worker: Any, watch: Any, limit: Budget, chance: random.Random) -> None:
    """Slices of any size, digests in between, now and then one that is given up, until nothing is open for a while."""
    quiet, deadline = 0, monotonic() + 30
    while quiet < 5:
        assert monotonic() < deadline
        async with worker.transaction():
            await dispatch.deliver_held(worker, chance.choice((3, 100)), limit, mail=False)
        transaction = worker.transaction()
        await transaction.start()
        done = await dispatch.fan_out(
            worker, "new_episode", chance.choice((1, 2, 9)), chance.choice((4, 30)), limit, mail=False
        )
        await (transaction.rollback() if chance.random() < 0.2 else transaction.commit())
        quiet = 0 if done.events else quiet + 1
        await asyncio.sleep(0.002)


async def _nothing_is_lost(conn: Any) -> None:
    """Of each event and follower: told by itself, or counted in a digest."""
    due = await conn.fetch("""
        select s.user_id, count(distinct e.id) as events
        from notification_events e
        join releases r on r.id = e.release_id
        join subscriptions s on (s.subscription_type = 'release' and s.target_id = r.id)
            or (s.subscription_type = 'franchise' and s.target_id = r.franchise_id)
        where e.type = 'new_episode' group by s.user_id""")
    arrived = await conn.fetch("""
        select n.user_id,
               sum(case when e.type = 'digest' then (e.data -> 'counts' ->> 'new_episode')::integer else 1 end)
        from notifications n join notification_events e on e.id = n.event_id group by n.user_id""")
    assert {row[0]: row[1] for row in due} == {row[0]: row[1] for row in arrived}


ASKED = "select notification_due($1, $2, $3, $4::text::time, $5::text::time)"


DUE = (
    # At once, unless it is quiet; over midnight, and not.
    ("instant", "2026-07-01 12:00", ("22:00", "08:00"), "2026-07-01 12:00"),
    ("instant", "2026-07-01 23:30", ("22:00", "08:00"), "2026-07-02 08:00"),
    ("instant", "2026-07-02 03:00", ("22:00", "08:00"), "2026-07-02 08:00"),
    ("instant", "2026-07-02 08:00", ("22:00", "08:00"), "2026-07-02 08:00"),
    ("instant", "2026-07-01 22:00", ("22:00", "08:00"), "2026-07-02 08:00"),
    ("instant", "2026-07-01 13:15", ("13:00", "14:30"), "2026-07-01 14:30"),
    ("instant", "2026-07-01 15:00", ("13:00", "14:30"), "2026-07-01 15:00"),
    # The next morning at eight, the next Monday.
    ("daily", "2026-07-01 07:59", None, "2026-07-01 08:00"),
    ("daily", "2026-07-01 08:00", None, "2026-07-02 08:00"),
    ("weekly", "2026-07-01 12:00", None, "2026-07-06 08:00"),
    ("weekly", "2026-07-06 07:00", None, "2026-07-06 08:00"),
    ("weekly", "2026-07-06 08:30", None, "2026-07-13 08:00"),
    ("daily", "2026-07-01 12:00", ("23:00", "09:30"), "2026-07-02 09:30"),
    # Clocks go forward on 29 March and back on 25 October.
    ("daily", "2026-03-28 20:00", None, "2026-03-29 08:00"),
    ("weekly", "2026-10-24 20:00", None, "2026-10-26 08:00"),
    ("instant", "2026-10-24 23:00", ("22:00", "08:00"), "2026-10-25 08:00"),
    ("instant", "2026-03-29 01:30", ("01:00", "05:00"), "2026-03-29 05:00"),
)


async def test_a_mail_is_due_by_the_clock_of_its_reader(conn: Any) -> None:
    found, expected = [], []
    for mode, now, quiet, due in DUE:
        moment = datetime.fromisoformat(now).replace(tzinfo=BERLIN)
        found.append(await conn.fetchval(ASKED, mode, moment, "Europe/Berlin", *(quiet or (None, None))))
        expected.append(datetime.fromisoformat(due).replace(tzinfo=BERLIN).astimezone(UTC))
    assert found == expected


async def test_an_hour_that_comes_twice_delays_no_mail_and_none_is_due_before_it_was_written(conn: Any) -> None:
    start = datetime(2026, 10, 24, 22, 0, tzinfo=UTC)
    for minutes in range(0, 360, 7):
        moment = start + timedelta(minutes=minutes)
        assert await conn.fetchval(ASKED, "instant", moment, "Europe/Berlin", None, None) == moment
        assert await conn.fetchval(ASKED, "instant", moment, "Europe/Berlin", "12:00", "13:00") == moment
        for mode in ("instant", "daily", "weekly"):
            assert await conn.fetchval(ASKED, mode, moment, "Europe/Berlin", "02:10", "02:50") >= moment


async def test_a_zone_that_the_database_does_not_know_goes_by_utc_and_stops_nobody(conn: Any) -> None:
    moment = datetime(2026, 7, 1, 12, tzinfo=UTC)
    assert await conn.fetchval(ASKED, "daily", moment, "Mars/Olympus", None, None) == datetime(
        2026, 7, 2, 8, tzinfo=UTC
    )
    users = await stage(conn, 2)
    await follow(conn, users)
    await prefer(conn, users[:1], email_daily=2, time_zone="Mars/Olympus")
    await happen(conn, [1])
    assert (await tell(conn, mail=True)).delivered == 2
