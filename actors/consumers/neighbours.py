"""When the catalogue changes: what was worked out about who is like whom is marked as stale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from actors.consumers.base import Consumer, Delivered
from sql import neighbours
from sql.query import Connection


class Neighbours(Consumer):
    """Its transaction moves the cursor, too. Working it out anew is for the worker process."""

    name = "neighbours"
    topics: ClassVar[frozenset[str]] = frozenset({"catalogue"})
    # An import names hundreds of releases in one event.
    most: ClassVar[int] = 20

    async def handle(self, conn: Connection, events: Sequence[Delivered]) -> None:
        """One statement for all releases that came, changed or went. Episodes say nothing of likeness."""
        ids = {
            int(release_id)
            for event in events
            for name in ("added", "updated", "deleted", "restored")
            for release_id in event.payload.get(name, ())
        }
        if ids:
            await neighbours.note_changes(conn, sorted(ids))
