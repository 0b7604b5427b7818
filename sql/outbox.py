"""The outbox: what must happen because something was written, written in the same transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from sql.query import Connection, load

QUERIES = load("outbox")
# Whether the transaction under way in this task has published: its commit then rings the bell.
PUBLISHED: ContextVar[bool] = ContextVar("published", default=False)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. `entity` is what it is about (`user:5`); events of one entity keep their order.

    `user_id` is whose event it is; None where it says nothing about anybody.
    """

    topic: str
    entity: str
    payload: Mapping[str, Any]
    user_id: int | None = None


async def publish(conn: Connection, events: Sequence[Event]) -> None:
    """Write the events, in one statement. Call it inside the transaction that causes them."""
    if not events:
        return
    PUBLISHED.set(True)
    await QUERIES.publish.execute(
        conn,
        [event.topic for event in events],
        [event.entity for event in events],
        [event.user_id for event in events],
        [dict(event.payload) for event in events],
    )
