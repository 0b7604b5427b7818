"""Invalidations from other processes: an import or another instance says what changed, this one drops it.

NOTIFY carries tags, and ranges of users whose notifications have moved (`unread:7-2041`). A connection that was lost
may have missed some, so after a reconnect everything is dropped; and what is remembered only while somebody listens is
told at once when it is lost, and when there is one again.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from typing import Any

import asyncpg

from actors.base import Actor
from server.database import connect
from sql.query import UNREACHABLE

log = logging.getLogger("yojohan.cache")

CHANNEL = "yojohan_invalidate"
# Seconds the server may take to say that it is there.
PATIENCE = 2.0
MOVED = re.compile(r"unread:(\d{1,18})-(\d{1,18})")


class Invalidations(Actor[Any]):
    """Listens on a connection of its own. `drop` takes tags, `moved` a range of users; `drop_all` empties all.

    `informed` hears whether anybody listens.
    """

    name = "invalidations"
    interval = 5.0

    def __init__(
        self,
        dsn: str,
        drop: Callable[[Sequence[str]], int],
        moved: Callable[[int, int], None],
        drop_all: Callable[[], None],
        informed: Callable[[bool], None],
    ) -> None:
        self._dsn = dsn
        self._drop = drop
        self._moved = moved
        self._drop_all = drop_all
        self._informed = informed
        self._conn: asyncpg.Connection[Any] | None = None

    async def on_start(self) -> None:
        """Connect and listen."""
        await self._listen()

    async def on_tick(self) -> None:
        """Look after the connection: the driver does not reconnect by itself, nor see that the other side is gone."""
        if self._conn is not None and not self._conn.is_closed():
            try:
                await self._conn.execute("select 1", timeout=PATIENCE)
                return
            except (*UNREACHABLE, TimeoutError, asyncpg.PostgresError):
                self._conn.terminate()
        await self._listen()

    async def on_stop(self) -> None:
        """Leave."""
        self._informed(False)
        if self._conn is not None and not self._conn.is_closed():
            try:
                await self._conn.close(timeout=1)
            except (TimeoutError, OSError):
                # A database that does not answer must not hold up the stop.
                self._conn.terminate()

    async def _listen(self) -> None:
        self._conn = None
        self._informed(False)
        conn = None
        try:
            conn = await connect(self._dsn, application_name="yojohan listen")
            conn.add_termination_listener(self._lost)
            await conn.add_listener(CHANNEL, self._heard)
        except UNREACHABLE as error:
            if conn is not None:
                conn.terminate()
            log.warning("not listening for changes", extra={"reason": type(error).__name__})
            return
        self._conn = conn
        self._drop_all()
        self._informed(True)

    def _lost(self, conn: Any) -> None:
        if conn is self._conn:
            self._informed(False)

    def _heard(self, _conn: Any, _pid: int, _channel: str, payload: object) -> None:
        # Dropping takes microseconds and touches only the listeners' own memory: no message is needed.
        if (users := MOVED.fullmatch(str(payload))) is not None:
            self._moved(int(users[1]), int(users[2]))
        else:
            self._drop(str(payload).split())
