"""What a consumer of the outbox is.

    class Greeter(Consumer):
        name = "greeter"                      # its cursor is kept under this name: never change it
        topics = frozenset({"user_registered"})

        async def handle(self, conn, events):   # in the transaction that moves the cursor: happens exactly once
            await greetings.insert(conn, [event.user_id for event in events])

A `Courier` does things outside of the database. Its `deliver` holds no connection, may be called again for the same
event after a crash, and is tried again with growing pauses until it succeeds or is given up.
Add the class to the list in `server/crew.py`; nothing else has to change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from sql.query import Connection


@dataclass(frozen=True, slots=True)
class Delivered:
    """An event as a consumer gets it. (`xid`, `id`) is its place in the outbox, the same at every attempt."""

    xid: int
    id: int
    topic: str
    entity: str
    user_id: int | None
    payload: Mapping[str, Any]
    created_at: datetime


class Consumer:
    """Base of consumers whose effects are rows of the database."""

    name: ClassVar[str]
    topics: ClassVar[frozenset[str]]
    # Events handled together; fewer where one of them may mean thousands of rows.
    most: ClassVar[int] = 500

    async def handle(self, conn: Connection, events: Sequence[Delivered]) -> None:
        """Apply the events, in their order, in the transaction of `conn`. An error undoes all of them."""
        # Not abstract: a courier delivers instead.
        raise NotImplementedError


class Courier(Consumer):
    """Base of consumers whose effects lie outside: mails, requests to others, files."""

    # Seconds between the event and its first attempt.
    delay: ClassVar[float] = 0.0

    async def deliver(self, event: Delivered) -> None:
        """Do it, within 30 seconds. An error means: try again later; Unavailable: the other side is away, so wait."""
        # Every courier has its own; there is nothing that would do for all.
        raise NotImplementedError
