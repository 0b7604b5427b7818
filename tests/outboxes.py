"""Driving the outbox inside a test: after `await drain(running)` or `await drain(dsn, UserStats())` all is handled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

from actors.consumers.base import Consumer
from actors.outbox import OutboxReader, Waker
from server.crew import consumers as all_consumers
from server.database import Database
from server.events import ConsumerProgress
from server.keys import DATABASE, SETTINGS
from sql import outbox
from sql.outbox import Event
from tests.running import Running

STILL_WAITING = """
    select w.name || ' behind its cursor' as what
    from unnest($1::text[], $2::text[]) w (name, topic) join outbox_consumers c using (name)
    where exists (select from outbox o where o.topic = w.topic and (o.xid, o.id) > (c.xid, c.id))
    union
    select d.consumer || ' parked' from outbox_deliveries d
    where d.dead_at is null and d.due_at <= now() and d.consumer = any ($1::text[]) and not exists (
        select from outbox_deliveries e
        where e.consumer = d.consumer and e.entity = d.entity and e.dead_at is null and e.id < d.id
    )
"""


def reader_of(
    database: Database, consumer: Consumer, progress: ConsumerProgress | None = None, waker: Waker | None = None
) -> OutboxReader:
    """A reader that nobody has started: `on_tick()` makes it look at everything once."""
    return OutboxReader(database, consumer, progress or ConsumerProgress(), waker or Waker(), asyncio.Semaphore(2))


@asynccontextmanager
async def opened(where: Running | Database | str) -> AsyncIterator[Database]:
    """The database of a running server or of an address; only the latter is closed again."""
    if isinstance(where, Running):
        yield where.app[DATABASE]
    elif isinstance(where, Database):
        yield where
    else:
        database = Database(where)
        await database.open()
        yield database
        await database.close()


async def drain(where: Running | Database | str, *consumers: Consumer, timeout: float = 15.0) -> None:
    """Handle everything that waits for these consumers (of a running server: by default for all it has).

    What failed and is due later stays parked. Ends with an error if something still waits after `timeout` seconds.
    """
    if isinstance(where, Running) and not consumers:
        consumers = tuple(all_consumers(where.app, where.app[SETTINGS]))
    pairs = [(consumer.name, topic) for consumer in consumers for topic in consumer.topics]
    deadline = monotonic() + timeout
    async with opened(where) as database:
        async with database.connection() as conn:
            await outbox.add_consumers(conn, [consumer.name for consumer in consumers])
        readers = [reader_of(database, consumer) for consumer in consumers]
        while waiting := await _look(database, readers, pairs):
            assert monotonic() < deadline, waiting
            # Another reader is at it, or an open transaction holds the fence.
            await asyncio.sleep(0.01)


async def _look(database: Database, readers: Sequence[OutboxReader], pairs: list[tuple[str, str]]) -> list[str]:
    for reader in readers:
        await reader.on_tick()
    async with database.connection() as conn:
        rows = await conn.fetch(STILL_WAITING, [name for name, _ in pairs], [topic for _, topic in pairs])
    return [row["what"] for row in rows]


async def publish(where: Running | Database | str, *events: Event) -> None:
    """Publish these events in a transaction of their own; the bell rings."""
    async with opened(where) as database, database.transaction() as conn:
        await outbox.publish(conn, events)


async def make_due(conn: Any) -> None:
    """Let no parked event wait for its time or for a lease."""
    await conn.execute("update outbox_deliveries set due_at = now(), leased_until = null where dead_at is null")
