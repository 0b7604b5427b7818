"""The keeper of neighbours: has a worker process work out who is like whom whenever there is enough to do, and counts
how common words are. What is computed is the worker's business; here is when, by which instance, and for how long."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any
from uuid import uuid4

from actors.base import Actor
from server.database import Database
from server.errors import Unavailable
from server.events import Recommending
from server.rules.activity import Act
from server.rules.recommending import INTERRUPTED
from sql import activity, neighbours, recommendations
from sql.neighbours import Work

log = logging.getLogger("yojohan.recommendations")

# A run begins at most so often, and later after each one that failed; it takes at most so long.
BETWEEN = timedelta(minutes=10)
LONGEST_PAUSE = timedelta(hours=6)
LONGEST_RUN = 3600.0
# Whoever is at it says so well before the lease is over.
LEASE = 300.0
# A server that has just started has other things to do.
SETTLING = 60.0
# Words are counted anew at most so often.
COUNTED = timedelta(hours=1)
# And tried so often, in seconds, where that does not end well.
COUNT_AGAIN = 300.0
# Audiences are worked out anew once libraries were written so often, or by this share of what they were made of.
WRITES, SHARE = 200, 0.02
# How long a worker may take to end once it was told to.
GRACE = 1.0
LAST_WORDS = 2_000


@dataclass(frozen=True, slots=True)
class Command:
    """How the worker process is started."""

    arguments: Sequence[str]
    environment: Mapping[str, str]
    directory: str


def command(dsn: str, program: str, environment: Mapping[str, str], directory: str) -> Command:
    """`run.py recommend-worker` on this database. One thread: it is nobody's hurry, and memory is bounded."""
    given = {"DATABASE_URL": dsn, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
    return Command([sys.executable, program, "recommend-worker"], {**environment, **given}, directory)


def due(work: Work, now: datetime) -> bool:
    """Whether enough has changed, and nobody has been at it lately."""
    if work.leased:
        return False
    last = max((at for at in (work.started_at, work.finished_at) if at is not None), default=None)
    if last is not None and now - last < pause_after(work.failures):
        return False
    if work.stale or work.catalogue_changes != work.catalogue_seen or work.finished_at is None:
        return True
    return work.library_changes - work.library_seen >= max(WRITES, SHARE * work.library_seen)


def pause_after(failures: int) -> timedelta:
    """How long the next run waits."""
    return min(LONGEST_PAUSE, BETWEEN * int(2 ** min(failures, 10)))


class NeighbourKeeper(Actor[Any]):
    """`changed` is told which cached answers are stale after a run; `pressed`: the worker has to go."""

    name = "neighbours"
    interval = 5.0
    first_tick = 2.0

    def __init__(
        self,
        database: Database,
        progress: Recommending,
        command: Command,
        changed: Callable[[Collection[str]], None],
        pressed: Callable[[], bool],
    ) -> None:
        self._database = database
        self._progress = progress
        self._command = command
        self._changed = changed
        self._pressed = pressed
        self._ready = monotonic() + SETTLING
        self._process: asyncio.subprocess.Process | None = None
        self._worker = uuid4()
        self._began = 0.0
        self._count_from = 0.0

    async def on_tick(self) -> None:
        """Look after the worker, or see whether one is needed; write down who looked at what is recommended to them."""
        await self._note_viewers()
        try:
            if self._process is not None:
                await self._look_after(self._process)
            elif not self._pressed():
                await self._look()
        except Unavailable as error:
            log.warning("recommendations wait for the database", extra={"reason": error.code})

    async def on_stop(self) -> None:
        """A worker that is under way ends; what it has stored stays, the rest is for the next run."""
        if self._process is not None:
            await self._end(self._process)
            with suppress(Unavailable):
                await self._over(well=False, interrupted=True)

    async def _note_viewers(self) -> None:
        """Once a day for each. What is lost with the process is no more than that somebody looked."""
        viewers, self._progress.viewers = self._progress.viewers, set()
        if not viewers:
            return
        try:
            async with self._database.transaction() as conn:
                fresh = await recommendations.new_viewers(conn, sorted(viewers))
                now = datetime.now(UTC)
                await activity.record(conn, [Act(one, "recommendation_viewed", "user", one, {}, now) for one in fresh])
        except Unavailable as error:
            log.warning("who looked at recommendations is not written down", extra={"reason": error.code})

    async def _look(self) -> None:
        now = datetime.now(UTC)
        async with self._database.connection() as conn:
            work = await neighbours.look(conn)
            self._progress.stale = work.stale
            self._progress.users, self._progress.items = work.audience_users, work.audience_items
        if counts(work, now) and monotonic() >= self._count_from:
            await self._count(work)
            # By now somebody else may be at it: the next tick looks anew.
            return
        if monotonic() < self._ready or not due(work, now):
            return
        async with self._database.connection() as conn:
            if not await neighbours.take_lease(conn, self._worker, LEASE, work):
                return
        await self._start(work)

    async def _count(self, work: Work) -> None:
        """Runs go on without it: words that nobody has counted weigh as if they were rare."""
        self._count_from = monotonic() + COUNT_AGAIN
        try:
            async with self._database.transaction() as conn:
                await neighbours.count_words(conn, work.catalogue_changes)
        except Unavailable as error:
            log.warning("words of the catalogue are not counted", extra={"reason": error.code})

    async def _start(self, work: Work) -> None:
        self._began = monotonic()
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command.arguments, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE, env=dict(self._command.environment), cwd=self._command.directory,
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            log.warning("the worker of recommendations does not start", extra={"reason": type(error).__name__})
            await self._over(well=False)
            return
        self._progress.running = True
        log.info("recommendations are worked out", extra={"pid": self._process.pid, "stale": work.stale})

    async def _look_after(self, process: asyncio.subprocess.Process) -> None:
        if process.returncode is not None:
            await self._ended(process)
            return
        ran = monotonic() - self._began
        if self._pressed() or ran > LONGEST_RUN:
            await self._end(process)
            await self._over(well=False, interrupted=ran <= LONGEST_RUN)
            return
        async with self._database.connection() as conn:
            await neighbours.renew_lease(conn, self._worker, LEASE)

    async def _ended(self, process: asyncio.subprocess.Process) -> None:
        well, interrupted = process.returncode == 0, process.returncode == INTERRUPTED
        if well:
            # Whatever was made of older neighbours; also where there is no database now to write down how it ended.
            self._changed(("similar", "personal"))
        elif not interrupted:
            said = await _last_words(process)
            log.warning("the worker of recommendations failed", extra={"status": process.returncode, "said": said})
        await self._over(well=well, interrupted=interrupted)

    async def _over(self, *, well: bool, interrupted: bool = False) -> None:
        """Write down how the run ended. One that was stopped from outside has not failed, and is begun anew later."""
        self._process, self._progress.running = None, False
        self._progress.seconds += monotonic() - self._began
        if interrupted:
            self._progress.interrupted += 1
        elif well:
            self._progress.runs += 1
        else:
            self._progress.failures += 1
        async with self._database.connection() as conn:
            if interrupted:
                await neighbours.leave(conn, self._worker)
            else:
                await neighbours.end_run(conn, self._worker, well=well)

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        if process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), GRACE)
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _last_words(process: asyncio.subprocess.Process) -> str:
    """What went wrong stands at the end of what it said."""
    said = b""
    if process.stderr is not None:
        with suppress(TimeoutError):
            said = await asyncio.wait_for(process.stderr.read(), GRACE)
    return said[-LAST_WORDS:].decode("utf-8", "replace").strip()


def counts(work: Work, now: datetime) -> bool:
    """Whether words have to be counted: never done yet, or the catalogue has changed since. The worker counts, too."""
    if work.leased:
        return False
    if work.counted_at is None:
        return True
    return work.catalogue_counted != work.catalogue_changes and now - work.counted_at > COUNTED
