"""Presence: writes down once a minute who was here and which API tokens were used, in one statement each."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from typing import Any
from uuid import UUID

from actors.base import Actor
from server.database import Database
from server.errors import Unavailable
from sql import presence

log = logging.getLogger("yojohan.presence")

# Most ids kept while the database is away; who does not fit will be seen again.
MOST_KEPT = 100_000
Seen = tuple[set[int], set[UUID]]


class Presence(Actor[Any]):
    """Takes the ids seen since its last round with `take` and saves them under the minute of this one."""

    name = "presence"
    interval = 60.0

    def __init__(self, database: Database, take: Callable[[], Seen]) -> None:
        self._database = database
        self._take = take
        self._users: set[int] = set()
        self._tokens: set[UUID] = set()

    async def on_tick(self) -> None:
        """A round; while the database is away the ids wait for the next."""
        await self._round()

    async def on_stop(self) -> None:
        """What was seen since the last round."""
        await self._round()

    async def _round(self) -> None:
        users, tokens = self._take()
        self._users.update(islice(users, MOST_KEPT - len(self._users)))
        self._tokens.update(islice(tokens, MOST_KEPT - len(self._tokens)))
        if not self._users and not self._tokens:
            return
        moment = datetime.now(UTC)
        try:
            async with self._database.connection() as conn:
                await presence.save(conn, self._users, moment)
                await presence.save_tokens(conn, self._tokens, moment)
        except Unavailable as error:
            log.warning("presence waits for the database", extra={"reason": error.code})
            return
        self._users.clear()
        self._tokens.clear()
