"""The plans of notifications: no statement reads through a table that grows; what is kept no longer goes in slices."""

from __future__ import annotations

from typing import Any

from actors.housekeeping import Housekeeping
from server.database import Database, connect
from sql import housekeeping, notification_keeping
from sql.housekeeping import Rule
from sql.query import Query, load
from tests.http_fixture import ON_18
from tests.people_plans import prepare_for
from tests.telling import counted, follow, happen, let_pass, prefer, stage, tell, wrongs

NOUNS = ("dispatch", "notifications", "notification_preferences", "notification_keeping")
GROWING = {
    "held_notifications", "notification_budgets", "notification_events", "notification_mails", "notification_mutes",
    "notification_preferences", "notifications", "releases", "episodes", "subscriptions", "users",
}  # fmt: skip
FILL = """
    insert into releases (id, slug, title, sort_title) select 2 + i, 'r' || i, 'r', 'r' from generate_series(1, 5000) i;
    insert into episodes (id, release_id, ordinal) select 1000 + i, 2 + i, 1 from generate_series(1, 5000) i;
    insert into notification_events (type, target_type, target_id, release_id, recipient_id, done_at, created_at)
        select 'recommendation', 'release', i, i, i, now(), now() - make_interval(mins => i)
        from generate_series(1, 20000) i;
    insert into notification_budgets (user_id, window_start, held)
        select id, now() - make_interval(mins => id::integer % 90), (id % 2 = 0)::integer from users;
    insert into notifications (user_id, event_id, created_at, read_at)
        select id, e, now() - make_interval(mins => e),
               case when e % 3 > 0 then now() - make_interval(mins => e - 1) end
        from users, generate_series(1, 10) e;
    insert into held_notifications (user_id, event_id) select id, 11 from users where id % 2 = 0;
    insert into notification_mails (user_id, event_id, mode, due_at, sent_at)
        select id, e, 'daily', now(), case when e > 1 then now() end from users, generate_series(1, 3) e;
    insert into notification_preferences (user_id) select id from users;
    insert into notification_mutes (user_id, target_type, target_id) select id, 'release', id % 900 from users;
    insert into subscriptions (user_id, subscription_type, target_id) select id, 'release', 3 + id % 4000 from users;
    insert into notification_events (type, target_type, target_id, release_id)
        select 'new_episode', 'episode', 1000 + i, 2 + i from generate_series(3, 60) i;
    vacuum analyze;
"""


def read_through(plan: dict[str, Any]) -> set[str]:
    found = {plan["Relation Name"]} if plan["Node Type"] in ("Seq Scan", "Parallel Seq Scan") else set()
    return found.union(*(read_through(inner) for inner in plan.get("Plans", ())))


async def read_by(conn: Any, query: Query) -> set[str]:
    """The growing tables that the plan for any parameters reads from end to end."""
    given = ", ".join("null" for _ in (await conn.prepare(query.text)).get_parameters())
    await conn.execute(f"prepare planned as {query.text}")
    plan = (await conn.fetchval(f"explain (format json) execute planned{f'({given})' if given else ''}"))[0]["Plan"]
    await conn.execute("deallocate planned")
    return read_through(plan) & GROWING


@ON_18
async def test_every_statement_finds_its_rows_by_an_index(conn: Any) -> None:
    await stage(conn, 8000)
    for statement in filter(str.strip, FILL.split(";\n")):
        await conn.execute(statement)
    await conn.execute("set random_page_cost = 1.1")
    await prepare_for(conn)
    found = {query.name: await read_by(conn, query) for noun in NOUNS for query in load(noun)}
    assert {name: tables for name, tables in found.items() if tables} == {}
    assert len(found) > 20
    wrong = Query("wrong", "select * from notification_budgets where used = $1")
    assert await read_by(conn, wrong) == {"notification_budgets"}


async def test_what_is_over_goes_and_the_count_of_the_unread_goes_with_it(conn: Any, dsn: str) -> None:
    users = await stage(conn, 60)
    await follow(conn, users)
    await prefer(conn, users[:20], email_instant=2)
    await happen(conn, range(1, 5))
    await tell(conn, mail=True)
    old = "set {} = now() - make_interval(days => $1) where event_id = $2"
    await conn.execute(f"update notifications {old.format('read_at')}", 31, 1)
    await conn.execute(f"update notifications {old.format('read_at')}", 29, 2)
    await conn.execute("update notification_budgets set unread = unread - 2")
    await conn.execute(f"update notifications {old.format('created_at')}", 366, 3)
    await conn.execute(f"update notification_mails {old.format('sent_at')}", 31, 1)
    await conn.execute(f"update notification_mails {old.format('sent_at')}", 29, 2)
    await conn.execute(f"update notification_mails {old.format('due_at')}", 31, 3)
    await conn.execute("update notification_events set created_at = now() - interval '2 years' where id = 1")
    database = Database(dsn)
    await database.open()
    await Housekeeping(database, notification_keeping.rules(30)).on_tick()
    await database.close()
    kept = await conn.fetch("select distinct event_id from notifications order by event_id")
    assert [row["event_id"] for row in kept] == [2, 4]
    assert await conn.fetchval("select min(unread) + max(unread) from notification_budgets") == 2
    assert await counted(conn, "notification_mails") == 20 + 20
    assert await counted(conn, "notification_events") == 3
    await let_pass(conn)
    assert await wrongs(conn) == {}


async def test_a_slice_takes_no_more_than_it_may_and_waits_for_nobody(conn: Any, dsn: str) -> None:
    users = await stage(conn, 30)
    await follow(conn, users)
    await happen(conn, [1])
    await tell(conn)
    await conn.execute("update notifications set created_at = created_at - interval '2 years'")
    rule = Rule(notification_keeping.QUERIES.unread_notifications, (365,))
    other = await connect(dsn)
    busy = other.transaction()
    await busy.start()
    await other.execute("select from notification_budgets where user_id = $1 for update", users[0])
    assert await housekeeping.sweep(conn, rule, 10) == 9
    await busy.rollback()
    await other.close()
    assert await housekeeping.sweep(conn, rule, 100) == 21
    assert await wrongs(conn) == {}


def test_an_event_outlives_every_notification_of_it() -> None:
    for days in (1, 30, 5000):
        kept = {query.name: days_kept for query, (days_kept,) in notification_keeping.rules(days)}
        assert kept["events"] > kept["unread_notifications"] + kept["read_notifications"]
        assert kept["events"] >= 400
