"""The counter of what releases are to people: keeps favourites, ratings and their average."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import ClassVar

from actors.consumers.base import Consumer, Delivered
from sql import release_counts
from sql.query import Connection


class ReleaseCounts(Consumer):
    """Adds up a batch by release, so that each row is written once."""

    name = "release_counts"
    topics: ClassVar[frozenset[str]] = frozenset({"release_counts"})

    async def handle(self, conn: Connection, events: Sequence[Delivered]) -> None:
        """Add the changes that do not cancel one another."""
        sums: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0, 0])
        for event in events:
            for release_id, *changes in event.payload["changes"]:
                sums[release_id] = [had + more for had, more in zip(sums[release_id], changes, strict=True)]
        changed = [(release_id, row[0], row[1], row[2]) for release_id, row in sums.items() if any(row)]
        if changed:
            await release_counts.apply(conn, changed)
