"""The view buffer: parks each request until the batch that carries its events is committed (group commit).

The mailbox is the buffer, bounded in events and bytes. A batch goes out when `batch` events wait or the first has
waited `linger` seconds, in one round trip. While PostgreSQL is away the batch in hand is sent again and again under
the same id, so that a COMMIT whose answer was lost counts once; requests give up at their own deadline.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import ClassVar
from uuid import UUID, uuid4

from actors.base import BatchActor, Request
from server.database import Database
from server.errors import Unavailable
from server.events import ViewCounters
from sql import views
from sql.views import BatchResult, Outcome, ViewRow

log = logging.getLogger("yojohan.views")

# What one event takes in memory while it waits, in bytes: a tuple of eight, a UUID, a time.
EVENT_BYTES = 400


@dataclass(frozen=True, slots=True)
class ViewsRecorded:
    """What became of a request's events; `rejected` are positions in the request and why."""

    accepted: int
    duplicates: int
    filtered: int
    rejected: tuple[tuple[int, Outcome], ...] = ()


@dataclass(frozen=True, slots=True)
class RecordViews(Request[ViewsRecorded]):
    """Commit these events, then answer."""

    rows: Sequence[ViewRow]


ONE_ACCEPTED = ViewsRecorded(1, 0, 0)


class ViewBuffer(BatchActor[RecordViews]):
    """Commits the views of many requests in one transaction."""

    name = "view_buffer"
    capacity: ClassVar[int] = 50_000
    capacity_bytes: ClassVar[int] = 32 * 2**20
    batch: ClassVar[int] = 5_000
    linger: ClassVar[float] = 0.008

    def __init__(self, database: Database, counters: ViewCounters) -> None:
        self._database = database
        self._counters = counters

    async def receive_batch(self, messages: Sequence[RecordViews]) -> list[ViewsRecorded]:
        """Commit, then say of each request what became of its events."""
        rows = [row for message in messages for row in message.rows]
        started = perf_counter()
        result = await self._commit(uuid4(), rows)
        self._counters.batches += 1
        self._counters.batch_sizes.observe(len(rows))
        self._counters.flush_times.observe(perf_counter() - started)
        return self._answers(messages, result)

    async def _commit(self, batch_id: UUID, rows: Sequence[ViewRow]) -> BatchResult:
        attempt = 0
        while True:
            try:
                async with self._database.connection() as conn:
                    return await views.commit_batch(conn, batch_id, rows)
            except Unavailable as error:
                # Nobody was told that these events are kept; once nobody waits they need not be sent again.
                if not self.wanted:
                    raise
                attempt += 1
                self._counters.retries += 1
                log.warning(
                    "views wait for the database", extra={"events": len(rows), "attempt": attempt, "reason": error.code}
                )
                await asyncio.sleep(min(0.5, 0.05 * attempt) * random.uniform(0.5, 1.0))  # noqa: S311 - jitter

    def _answers(self, messages: Sequence[RecordViews], result: BatchResult) -> list[ViewsRecorded]:
        if not result.exceptions:
            events = sum(len(message.rows) for message in messages)
            self._counters.accepted += events
            self._counters.committed += events
            return [ONE_ACCEPTED if len(m.rows) == 1 else ViewsRecorded(len(m.rows), 0, 0) for m in messages]
        answers = []
        first = 0
        for message in messages:
            answers.append(self._answer(first, len(message.rows), result.exceptions))
            first += len(message.rows)
        return answers

    def _answer(self, first: int, count: int, exceptions: dict[int, Outcome]) -> ViewsRecorded:
        found = [(index, exceptions[first + index]) for index in range(count) if first + index in exceptions]
        duplicates = sum(1 for _, outcome in found if outcome is Outcome.DUPLICATE)
        filtered = sum(1 for _, outcome in found if outcome is Outcome.FILTERED)
        rejected = tuple(pair for pair in found if pair[1] not in (Outcome.DUPLICATE, Outcome.FILTERED))
        accepted = count - len(found)
        self._counters.accepted += accepted
        self._counters.committed += accepted
        self._counters.duplicates += duplicates
        self._counters.filtered += filtered
        self._counters.rejected += len(rejected)
        return ViewsRecorded(accepted, duplicates, filtered, rejected)
