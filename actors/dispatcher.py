"""The dispatcher: tells people what happened, a slice of them at a time, none of them more often than they can bear.

A slice is one statement (`sql/dispatch.sql`): it takes the next recipients of the open events, counts against their
budgets, writes the notifications and moves the events' cursors, all of it or nothing. So a dispatcher may be killed at
any point, and several may work on the same events. User ids stay in the database; only sums come back.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from time import monotonic, perf_counter

from actors.base import BatchActor
from server.database import Database
from server.errors import DeadlineExceeded, Unavailable
from server.events import NotificationProgress
from sql import dispatch
from sql.dispatch import Budget

log = logging.getLogger("yojohan.notifications")

# Users in a slice: some thirty milliseconds of work, during which their budgets are locked.
USERS_A_SLICE = 2_000
# Open events that share a slice. Those to one person each are many and small.
EVENTS_A_SLICE = {"new_episode": 50, "new_release": 50}
PERSONAL_A_SLICE = 300
# What took too long is tried again in halves, down to this share of a slice; each success makes the next one larger.
SMALLEST = 1 / 256
RECOVERY = 1.1
# After so many rounds the mailbox is looked into, for the end may be near.
ROUNDS_A_LOOK = 20
# Seconds a type rests whose statement failed for a reason that will not pass by itself.
REST = 30.0
# And one whose statement took too long: smaller by then, it may be quick enough.
PAUSE = 5.0
MOST_MEASURED = 10_000
MEASURE_EVERY = 5.0


@dataclass(frozen=True, slots=True)
class Look:
    """There may be something to tell."""


@dataclass(slots=True)
class Looks:
    """`wake` makes the dispatcher look; set where it is made."""

    wake: Callable[[], None] = lambda: None


class Dispatcher(BatchActor[Look]):
    """Woken by commits of this process, certain by looking every second. `grown` hears whose lists have grown."""

    name = "dispatcher"
    interval = 1.0
    first_tick = 0.05
    # What is committed meanwhile comes along in the same slice.
    linger = 0.02

    def __init__(
        self,
        database: Database,
        budget: Budget,
        progress: NotificationProgress,
        looks: Looks,
        grown: Callable[[int, int], None],
        *,
        mail: bool,
    ) -> None:
        self._database = database
        self._budget = budget
        self._progress = progress
        self._looks = looks
        self._grown = grown
        self._mail = mail
        self._resting: dict[str, float] = {}
        self._share: dict[str, float] = {}
        self._measured = 0.0

    async def receive_batch(self, messages: Sequence[Look]) -> Sequence[None]:
        """Tell what is new."""
        await self._work()
        return [None] * len(messages)

    async def on_tick(self) -> None:
        """Tell what is new, and what was held for those whose hour has turned."""
        await self._work()
        try:
            await self._measure()
        except Unavailable:
            log.debug("not measured")

    async def _work(self) -> None:
        for _ in range(ROUNDS_A_LOOK):
            try:
                more = await self._round()
            except Unavailable as error:
                log.warning("dispatcher waits", extra={"reason": error.code})
                return
            if not more:
                return
        self._looks.wake()

    async def _round(self) -> bool:
        """A slice of each type that has open events, so that none waits for another, and one of what was held."""
        async with self._database.connection() as conn:
            kinds = await dispatch.open_types(conn)
        more = False
        for kind in kinds:
            more |= await self._attempt(kind, self._fan_out)
        return await self._attempt("digest", self._deliver_held) or more

    async def _attempt(self, kind: str, work: Callable[[str], Awaitable[bool]]) -> bool:
        """Do it; whether there is more of it. What fails rests for a while, and nothing else does."""
        if self._resting.get(kind, 0.0) > monotonic():
            return False
        started = perf_counter()
        try:
            more = await work(kind)
        except DeadlineExceeded:
            # Raised further it would hold up every other kind, for it is most likely to come again.
            self._progress.failed += 1
            self._share[kind] = max(SMALLEST, self._share.get(kind, 1.0) / 2)
            self._resting[kind] = monotonic() + PAUSE
            log.warning("notifications took too long", extra={"type": kind, "share": self._share[kind]})
            return False
        except Unavailable:
            raise
        except Exception:
            self._progress.failed += 1
            self._resting[kind] = monotonic() + REST
            log.exception("notifications put off", extra={"type": kind})
            return False
        else:
            self._share[kind] = min(1.0, self._share.get(kind, 1.0) * RECOVERY)
            return more
        finally:
            self._progress.seconds += perf_counter() - started

    def _part(self, kind: str, whole: int) -> int:
        """So much of a slice as this kind is given at present."""
        return max(1, int(whole * self._share.get(kind, 1.0)))

    async def _fan_out(self, kind: str) -> bool:
        events = self._part(kind, EVENTS_A_SLICE.get(kind, PERSONAL_A_SLICE))
        users = self._part(kind, USERS_A_SLICE)
        async with self._database.connection() as conn:
            done = await dispatch.fan_out(conn, kind, events, users, self._budget, mail=self._mail)
        self._progress.slices += 1
        self._progress.delivered[kind] += done.delivered
        self._progress.held[kind] += done.held
        if done.delivered or done.held:
            log.info("notifications", extra={
                "type": kind, "events": done.events, "finished": done.finished, "delivered": done.delivered,
                "held": done.held,
            })  # fmt: skip
        self._tell(done.first_user, done.last_user)
        # None: another dispatcher has what is open in its hands.
        return done.events > 0

    async def _deliver_held(self, kind: str) -> bool:
        users, rows = self._part(kind, USERS_A_SLICE), self._part(kind, dispatch.HELD_A_SLICE)
        async with self._database.transaction() as conn:
            done = await dispatch.deliver_held(conn, users, self._budget, mail=self._mail, rows=rows)
        if done is None:
            return False
        self._progress.slices += 1
        self._progress.delivered[kind] += done.digests
        self._progress.collapsed += done.collapsed
        self._progress.released += done.users - done.digests
        log.info("held notifications", extra={
            "users": done.users, "digests": done.digests, "collapsed": done.collapsed
        })  # fmt: skip
        self._tell(done.first_user, done.last_user)
        return True

    def _tell(self, first_user: int, last_user: int) -> None:
        if last_user:
            self._grown(first_user, last_user)

    async def _measure(self) -> None:
        if monotonic() < self._measured + MEASURE_EVERY:
            return
        self._measured = monotonic()
        async with self._database.connection() as conn:
            backlog = await dispatch.measure(conn, MOST_MEASURED)
        self._progress.open, self._progress.oldest_seconds = backlog.open, backlog.oldest_seconds
