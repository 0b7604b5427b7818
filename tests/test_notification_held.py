"""What is held: never more rows than somebody can bear, in portions, and only what is still wanted when it arrives."""

from __future__ import annotations

from typing import Any

import pytest

from sql import dispatch, notifications, recount
from sql.notifications import Personal
from tests.telling import FIVE, counted, follow, happen, let_pass, prefer, release, stage, tell, told, wrongs

MUTE = "insert into notification_mutes (user_id, target_type, target_id) values ($1, $2, $3)"
DIGESTS = """
    select e.data from notification_events e
    where e.type = 'digest' and e.recipient_id = $1 order by e.id"""


async def digests(conn: Any, user_id: int) -> list[dict[str, Any]]:
    return [row["data"] for row in await conn.fetch(DIGESTS, user_id)]


async def replies(conn: Any, user_id: int, many: int, kind: Any = "reply") -> None:
    await notifications.enqueue_personal(conn, [Personal(kind, user_id, "comment", n, 1, {}) for n in range(many)])


async def deliver(conn: Any, users: int, rows: int) -> int:
    async with conn.transaction():
        done = await dispatch.deliver_held(conn, users, FIVE, mail=False, rows=rows)
    return done.users if done is not None else 0


async def test_a_slice_takes_as_many_users_as_have_so_much_held_together_but_always_one(conn: Any) -> None:
    users = await stage(conn, 7)
    await follow(conn, users)
    await happen(conn, range(1, 16))
    await tell(conn)
    await let_pass(conn)
    # Ten are held for each.
    assert [await deliver(conn, 2000, rows) for rows in (35, 9, 20)] == [3, 1, 2]
    assert await deliver(conn, 2000, 20_000) == 1
    assert [[data["counts"] for data in await digests(conn, user)] for user in users] == [[{"new_episode": 10}]] * 7
    assert await wrongs(conn) == {}


async def test_beyond_so_many_rows_only_counts_are_held_and_none_is_lost(
    conn: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "MOST_HELD", 8)
    users = await stage(conn, 2)
    await follow(conn, users)
    await happen(conn, range(1, 31))
    # By portions, and for the second user in one.
    sums = await tell(conn, events=4)
    await replies(conn, users[0], 6)
    sums.held += (await tell(conn)).held
    assert (sums.delivered, sums.held) == (10, 56)
    rows = await conn.fetch("select held, held_more from notification_budgets order by user_id")
    # Those that followed first have rows, the others are counted.
    assert [tuple(row) for row in rows] == [(8, {"new_episode": 17, "reply": 6}), (8, {"new_episode": 17})]
    assert await counted(conn, "held_notifications") == 16
    assert await wrongs(conn) == {}
    # Repair finds nothing amiss.
    assert await recount.mend_budgets(conn, users) == []
    await let_pass(conn)
    assert await release(conn) == 2
    (data,) = await digests(conn, users[0])
    assert data["counts"] == {"new_episode": 25, "reply": 6}
    assert len(data["events"]) == 8
    assert [data["counts"] for data in await digests(conn, users[1])] == [{"new_episode": 25}]
    assert await conn.fetchval("select count(*) from notification_budgets where held_more is not null or held > 0") == 0
    assert await wrongs(conn) == {}


async def test_the_first_slice_of_a_user_holds_no_more_rows_than_any_other(
    conn: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "MOST_HELD", 3)
    (user,) = await stage(conn, 1)
    await replies(conn, user, 20)
    await tell(conn, events=100)
    row = await conn.fetchrow("select used, held, unread, held_more from notification_budgets")
    assert tuple(row) == (5, 3, 5, {"reply": 12})
    assert await counted(conn, "held_notifications") == 3
    # A type that is switched off meanwhile is not counted either.
    await prefer(conn, [user], in_app=62 - 16)
    await let_pass(conn)
    await release(conn)
    assert await digests(conn, user) == []
    assert await conn.fetchval("select held_more from notification_budgets") is None


async def test_what_was_muted_or_hidden_while_it_waited_does_not_arrive_but_a_moderator_s_decision_does(
    conn: Any,
) -> None:
    users = await stage(conn, 5)
    await follow(conn, users)
    await follow(conn, users, "release", 2)
    for user in users:
        await conn.execute("insert into notification_budgets (user_id, window_start, used) values ($1, now(), 5)", user)
        await replies(conn, user, 2, "moderation")
        await replies(conn, user, 1)
    await happen(conn, range(1, 4))
    await happen(conn, [101], 2)
    await tell(conn)
    await conn.execute(MUTE, users[0], "release", 1)
    await conn.execute(MUTE, users[1], "franchise", 1)
    # Genres are for new releases and recommendations.
    await conn.execute(MUTE, users[2], "genre", 2)
    await conn.execute(MUTE, users[3], "release", 2)
    await conn.execute("update episodes set deleted_at = now() where id = 3")
    await let_pass(conn)
    await release(conn)
    everything = {"new_episode": 3, "reply": 1, "moderation": 2}
    assert [(await digests(conn, user))[0]["counts"] for user in users] == [
        {"new_episode": 1, "moderation": 2}, {"new_episode": 1, "moderation": 2}, everything,
        everything | {"new_episode": 2}, everything,
    ]  # fmt: skip
    assert await wrongs(conn) == {}


async def test_what_is_about_a_release_that_is_hidden_by_then_does_not_arrive(conn: Any) -> None:
    users = await stage(conn, 2)
    await follow(conn, users)
    await follow(conn, users[1:], "release", 2)
    await happen(conn, range(1, 9))
    await tell(conn)
    await happen(conn, [101], 2)
    await tell(conn)
    await conn.execute("update releases set is_published = false where id = 1")
    await let_pass(conn)
    await release(conn)
    assert len(await told(conn, users[0])) == 5
    assert (await told(conn, users[1]))[5:] == [("new_episode", 101)]
    assert await conn.fetchval("select sum(held) from notification_budgets") == 0
    assert await wrongs(conn) == {}


async def test_a_digest_counts_for_the_list_and_for_the_mail_what_is_wanted_there(conn: Any) -> None:
    (user,) = await stage(conn, 1)
    await follow(conn, [user])
    # Episodes in the list alone, replies by mail alone, decisions by both.
    await prefer(conn, [user], in_app=2 + 32, email_daily=16, email_weekly=32)
    await conn.execute("insert into notification_budgets (user_id, window_start, used) values ($1, now(), 5)", user)
    await happen(conn, range(1, 5))
    await replies(conn, user, 3)
    await replies(conn, user, 2, "moderation")
    await tell(conn, mail=True)
    await let_pass(conn)
    await release(conn, mail=True)
    (data,) = await digests(conn, user)
    assert data["counts"] == {"new_episode": 4, "moderation": 2}
    assert data["mail_counts"] == {"reply": 3, "moderation": 2}
    types = await conn.fetch("select distinct type from notification_events where id = any ($1)", data["events"])
    assert {row["type"] for row in types} == {"new_episode", "moderation"}
    assert await conn.fetchval("select mode from notification_mails") == "daily"
    assert await counted(conn, "notifications") == 1
