"""Housekeeping: what has expired goes, slice by slice, and nothing else does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from actors import housekeeping as actor
from actors.housekeeping import Housekeeping
from server.database import Database, connect
from sql import housekeeping
from tests.people import make_user

TABLES = {
    "revocations": "revocations",
    "account_tokens": "account_tokens",
    "refresh_tokens": "refresh_tokens",
    "sessions": "sessions",
    "library_tombstones": "library_entries",
    "progress_tombstones": "progress",
    "subscription_tombstones": "subscriptions",
    "idempotency_keys": "idempotency_keys",
    "dead_deliveries": "outbox_deliveries",
    "activity": "activity",
    "stream_tickets": "stream_tickets",
    "recommendation_rounds": "recommendation_rounds",
    "revisions": "revisions",
    "search_misses": "search_misses",
    "webhook_deliveries": "webhook_deliveries",
    "webhooks": "webhooks",
    "reports": "reports",
    "forgotten_reports": "reports",
    "moderation_decisions": "moderation_decisions",
}
# For each rule rows of which the first is over and the second is not. $1 is a user.
ROWS: dict[str, str] = {
    "revocations": (
        "insert into revocations (user_id, credentials_version, expires_at)"
        " values ($1, 1, now() - interval '1 second'), ($1, 2, now() + interval '1 minute')"
    ),
    "account_tokens": (
        "insert into account_tokens (token_hash, user_id, purpose, email_key, expires_at)"
        " values ('a', $1, 'verify', 'x', now()), ('b', $1, 'verify', 'x', now() + interval '1 minute')"
    ),
    "refresh_tokens": (
        "with opened as (insert into sessions (user_id, expires_at) values ($1, now() + interval '1 day') returning id)"
        " insert into refresh_tokens (token_hash, session_id, used_at)"
        " select hash, id, used from opened, (values ('a'::bytea, now() - interval '31 days'),"
        " ('b'::bytea, now() - interval '29 days')) given (hash, used)"
    ),
    "sessions": (
        "insert into sessions (user_id, expires_at)"
        " values ($1, now() - interval '1 second'), ($1, now() + interval '1 minute')"
    ),
    "library_tombstones": (
        "insert into library_entries (user_id, kind, release_id, deleted, changed_at, updated_at, revision)"
        " values ($1, 1, 1, true, now(), now() - interval '91 days', 5),"
        " ($1, 1, 2, false, now(), now() - interval '91 days', 6)"
    ),
    "progress_tombstones": (
        "insert into progress (user_id, episode_id, release_id, position_seconds, completed, watched_seconds, deleted,"
        " changed_at, updated_at, revision)"
        " values ($1, 1, 1, 0, false, 0, true, now(), now() - interval '91 days', 5),"
        " ($1, 2, 1, 0, false, 0, true, now(), now() - interval '89 days', 6)"
    ),
    "subscription_tombstones": (
        "insert into subscriptions (user_id, subscription_type, target_id, deleted_at, revision)"
        " values ($1, 'genre', 1, now() - interval '91 days', 5), ($1, 'genre', 2, null, 6)"
    ),
    "idempotency_keys": (
        "insert into idempotency_keys (user_id, key, method, path, body_hash, status, headers, body, created_at)"
        " values ($1, 'a', 'POST', '/', 'x', 200, '{}', 'x', now() - interval '25 hours'),"
        " ($1, 'b', 'POST', '/', 'x', 200, '{}', 'x', now() - interval '23 hours')"
    ),
    "dead_deliveries": (
        "insert into outbox_deliveries (consumer, xid, event_id, topic, entity, user_id, payload, created_at, dead_at)"
        " values ('a', '1', 1, 'x', 'x', $1, '{}', now(), now() - interval '31 days'),"
        " ('a', '1', 2, 'x', 'x', $1, '{}', now(), now() - interval '29 days')"
    ),
    "activity": (
        "insert into activity (actor_id, action_type, target_type, target_id, created_at)"
        " values ($1, 'rated', 'release', 1, now() - interval '366 days'),"
        " ($1, 'rated', 'release', 1, now() - interval '364 days')"
    ),
    "stream_tickets": (
        "insert into stream_tickets (ticket_hash, user_id, expires_at)"
        " values ('over', $1, now() - interval '1 second'), ('good', $1, now() + interval '30 seconds')"
    ),
    "recommendation_rounds": (
        "insert into recommendation_rounds (day, after_user) values (current_date - 91, $1), (current_date - 89, $1)"
    ),
    "revisions": (
        "insert into revisions (noun, entity_id, action, origin, actor_id, created_at)"
        " values ('release', 1, 'created', 'cms', $1, now() - interval '2 years 1 day'),"
        " ('release', 1, 'deleted', 'cms', $1, now() - interval '23 months')"
    ),
    "webhook_deliveries": (
        "with hook as (insert into webhooks (url, salt, created_by) values ('', '', $1) returning id)"
        " insert into webhook_deliveries (webhook_id, topic, entity, subject_id, status, finished_at)"
        " select hook.id, 'ping', '', 1, 'succeeded', now() - make_interval(days => age)"
        " from hook, (values (31), (29)) given (age)"
    ),
    "webhooks": (
        "insert into webhooks (url, salt, created_by, deleted_at)"
        " values ('', '', $1, now() - interval '31 days'), ('', '', $1, now() - interval '29 days')"
    ),
}
ROWS |= {
    "search_misses": (
        """insert into search_misses (day, query, misses)
           values (current_date - 91, 'old', $1), (current_date, 'new', $1)"""
    ),
    "reports": (
        "insert into reports (target_type, target_id, user_id, reason, created_at, closed_at)"
        " values ('review', 901, $1, 'spam', now() - interval '300 days', now() - interval '181 days'),"
        " ('review', 902, $1, 'spam', now() - interval '300 days', now() - interval '179 days')"
    ),
    "forgotten_reports": (
        "with said as (insert into reviews (release_id, user_id, rating, text, reports, created_at, queued_at)"
        " values (71, $1, 5, '', 1, now(), null), (72, $1, 5, '', 1, now(), now()) returning id)"
        " insert into reports (target_type, target_id, user_id, reason, created_at)"
        " select 'review', id, $1, 'spam', now() - interval '2 years 1 day' from said"
    ),
    "moderation_decisions": (
        "insert into moderation_decisions (target_type, target_id, release_id, author_id, state_before, state_after,"
        " created_at) values ('review', 1, 3, $1, 'pending', 'visible', now() - interval '2 years 1 day'),"
        " ('review', 1, 3, $1, 'visible', 'hidden', now() - interval '23 months')"
    ),
}
WITH_TOMBSTONES = [rule for rule in ROWS if rule.endswith("_tombstones")]


@pytest.fixture
async def keeper(dsn: str) -> AsyncIterator[Housekeeping]:
    database = Database(dsn)
    await database.open()
    yield Housekeeping(database)
    await database.close()


def rule(name: str) -> Any:
    return next(one for one in housekeeping.RULES if one.query.name == name)


def test_every_rule_is_tried_here() -> None:
    assert {one.query.name for one in housekeeping.RULES} == set(ROWS)


async def test_what_is_over_goes_and_what_is_not_stays(dsn: str, conn: Any, keeper: Housekeeping) -> None:
    user_id = await make_user(dsn)
    for rows in ROWS.values():
        await conn.execute("insert into user_revisions values ($1, 9, 0) on conflict do nothing", user_id)
        await conn.execute(rows, user_id)
    before = {name: await conn.fetchval(f"select count(*) from {table}") for name, table in TABLES.items()}
    await keeper.on_tick()
    after = {name: await conn.fetchval(f"select count(*) from {table}") for name, table in TABLES.items()}
    # Two rules are about one table.
    expected = {name: sum(TABLES[other] == TABLES[name] for other in ROWS) for name in ROWS}
    assert {name: before[name] - after[name] for name in ROWS} == expected
    await keeper.on_tick()
    assert after == {name: await conn.fetchval(f"select count(*) from {table}") for name, table in TABLES.items()}


@pytest.mark.parametrize("name", WITH_TOMBSTONES)
async def test_a_tombstone_that_goes_is_remembered_as_forgotten(dsn: str, conn: Any, name: str) -> None:
    user_id, other = await make_user(dsn), await make_user(dsn)
    for one in (user_id, other):
        await conn.execute("insert into user_revisions values ($1, 9, $2)", one, 0 if one == user_id else 7)
        await conn.execute(ROWS[name], one)
    assert await housekeeping.sweep(conn, rule(name), 100) == 2
    found = await conn.fetch("select user_id, revision, forgotten from user_revisions order by user_id")
    # What was forgotten never becomes less.
    assert [tuple(row) for row in found] == [(user_id, 9, 5), (other, 9, 7)]


@pytest.mark.parametrize("name", WITH_TOMBSTONES)
async def test_who_is_writing_keeps_their_tombstones_until_the_next_round(dsn: str, conn: Any, name: str) -> None:
    user_id = await make_user(dsn)
    await conn.execute("insert into user_revisions values ($1, 9, 0)", user_id)
    await conn.execute(ROWS[name], user_id)
    writer = await connect(dsn)
    async with writer.transaction():
        await writer.execute("update user_revisions set revision = 10 where user_id = $1", user_id)
        async with asyncio.timeout(5):
            assert await housekeeping.sweep(conn, rule(name), 100) == 0
    assert await housekeeping.sweep(conn, rule(name), 100) == 1
    assert await conn.fetchval("select (revision, forgotten)::text from user_revisions") == "(10,5)"
    await writer.close()


async def test_more_than_a_slice_goes_in_one_round(
    dsn: str, conn: Any, keeper: Housekeeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actor, "SLICE", 40)
    user_id = await make_user(dsn)
    await conn.execute(
        "insert into sessions (user_id, expires_at) select $1, now() - interval '1 day' from generate_series(1, 90)",
        user_id,
    )
    await conn.execute(
        "insert into revocations (user_id, credentials_version, expires_at)"
        " select $1, 1, now() from generate_series(1, 90)",
        user_id,
    )
    await keeper.on_tick()
    assert await conn.fetchval("select (select count(*) from sessions) + (select count(*) from revocations)") == 0


async def test_a_rule_that_is_held_up_holds_up_no_other(dsn: str, conn: Any, keeper: Housekeeping) -> None:
    user_id = await make_user(dsn)
    await conn.execute(ROWS["idempotency_keys"], user_id)
    await conn.execute(ROWS["revocations"], user_id)
    holder = await connect(dsn)
    async with holder.transaction():
        await holder.execute("lock table revocations in access exclusive mode")
        await keeper.on_tick()
        assert await conn.fetchval("select count(*) from idempotency_keys") == 1
    assert await conn.fetchval("select count(*) from revocations") == 2
    await holder.close()


@pytest.mark.parametrize("name", ROWS)
async def test_no_rule_reads_its_table_from_end_to_end(conn: Any, name: str) -> None:
    await conn.execute("set enable_seqscan = off")
    plan = "\n".join(row[0] for row in await conn.fetch(f"explain {rule(name).query.text.replace('$1', '100')}"))
    assert f"Seq Scan on {TABLES[name]}" not in plan, plan


async def test_what_waits_for_a_webhook_that_is_deleted_or_was_never_there_in_a_month_goes(
    conn: Any, keeper: Housekeeping
) -> None:
    statement = """
        with hook as (insert into webhooks (url, salt, deleted_at) values ('', '', $1) returning id)
        insert into webhook_deliveries (webhook_id, topic, entity, subject_id, due_at)
        select hook.id, 'ping', '', 1, now() - $2::interval from hook
    """
    await conn.execute(statement, None, timedelta(days=29))
    await conn.execute(statement, None, timedelta(days=31))
    await conn.execute(statement, datetime.now(UTC), timedelta())
    await keeper.on_tick()
    assert await conn.fetchval("select count(*) from webhook_deliveries") == 1
    assert await conn.fetchval("select due_at > now() - interval '30 days' from webhook_deliveries")


async def test_reports_that_nobody_decided_about_go_after_two_years_and_are_counted_no_more(
    dsn: str, conn: Any, keeper: Housekeeping
) -> None:
    author, *reporters = [await make_user(dsn) for _ in range(4)]
    for table in ("comments", "reviews"):
        rating = ("rating, ", "5, ") if table == "reviews" else ("", "")
        await conn.execute(
            f"""insert into {table} (release_id, user_id, {rating[0]}text, reports, created_at, queued_at)
                values (81, $1, {rating[1]}'', 3, now(), null), (82, $1, {rating[1]}'', 3, now(), now())""",
            author,
        )
        # Of the three about each one is younger; one of the things stands in the queue.
        await conn.execute(
            f"""insert into reports (target_type, target_id, user_id, reason, created_at)
                select $1, t.id, r.id, 'spam',
                       now() - case r.place when 1 then interval '23 months' else interval '25 months' end
                from {table} t cross join unnest($2::bigint[]) with ordinality r (id, place)""",
            table.removesuffix("s"), reporters,
        )  # fmt: skip
    holder = await connect(dsn)
    async with holder.transaction():
        # Whoever is deciding is not waited for.
        await holder.fetch("select from comments for update")
        async with asyncio.timeout(5):
            await keeper.on_tick()
    assert await conn.fetchval("select array_agg(reports order by id) from comments") == [3, 3]
    assert await conn.fetchval("select array_agg(reports order by id) from reviews") == [1, 3]
    await keeper.on_tick()
    assert await conn.fetchval("select array_agg(reports order by id) from comments") == [1, 3]
    assert await conn.fetchval("select count(*) from reports") == 8
    await holder.close()
