"""What happens to the catalogue is written down for each webhook, once, in order, however much it is at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from actors.consumers.base import Delivered
from actors.consumers.webhooks import MOST_AT_ONCE, Webhooks
from server.database import Database, connect
from sql import webhook_deliveries
from sql.outbox import Event
from tests import people_plans
from tests.http_fixture import queries_seen
from tests.outboxes import drain, make_due, publish


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    opened = Database(dsn)
    await opened.open()
    yield opened
    await opened.close()


async def webhook(conn: Any, *topics: str, **columns: Any) -> int:
    """A webhook that wants these."""
    made: int = await conn.fetchval(
        "insert into webhooks (url, salt, topics) values ('https://example.org', '', $1) returning id", topics
    )
    for name, value in columns.items():
        await conn.execute(f"update webhooks set {name} = $2 where id = $1", made, value)
    return made


def changed(**payload: Any) -> Event:
    return Event("catalogue", "catalogue", payload)


async def written(conn: Any) -> list[tuple[Any, ...]]:
    rows = await conn.fetch("select webhook_id, topic, entity, subject_id from webhook_deliveries order by seq")
    return [tuple(row) for row in rows]


async def test_an_event_becomes_one_delivery_however_often_it_is_tried(database: Database, conn: Any) -> None:
    class Failing(Webhooks):
        calls = 0

        async def handle(self, conn: Any, events: Sequence[Delivered]) -> None:
            await super().handle(conn, events)
            Failing.calls += 1
            if Failing.calls < 3:
                raise RuntimeError("after everything was written")

    one = await webhook(conn)
    await publish(database, changed(deleted=[15]))
    await drain(database, Failing())
    await make_due(conn)
    await drain(database, Failing())
    await drain(database, Webhooks())
    assert Failing.calls == 3
    assert await written(conn) == [(one, "release.deleted", "release:15", 15)]


async def test_each_webhook_gets_what_it_wants_in_the_order_of_events(database: Database, conn: Any) -> None:
    every, some = await webhook(conn), await webhook(conn, "episode.created", "release.deleted")
    off = await webhook(conn, disabled_at=await conn.fetchval("select now()"), disabled_reason="manual")
    gone = await webhook(conn, deleted_at=await conn.fetchval("select now()"))
    await publish(
        database, changed(added=[3, 4]), changed(episodes=[[3, 30], [3, 31]]), changed(episodes_updated=[[4, 40]]),
        changed(episodes_deleted=[[3, 31]]), changed(deleted=[3]), changed(updated=[4]), changed(unheard_of=[5]),
    )  # fmt: skip
    await drain(database, Webhooks())
    found = await written(conn)
    assert {row[0] for row in found}.isdisjoint({off, gone})
    assert [row[1:] for row in found if row[0] == every] == [
        ("release.created", "release:3", 3), ("release.created", "release:4", 4),
        ("episode.created", "release:3", 30), ("episode.created", "release:3", 31),
        ("episode.updated", "release:4", 40), ("episode.deleted", "release:3", 31),
        ("release.deleted", "release:3", 3), ("release.updated", "release:4", 4),
    ]  # fmt: skip
    assert [row[1:] for row in found if row[0] == some] == [
        ("episode.created", "release:3", 30), ("episode.created", "release:3", 31), ("release.deleted", "release:3", 3),
    ]  # fmt: skip


async def test_the_time_of_a_delivery_is_that_of_its_event(database: Database, conn: Any) -> None:
    await webhook(conn)
    await publish(database, changed(deleted=[3]))
    happened = await conn.fetchval("select created_at from outbox")
    await drain(database, Webhooks())
    assert await conn.fetchval("select created_at from webhook_deliveries") == happened


async def test_an_import_of_thousands_is_written_down_in_slices(database: Database, conn: Any) -> None:
    await webhook(conn)
    await webhook(conn)
    portions = [list(range(start, start + 500)) for start in range(1, 20_001, 500)]
    await publish(database, *(changed(deleted=portion) for portion in portions), changed(deleted=[1]))
    with queries_seen() as names:
        await drain(database, Webhooks())
    assert names.count("enqueue") == 20_000 // MOST_AT_ONCE + 1
    assert names.count("move_cursor") == 3, "no more than twenty such events in one transaction"
    found = await conn.fetch("select subject_id from webhook_deliveries where webhook_id = 1 order by seq")
    assert [row["subject_id"] for row in found] == [*range(1, 20_001), 1]


async def test_where_nobody_listens_nothing_is_written(database: Database, conn: Any) -> None:
    await publish(database, changed(deleted=[1]))
    with queries_seen() as names:
        await drain(database, Webhooks())
    assert "enqueue" not in names
    await webhook(conn)
    await drain(database, Webhooks())
    assert await written(conn) == []


async def test_no_statement_reads_through_the_deliveries(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    conn = await connect(dsn, random_page_cost="1.1")
    for _ in range(20):
        await webhook(conn)
    await conn.execute(
        """insert into webhook_deliveries (webhook_id, topic, entity, subject_id, status, finished_at, due_at)
           select 1 + n % 20, 'release.deleted', 'release:' || n / 7, n,
                  (array['pending', 'succeeded', 'succeeded', 'failed', 'succeeded'])[1 + n % 5],
                  case when n % 5 > 0 then now() - n * interval '1 minute' end, now() + n * interval '1 second'
           from generate_series(1, 40000) n"""
    )
    await conn.execute("analyze webhooks, webhook_deliveries")
    monkeypatch.setattr(people_plans, "GROWING", frozenset({"webhook_deliveries"}))
    await people_plans.prepare_for(conn)
    found = {}
    for noun in ("webhooks", "webhook_deliveries", "housekeeping", "erasure"):
        for query in people_plans.statements(noun):
            found[query.name] = await people_plans.tables_read_through(conn, query)
    assert {name: tables for name, tables in found.items() if tables} == {}
    with queries_seen() as names:
        assert await webhook_deliveries.claim(conn, {}, 8, 60) == webhook_deliveries.Claim()
    assert names == ["lock_receivers"], "where nothing is due there is one question"
    await conn.close()
