"""Revocations: what tokens no longer count, taken from the database into memory, where every request looks."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from actors.base import Actor
from server.database import Database
from server.errors import Unavailable
from server.identity import Revocations
from sql import revocations
from sql.revocations import Revocation

log = logging.getLogger("yojohan.revocations")

# More cannot be read at a time; that many sign-outs within 16 minutes would be an attack in themselves.
MOST = 200_000


class RevocationKeeper(Actor[Any]):
    """Loads everything before the server is ready, and every fifteen seconds what other processes have added."""

    name = "revocations"
    interval = 15.0

    def __init__(self, database: Database, held: Revocations) -> None:
        self._database = database
        self._held = held

    async def on_start(self) -> None:
        """The first load; without it revoked tokens would count again after each restart, so it has to succeed."""
        await self._load()

    async def on_tick(self) -> None:
        """Another load; while the database is away what is known stays."""
        try:
            await self._load()
        except Unavailable as error:
            log.warning("revocations wait for the database", extra={"reason": error.code})

    async def _load(self) -> None:
        held = self._held
        sessions, tokens, versions = set(held.sessions), set(held.tokens), dict(held.versions)
        async with self._database.connection() as conn:
            rows = await revocations.current(conn, MOST)
        if len(rows) == MOST:
            log.error("too many revocations", extra={"most": MOST})
        # What this process has marked while the query ran may be missing from its answer.
        marked = held.sessions - sessions, held.tokens - tokens
        raised = {user: version for user, version in held.versions.items() if versions.get(user) != version}
        held.sessions = {row.session_id for row in rows if row.session_id is not None} | marked[0]
        held.tokens = {row.token_id for row in rows if row.token_id is not None} | marked[1]
        held.versions = _greatest(rows) | raised


def _greatest(rows: Iterable[Revocation]) -> dict[int, int]:
    versions: dict[int, int] = {}
    for row in rows:
        if row.user_id is not None and row.credentials_version is not None:
            versions[row.user_id] = max(row.credentials_version, versions.get(row.user_id, 0))
    return versions
