"""The counter of what users do: keeps `user_stats` from the changes that writes to the library and to talk publish."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from actors.consumers.base import Consumer, Delivered
from sql import user_stats
from sql.query import Connection


class UserStats(Consumer):
    """Adds up a batch by user, so that each row is written once."""

    name = "user_stats"
    topics: ClassVar[frozenset[str]] = frozenset({"library", "community"})

    async def handle(self, conn: Connection, events: Sequence[Delivered]) -> None:
        """Add the changes; work out favourite genres anew where a favourite, a collection or a rating changed."""
        changes: dict[int, dict[str, Any]] = {}
        liking: set[int] = set()
        for event in events:
            if event.user_id is None:
                continue
            sums = changes.setdefault(event.user_id, {"at": None} | dict.fromkeys(user_stats.COUNTERS, 0))
            # Where a moderator decided, or something was deleted, its author has done nothing new.
            if event.topic == "library" or event.payload.get("activity"):
                sums["at"] = max(sums["at"] or event.created_at, event.created_at)
            delta = event.payload.get("delta", {})
            for name in user_stats.COUNTERS:
                sums[name] += delta.get(name, 0)
            if event.payload.get("releases"):
                liking.add(event.user_id)
        if changes:
            await user_stats.apply(conn, [{"user_id": user_id} | changes[user_id] for user_id in sorted(changes)])
        if liking:
            await user_stats.refresh_genres(conn, sorted(liking))
