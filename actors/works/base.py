"""What a kind of long work is: a class with a `kind` and a `run`, which may be run again from the start at any time."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from typing import Any, ClassVar

from server.database import Database
from server.errors import Unavailable
from server.files import Files, made_name
from sql import operations
from sql.operations import Operation, Standing

log = logging.getLogger("yojohan.operations")

MOST_ERRORS = 100
# Seconds between two writes of progress.
PACE = 1.0


class Stopped(Exception):
    """The operation was cancelled, or is somebody else's by now: there is no point in going on."""


class Progress:
    """How far an attempt has come, and what it leaves behind. Handed to `Work.run`."""

    def __init__(self, database: Database, files: Files, operation: Operation) -> None:
        self.operation = operation
        self.files = files
        self.done = 0
        self.total = 0
        self.errors: list[Mapping[str, Any]] = []
        self.refused = 0
        # Whether somebody has asked the work to stop; `advance` raises Stopped from then on.
        self.cancelled = False
        # Whether the lease was lost: nothing this attempt writes counts any more.
        self.lost = False
        # What the work made, relative to DATA_DIR.
        self.product: str | None = None
        self._database = database
        self._written = monotonic()

    async def advance(self, done: int, total: int | None = None) -> None:
        """So much is done, of so much in all. Writes once a second at most; Stopped if there is no point in going on.

        Best called outside of a transaction: it takes a connection of its own when it writes.
        """
        self.done = done
        self.total = self.total if total is None else total
        if not self.cancelled and monotonic() - self._written >= PACE:
            await self._write()
        if self.cancelled:
            raise Stopped

    def refuse(self, row: int, detail: str) -> None:
        """A row could not be taken, and why. All are counted, the first hundred are told."""
        self.refused += 1
        if len(self.errors) < MOST_ERRORS:
            self.errors.append({"row": row, "detail": detail})

    def make(self, suffix: str) -> Path:
        """Where to write the file that this work makes; it is kept if `run` returns, removed otherwise."""
        self.product = made_name(self.operation.id, self.operation.attempts, suffix)
        return self.files.path(self.product)

    def brought(self) -> Path:
        """The file that came with the request."""
        return self.files.existing(self.operation.file or "")

    @property
    def standing(self) -> Standing:
        """As the database keeps it."""
        return Standing(self.operation.id, self.operation.attempts, self.done, self.total)

    def heard(self, stopping: bool | None) -> None:
        """What the renewal of the lease said: whether to stop, None if the lease is lost."""
        self._written = monotonic()
        self.lost = self.lost or stopping is None
        self.cancelled = self.cancelled or self.lost or bool(stopping)

    async def _write(self) -> None:
        try:
            async with self._database.connection() as conn:
                leased = await operations.renew(conn, [self.standing])
        except Unavailable as error:
            # The lease is good for a minute; the next call tries again.
            log.warning("progress waits for the database", extra={"reason": error.code})
            return
        self.heard(leased.get(self.operation.id))


class Work:
    """Base of all kinds. `run` may be begun again from the start after a crash, up to ten times in all."""

    kind: ClassVar[str]
    # Seconds after which it is given up.
    timeout: ClassVar[float] = 900.0

    async def run(self, operation: Operation, progress: Progress) -> dict[str, Any]:
        """Do what `operation.request` asks for; the result its owner sees.

        A YojohanError ends it with its detail, Unavailable begins it again a little later; anything else is a bug,
        of which its owner hears only that it happened.
        """
        raise NotImplementedError
