"""Connections kept at hand between uses: in front of asyncpg's pool, which opens, recycles and closes them.

The pool's own acquire makes a task for its timeout and its release another; together they cost more than a short query.
Here a connection that comes back sound goes straight to whoever waits, or onto a stack for the next. After an error,
or a minute of use, it takes the way through the pool, which knows how to end a statement that was given up.
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic
from typing import Any

import asyncpg

from sql.query import Connection, is_lost

# Seconds after which a connection goes through the pool again, used or not.
LEASE = 60.0


class Leases:
    """At most `size` connections of `pool`, handed from use to use."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], size: int, release_timeout: float) -> None:
        self.size = size
        self._pool = pool
        self._release_timeout = release_timeout
        self._out = 0
        self._free: list[Connection] = []
        self._waiters: deque[asyncio.Future[Connection | None]] = deque()
        self._since: dict[int, float] = {}
        self._returning: set[asyncio.Task[None]] = set()
        self._sweeper = asyncio.get_running_loop().call_later(LEASE, self._sweep)

    @property
    def idle(self) -> int:
        """Connections nobody uses."""
        return len(self._free) + int(self._pool.get_idle_size())

    async def take(self, timeout: float) -> Connection:
        """A connection. TimeoutError if none is free within `timeout` seconds; the driver's errors if there is none."""
        deadline = monotonic() + timeout
        while True:
            while self._free:
                conn = self._free.pop()
                if not is_lost(conn):
                    return conn
                await self.discard(conn)
            if self._out < self.size:
                return await self._lease(max(0.01, deadline - monotonic()))
            handed = await self._wait(deadline - monotonic())
            if handed is not None:
                return handed

    async def give_back(self, conn: Connection) -> None:
        """After a use that went well."""
        if is_lost(conn) or self._since[id(conn)] < monotonic() - LEASE:
            await self.discard(conn)
        else:
            self._hand_on(conn)

    async def discard(self, conn: Connection) -> None:
        """After one that did not: back to the pool."""
        del self._since[id(conn)]
        try:
            await self._pool.release(conn, timeout=self._release_timeout)
        finally:
            self._out -= 1
            self._wake(None)

    async def close(self) -> None:
        """Give everything back to the pool, which is about to be closed."""
        self._sweeper.cancel()
        while self._free:
            await self.discard(self._free.pop())
        if self._returning:
            await asyncio.wait(self._returning)

    async def _lease(self, timeout: float) -> Connection:
        self._out += 1
        try:
            conn = await self._pool.acquire(timeout=timeout)
        except BaseException:
            self._out -= 1
            self._wake(None)
            raise
        self._since[id(conn)] = monotonic()
        return conn

    async def _wait(self, timeout: float) -> Connection | None:
        """A connection somebody handed on, or None where there is room to lease one."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Connection | None] = loop.create_future()
        self._waiters.append(waiter)
        timer = loop.call_later(timeout, _expire, waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            # It may have been handed over in the very moment in which we were told to go.
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                handed = waiter.result()
                self._wake(None) if handed is None else self._hand_on(handed)
            raise
        finally:
            timer.cancel()

    def _hand_on(self, conn: Connection) -> None:
        if not self._wake(conn):
            self._free.append(conn)

    def _wake(self, conn: Connection | None) -> bool:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(conn)
                return True
        return False

    def _sweep(self) -> None:
        """What was not used for long goes back to the pool, which closes it in time."""
        self._sweeper = asyncio.get_running_loop().call_later(LEASE, self._sweep)
        before = monotonic() - LEASE
        stale = [conn for conn in self._free if self._since[id(conn)] < before]
        self._free = [conn for conn in self._free if self._since[id(conn)] >= before]
        for conn in stale:
            task = asyncio.create_task(self._return_quietly(conn), name="return connection")
            self._returning.add(task)
            task.add_done_callback(self._returning.discard)

    async def _return_quietly(self, conn: Connection) -> None:
        try:
            await self.discard(conn)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            # The pool has dropped it; the next use opens another.
            return


def _expire(waiter: asyncio.Future[Any]) -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError())
