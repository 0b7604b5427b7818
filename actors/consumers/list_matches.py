"""When the catalogue grows: rows of imported lists that waited for one of its new releases are matched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from actors.consumers.base import Consumer, Delivered
from sql import list_imports
from sql.query import Connection


class ListMatches(Consumer):
    """Queues an operation for each user concerned; it does the matching, a portion at a time."""

    name = "list_matches"
    topics: ClassVar[frozenset[str]] = frozenset({"catalogue"})

    async def handle(self, conn: Connection, events: Sequence[Delivered]) -> None:
        """One statement for all releases that came or changed."""
        ids = {int(id_) for event in events for name in ("added", "updated") for id_ in event.payload.get(name, ())}
        if ids:
            await list_imports.queue_matches(conn, sorted(ids))
