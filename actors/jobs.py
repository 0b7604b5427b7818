"""Short-lived work that actors start and do not wait for: bounded by aiojobs, logged if it fails, closed at the end."""

from __future__ import annotations

import logging
from collections.abc import Coroutine
from typing import Any

import aiojobs

from server.errors import Overloaded

log = logging.getLogger("yojohan.jobs")


class Jobs:
    """At most `limit` jobs at once and `pending` waiting; `started`, `failed` and `refused` are counters."""

    def __init__(self, limit: int = 8, pending: int = 64) -> None:
        self.limit = limit
        self.pending = pending
        self.started = 0
        self.failed = 0
        self.refused = 0
        self._scheduler: aiojobs.Scheduler | None = None

    async def open(self) -> None:
        """Make the scheduler; it belongs to the running loop."""
        self._scheduler = aiojobs.Scheduler(
            limit=self.limit, pending_limit=self.pending, close_timeout=2.0, exception_handler=self._report
        )

    async def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Start it, or queue it. Overloaded if the queue is full: aiojobs itself would make the caller wait."""
        scheduler = self._scheduler
        if scheduler is None or scheduler.closed or scheduler.pending_count >= self.pending:
            work.close()
            self.refused += 1
            raise Overloaded("Too many jobs are waiting already.")
        self.started += 1
        await scheduler.spawn(work)

    @property
    def active(self) -> int:
        """Jobs at work."""
        return self._scheduler.active_count if self._scheduler is not None else 0

    async def close(self, grace: float) -> None:
        """Let what runs finish within `grace` seconds, then cancel it."""
        if self._scheduler is not None:
            await self._scheduler.wait_and_close(timeout=grace)

    def _report(self, _: aiojobs.Scheduler, context: dict[str, Any]) -> None:
        self.failed += 1
        log.error("job failed: %s", context.get("message", ""), exc_info=context.get("exception"))
