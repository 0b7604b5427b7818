"""What a kind of long work is: a class with a `kind` and a `run`, which may be run again from the start at any time.

What must not be done twice is done in a transaction that also writes a checkpoint: `run` looks at the last one first.
"""

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
from sql.query import Connection

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
        self.done = operation.done
        self.total = operation.total
        self.errors: list[Mapping[str, Any]] = []
        self.refused = 0
        # How many of them are told.
        self.most_errors = MOST_ERRORS
        # Whether somebody has asked the work to stop; `advance` raises Stopped from then on.
        self.cancelled = False
        # Whether the lease was lost: nothing this attempt writes counts any more.
        self.lost = False
        # What the work made, relative to DATA_DIR.
        self.product: str | None = None
        # What came of it so far; shown where it is cancelled or fails midway.
        self.result: dict[str, Any] = {}
        # Whether all is done that follows from what was committed; looked at where the work `goes_on`.
        self.followed = False
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

    async def checkpoint(
        self, conn: Connection, value: Mapping[str, Any], done: int | None = None, *, to_the_end: bool = False
    ) -> None:
        """Write down what is done, as the last statement of the transaction that does it.

        Stopped if this attempt is no longer ours or (unless it has to go on `to_the_end`) if it has been cancelled:
        the caller rolls back what it did. The next attempt finds `value` as `operation.checkpoint`.
        """
        self.done = self.done if done is None else done
        if not await operations.checkpoint(conn, self.standing, value, to_the_end=to_the_end):
            self.cancelled = True
            raise Stopped
        self._written = monotonic()

    def refuse(self, row: int | None, detail: str, **more: str) -> None:
        """A row could not be taken, and why. All are counted, the first `most_errors` are told."""
        self.refused += 1
        self.tell(row, detail, **more)

    def tell(self, row: int | None, detail: str, **more: str) -> None:
        """Something that is wrong with a row, or with the whole."""
        if len(self.errors) < self.most_errors:
            self.errors.append({"row": row, "detail": detail, **more})

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
            # The lease is good for twenty seconds; the next call tries again.
            log.warning("progress waits for the database", extra={"reason": error.code})
            return
        self.heard(leased.get(self.operation.id))


class Work:
    """Base of all kinds. `run` may be begun again from the start after a crash, up to ten times in all."""

    kind: ClassVar[str]
    # Seconds after which it is given up.
    timeout: ClassVar[float] = 900.0
    # Whether it is begun again, however often it fails, once it has a checkpoint and until it has `followed`. The
    # statements that claim and give up know these kinds by name.
    goes_on: ClassVar[bool] = False

    async def run(self, operation: Operation, progress: Progress) -> dict[str, Any]:
        """Do what `operation.request` asks for; the result its owner sees.

        A YojohanError ends it with its detail, Unavailable begins it again a little later; anything else is a bug,
        of which its owner hears only that it happened.
        """
        raise NotImplementedError
