"""Look-ups by key, gathered: what many requests want in one turn of the loop goes to the database as one query.

This is the pattern that DataLoader (graphql/dataloader) made known. A cold cache under load misses on many keys at
once; one query for thirty of them costs little more than one for a single one, on both sides of the socket.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Loader(Generic[Key, Value]):
    """`fetch` takes distinct keys and returns what it found. At most `most` keys a query and `at_once` queries."""

    def __init__(
        self, fetch: Callable[[list[Key]], Awaitable[Mapping[Key, Value]]], *, most: int = 50, at_once: int = 2
    ) -> None:
        self._fetch = fetch
        self._most = most
        self._at_once = at_once
        self._wanted: deque[tuple[Key, asyncio.Future[Value | None]]] = deque()
        self._queries: set[asyncio.Task[None]] = set()
        self._scheduled = False

    async def get(self, key: Key) -> Value | None:
        """What stands under the key, or None; the error of the query that was to find it."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Value | None] = loop.create_future()
        self._wanted.append((key, answer))
        if not self._scheduled and len(self._queries) < self._at_once:
            # After everything that is ready in this turn: other requests may be about to ask, too.
            self._scheduled = True
            loop.call_soon(self._start)
        return await answer

    def _start(self) -> None:
        self._scheduled = False
        batch = [self._wanted.popleft() for _ in range(min(self._most, len(self._wanted)))]
        if batch:
            task = asyncio.create_task(self._run(batch), name="loader")
            self._queries.add(task)
            task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._queries.discard(task)
        if self._wanted and not self._scheduled:
            self._start()

    async def _run(self, batch: list[tuple[Key, asyncio.Future[Value | None]]]) -> None:
        try:
            found = await self._fetch(list({key for key, answer in batch if not answer.done()}))
        except Exception as error:  # noqa: BLE001 - it belongs to those who asked
            for _, answer in batch:
                if not answer.done():
                    answer.set_exception(error)
        else:
            for key, answer in batch:
                if not answer.done():
                    answer.set_result(found.get(key))
