"""Runs operations: two at a time, each under a lease, so that another process takes up what this one left behind.

Prompt by a signal after the commit that queued one, certain by looking every two seconds. There are two lanes, actors
with works of their own, so that what takes long does not hold up what is short.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any
from uuid import UUID

from actors.base import Actor
from actors.jobs import Jobs
from actors.works.base import Progress, Stopped, Work
from server.database import Database
from server.errors import Overloaded, Unavailable, YojohanError
from server.events import Endings
from server.files import Files
from sql import operations as sql
from sql.operations import MOST_ATTEMPTS, Operation, Outcome

log = logging.getLogger("yojohan.operations")

AT_ONCE = 2
# Seconds before work that met with a failing database or the like is begun again.
PAUSE = 5.0
# At most so many, where it goes on however often it fails.
LONGEST_PAUSE = 60.0
# Seconds that work which is told to stop at shutdown may take to put itself back into the queue.
STOP_PATIENCE = 2.0
# Seconds that queued work waits for pressure to go.
PRESSED_PATIENCE = 600.0
TIDY_INTERVAL = 3600.0
TRIMMED_AT_ONCE = 500
# A file nobody knows may still be on its way into a transaction, or being written.
ORPHAN_AGE = 3600.0
OUR_FAULT = "This went wrong; it has been written down."
TOO_LONG = "This took too long and was given up."
GIVEN_UP = "This was begun several times and never came to an end."


@dataclass(frozen=True, slots=True)
class Look:
    """An operation may be waiting."""


@dataclass(slots=True)
class Run:
    """An attempt under way. `task` is None until it has begun."""

    operation: Operation
    progress: Progress
    task: asyncio.Task[Any] | None = None


@dataclass(slots=True)
class Runs:
    """What a lane runs in this process; outlives the actor, should that crash. `wake` makes the actor look.

    Who waits for the end of an operation in this process hears of it through `endings`.
    """

    by_id: dict[UUID, Run] = field(default_factory=dict)
    wake: Callable[[], None] = lambda: None
    endings: Endings = field(default_factory=Endings)


class Operations(Actor[Look]):
    """Claims, runs, renews, finishes, and clears away what is a week old. While it is `pressed` it begins nothing."""

    name = "operations"
    capacity = 100
    interval = 2.0
    first_tick = 0.05
    # Whether this lane looks after those of all lanes: gives up what never ends, clears away what is old.
    keeps_house = True

    def __init__(
        self,
        database: Database,
        files: Files,
        jobs: Jobs,
        runs: Runs,
        works: Sequence[Work],
        pressed: Callable[[], bool] = lambda: False,
    ) -> None:
        self._pressed = pressed
        self._pressed_since: float | None = None
        self._database = database
        self._files = files
        self._jobs = jobs
        self._runs = runs
        self._works = {work.kind: work for work in works}
        self._tidy_at = 0.0

    async def on_start(self) -> None:
        """Make the folders that uploads and products go to."""
        await asyncio.to_thread(self._files.prepare)

    async def receive(self, message: Look) -> None:  # noqa: ARG002 - there is only one message
        """Look for work at once."""
        await self._in_any_weather(self._claim)

    async def on_tick(self) -> None:
        """Renew the leases, look for work, and once an hour clear away."""
        await self._in_any_weather(self._renew)
        if self.keeps_house:
            await self._in_any_weather(self._give_up)
        await self._in_any_weather(self._claim)
        if self.keeps_house and monotonic() >= self._tidy_at:
            self._tidy_at = monotonic() + TIDY_INTERVAL
            await self._in_any_weather(self._tidy)

    async def on_stop(self) -> None:
        """What runs goes back into the queue, for the next process or the one beside us."""
        runs = list(self._runs.by_id.values())
        tasks = [run.task for run in runs if run.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_PATIENCE)
        for run in runs:
            if run.task is None:
                await self._put_back(run, 0.0, counted=False)

    @staticmethod
    async def _in_any_weather(step: Callable[[], Any]) -> None:
        try:
            await step()
        except Unavailable as error:
            log.warning("operations wait for the database", extra={"reason": error.code})
        except OSError as error:
            log.error("a file of operations is in the way", extra={"reason": error.strerror})  # noqa: TRY400 - no bug

    async def _renew(self) -> None:
        runs = list(self._runs.by_id.values())
        if not runs:
            return
        async with self._database.connection() as conn:
            leased = await sql.renew(conn, [run.progress.standing for run in runs])
        for run in runs:
            run.progress.heard(leased.get(run.operation.id))

    async def _give_up(self) -> None:
        async with self._database.connection() as conn:
            if await sql.give_up(conn, GIVEN_UP):
                log.error("operations given up")

    async def _claim(self) -> None:
        free = AT_ONCE - len(self._runs.by_id)
        if free <= 0 or not self._works or self._waits():
            return
        async with self._database.connection() as conn:
            claimed = await sql.claim(conn, list(self._works), free)
        for operation in claimed:
            run = Run(operation, Progress(self._database, self._files, operation))
            self._runs.by_id[operation.id] = run
            try:
                await self._jobs.spawn(self._carry_out(run))
            except Overloaded:
                del self._runs.by_id[operation.id]
                await self._put_back(run, PAUSE, counted=False)

    def _waits(self) -> bool:
        """Whether what is queued waits until the pressure is over; for a while only, or a tight machine never works."""
        if not self._pressed():
            self._pressed_since = None
            return False
        if self._pressed_since is None:
            self._pressed_since = monotonic()
        return monotonic() - self._pressed_since < PRESSED_PATIENCE

    async def _carry_out(self, run: Run) -> None:
        run.task = asyncio.current_task()
        try:
            await self._settle(run, await self._outcome(run))
        except asyncio.CancelledError:
            # The server stops. The cancellation ends here: nobody above has anything left to do.
            await self._put_back(run, 0.0, counted=False)
        except Unavailable as error:
            # A lease that nobody renews runs out, and the work is begun again.
            log.warning("an operation waits for the database", extra={"reason": error.code})
        finally:
            self._runs.by_id.pop(run.operation.id, None)
            self._runs.wake()

    async def _outcome(self, run: Run) -> Outcome | float:
        """How it ended, or after how many seconds it is to be begun again."""
        operation, progress = run.operation, run.progress
        work = self._works[operation.kind]
        try:
            async with asyncio.timeout(work.timeout):
                result = await work.run(operation, progress)
        except Stopped:
            return Outcome("cancelled", progress.errors, progress.result)
        except TimeoutError:
            failed = _failed(progress, TOO_LONG)
        except Unavailable as error:
            if operation.attempts < MOST_ATTEMPTS:
                return PAUSE
            failed = _failed(progress, error.detail or error.title())
        except YojohanError as error:
            detail = error.detail or error.title()
            failed = _failed(progress, detail, error.code) if error.status < 500 else _failed(progress, OUR_FAULT)
        except Exception:
            log.exception("operation failed", extra={"kind": operation.kind, "operation": str(operation.id)})
            failed = _failed(progress, OUR_FAULT)
        else:
            counted = {"refused": progress.refused} if progress.refused else {}
            return Outcome("succeeded", progress.errors, {**counted, **result}, progress.product)
        return growing(operation.attempts) if work.goes_on and await self._owes(progress) else failed

    async def _owes(self, progress: Progress) -> bool:
        """Whether something is committed of it, and what follows from that is not done: then it must not end here."""
        if progress.followed:
            return False
        # The database knows, even where a commit ended in an error.
        async with self._database.connection() as conn:
            return await sql.has_checkpoint(conn, progress.standing)

    async def _settle(self, run: Run, outcome: Outcome | float) -> None:
        """Write down how it ended, and remove the files that are no longer needed."""
        if isinstance(outcome, float):
            await self._put_back(run, outcome, counted=True)
            return
        async with self._database.connection() as conn:
            ours = await sql.finish(conn, run.progress.standing, outcome)
        self._runs.endings.tell(run.operation.id)
        if not ours or outcome.file is None:
            await asyncio.to_thread(self._files.remove_made, run.operation.id, run.operation.attempts)
        if ours and run.operation.file is not None:
            await asyncio.to_thread(self._files.remove, [run.operation.file])

    async def _put_back(self, run: Run, pause: float, *, counted: bool) -> None:
        try:
            async with self._database.connection() as conn:
                if not await sql.put_back(conn, run.operation, pause, counted=counted):
                    # Its end had been written already, and what it made is its owner's.
                    return
        except Unavailable as error:
            log.warning("an operation waits for its lease to end", extra={"reason": error.code})
        await asyncio.to_thread(self._files.remove_made, run.operation.id, run.operation.attempts)

    async def _tidy(self) -> None:
        """Remove what ended a week ago, and files that belong to nothing."""
        trimmed: list[str | None] = [None] * TRIMMED_AT_ONCE
        while len(trimmed) == TRIMMED_AT_ONCE:
            async with self._database.connection() as conn:
                trimmed = await sql.trim(conn, TRIMMED_AT_ONCE)
            await asyncio.to_thread(self._files.remove, [file for file in trimmed if file is not None])
        old = await asyncio.to_thread(self._files.older_than, ORPHAN_AGE)
        async with self._database.connection() as conn:
            known = await sql.known_files(conn, old) if old else set()
        await asyncio.to_thread(self._files.remove, [name for name in old if name not in known])


class Edits(Operations):
    """The lane of short work: an import of an hour does not hold up an edit."""

    name = "edits"
    keeps_house = False


def growing(attempts: int) -> float:
    """Seconds before the next attempt of what goes on until it is done. Attempts are counted for this alone."""
    return min(LONGEST_PAUSE, PAUSE * 2.0 ** min(attempts - 1, MOST_ATTEMPTS))


def _failed(progress: Progress, detail: str, code: str = "") -> Outcome:
    said = {"row": None, "detail": detail, **({"code": code} if code else {})}
    return Outcome("failed", [*progress.errors, said], progress.result)
