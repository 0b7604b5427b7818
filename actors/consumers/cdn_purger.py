"""The purger: has a CDN forget what the servers behind it have dropped from their caches."""

from __future__ import annotations

from typing import ClassVar

from actors.consumers.base import Courier, Delivered
from server.adapters.cdn import Cdn


class CdnPurger(Courier):
    """Whoever tells the servers which tags are stale puts them into the outbox, too (`sql.imports.invalidate`)."""

    name: ClassVar[str] = "cdn_purger"
    topics: ClassVar[frozenset[str]] = frozenset({"cache_purge"})
    # The servers have to have heard of the change before: the CDN would fetch the old state again.
    delay: ClassVar[float] = 1.0

    def __init__(self, cdn: Cdn) -> None:
        self._cdn = cdn

    async def deliver(self, event: Delivered) -> None:
        """Purge. Unavailable: the CDN is away, so wait."""
        await self._cdn.purge(event.payload["tags"])
