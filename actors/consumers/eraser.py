"""The eraser: what an erased account leaves outside of its transaction: files, views and notifications on their way."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar
from uuid import UUID

from actors.consumers.base import Courier, Delivered
from server.database import Database
from server.files import Files
from sql import erasure


class Eraser(Courier):
    """Comes at once."""

    name = "eraser"
    topics: ClassVar[frozenset[str]] = frozenset({"erased"})

    def __init__(self, database: Database, files: Files) -> None:
        self._database = database
        self._files = files

    async def deliver(self, event: Delivered) -> None:
        """Remove the files, make the views nobody's, delete what was told meanwhile."""
        await asyncio.to_thread(self._remove, event.payload)
        async with self._database.transaction() as conn:
            await erasure.anonymise_views(conn, int(event.payload["user_id"]))
            await erasure.forget_notifications(conn, int(event.payload["user_id"]))

    def _remove(self, left: Mapping[str, Any]) -> None:
        self._files.remove(left["files"])
        for operation_id in left["operations"]:
            self._files.remove_made(UUID(operation_id))


class LateEraser(Eraser):
    """Comes a minute later: by then no instance takes the account's tokens, and nothing of it is on its way."""

    name = "late_eraser"
    delay: ClassVar[float] = 60.0
