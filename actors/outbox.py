"""The outbox's readers, one for each consumer: woken by commits of this process, certain by looking every second.

A reader locks its consumer's cursor (another instance may hold it: nothing to do then), reads what lies behind it and
below the fence, has it handled, moves the cursor and commits, all in one transaction.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from actors.base import ActorRef, BatchActor
from actors.consumers.base import Consumer, Courier
from actors.outbox_handling import Applying, Delivering, Handling
from server.database import Database
from server.errors import ActorStopped, MailboxFull, Unavailable
from server.events import ConsumerProgress
from sql import outbox
from sql.outbox import Position, Waiting

log = logging.getLogger("yojohan.outbox")

EVENTS_A_PASS = 500
# After so many passes the mailbox is looked into, for the end may be near.
PASSES_A_LOOK = 20
# Where so many commits have rung since the last look, the next one waits a while: each look costs a dozen round trips,
# which whoever writes could have.
BUSY = 20
REST = 0.5
# What waits beyond the fence passes it when some other transaction ends, which nobody tells us.
LOOK_AGAIN = 0.05


@dataclass(frozen=True, slots=True)
class Wake:
    """There may be something new."""


class Waker:
    """Wakes one reader, only once until it has taken notice, and not while it rests."""

    def __init__(self) -> None:
        self.ref: ActorRef[Wake] | None = None
        self.rung = False
        # How often there was something since the reader looked last.
        self.rings = 0
        self._resting = False

    def __call__(self) -> None:
        """Takes no time and raises nothing: a reader that cannot be woken looks by itself."""
        self.rings += 1
        if self.rung or self._resting or self.ref is None:
            return
        with suppress(MailboxFull, ActorStopped):
            self.ref.tell(Wake())
            self.rung = True

    def looking(self) -> int:
        """The reader takes notice; how often there was something since it did last."""
        rings, self.rings, self.rung = self.rings, 0, False
        return rings

    def rest(self, seconds: float) -> None:
        """Leave the reader alone for a while, and wake it then if there was something."""
        self._resting = True
        asyncio.get_running_loop().call_later(seconds, self._rested)

    def _rested(self) -> None:
        self._resting = False
        if self.rings:
            self()


class OutboxReader(BatchActor[Wake]):
    """Reads the outbox for one consumer. `turns` bounds how many readers hold a connection at once."""

    interval = 1.0
    first_tick = 0.05
    # What is committed meanwhile comes along in the same pass.
    linger = 0.1

    def __init__(
        self,
        database: Database,
        consumer: Consumer,
        progress: ConsumerProgress,
        waker: Waker,
        turns: asyncio.Semaphore,
    ) -> None:
        self.name = f"outbox_{consumer.name}"
        self._database = database
        self._consumer = consumer
        self._waker = waker
        self._turns = turns
        self._handling: Handling = (
            Delivering(database, consumer, progress)
            if isinstance(consumer, Courier)
            else Applying(database, consumer, progress)
        )

    async def receive_batch(self, messages: Sequence[Wake]) -> Sequence[None]:
        """Look at what is new."""
        rings = self._waker.looking()
        await self._look(ticking=False)
        if rings >= BUSY:
            self._waker.rest(REST)
        return [None] * len(messages)

    async def on_tick(self) -> None:
        """Look at everything: events of others, which only move the cursor, and parked ones, too."""
        await self._look(ticking=True)

    async def _look(self, *, ticking: bool) -> None:
        try:
            for _ in range(PASSES_A_LOOK):
                if not await self._pass(ticking=ticking):
                    return
        except Unavailable as error:
            log.warning("outbox waits", extra={"consumer": self._consumer.name, "reason": error.code})
            return
        self._waker()

    async def _pass(self, *, ticking: bool) -> bool:
        """Do what waits; whether more does."""
        async with self._turns:
            async with self._database.connection() as conn:
                sight = await outbox.peek(conn, self._consumer.name, self._consumer.topics)
            if sight is None:
                return False
            took = 0
            if sight.wanted or (ticking and sight.passable):
                took = await self._take()
            more = took >= EVENTS_A_PASS
            if not self._handling.parks and ticking and sight.due:
                more |= await self._handling.settle()
        if self._handling.parks and (took or sight.due):
            # Deliveries take their time, and no turn of others.
            more |= await self._handling.settle()
        if sight.beyond and not more:
            asyncio.get_running_loop().call_later(LOOK_AGAIN, self._waker)
        return more

    async def _take(self) -> int:
        async with self._database.transaction() as conn:
            at = await outbox.lock_cursor(conn, self._consumer.name)
            if at is None:
                return 0
            read = await outbox.read(conn, at, self._handling.reads, EVENTS_A_PASS)
            events = portion(read, self._consumer)
            if events:
                await self._handling.take(conn, events)
                await outbox.move_cursor(conn, self._consumer.name, Position(events[-1].xid, events[-1].id))
        return len(read) if len(events) == len(read) else EVENTS_A_PASS


def portion(events: Sequence[Waiting], consumer: Consumer) -> Sequence[Waiting]:
    """The first of them, up to the consumer's `most` of those it wants."""
    wanted = [place for place, event in enumerate(events) if event.topic in consumer.topics]
    return events if len(wanted) <= consumer.most else events[: wanted[consumer.most]]
