"""How the two kinds of consumers get their events. What an error means is decided here.

    Applying    rows of the database, in the transaction that moves the cursor or deletes a parked event: exactly once
    Delivering  things outside; every event is parked, leased, delivered, then deleted: at least once

An event whose attempt fails is parked and tried again with growing pauses; those of its entity that come later wait
behind it. `MOST_ATTEMPTS` failures and it is given up. A database (or a mail server) that is away is nobody's failure:
`Unavailable` means wait.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from typing import Protocol

from actors.consumers.base import Consumer, Courier, Delivered
from server.database import Database
from server.errors import DatabaseUnavailable, DeadlineExceeded, Unavailable, YojohanError
from server.events import ConsumerProgress
from server.rules import backoff
from sql import outbox
from sql.outbox import Parked, Parking, Waiting
from sql.query import Connection, is_lost

log = logging.getLogger("yojohan.outbox")

MOST_ATTEMPTS = 12
# Shorter than the server's patience with an idle transaction: an attempt that hangs must not cost the connection.
HANDLE_TIMEOUT = 8.0
# Parked events of one entity handled together.
GROUP = 100
DELIVER_TIMEOUT = 30.0
# Longer than a delivery may take; when the process dies, others wait that long.
LEASE = 60.0
AT_ONCE = 4
DELIVERIES_A_SHIFT = 20
# Seconds until the next try where the other side is away.
AWAY_PAUSE = 15.0
LONGEST_ERROR = 200


class Handling(Protocol):
    """What a reader does with events."""

    # Whether parked events are the usual way, not the exception.
    parks: bool
    # The topics whose payloads are to be read along.
    reads: frozenset[str]

    async def take(self, conn: Connection, events: Sequence[Waiting]) -> None:
        """Handle or park the events, in the transaction that moves the cursor behind them."""

    async def settle(self) -> bool:
        """Try parked events that are due; whether there may be more."""


def describe(error: BaseException) -> str:
    """The error's class, and its text only where it is one of ours, which never hold secrets."""
    text = type(error).__name__
    if isinstance(error, YojohanError) and error.detail:
        text += f": {error.detail[:LONGEST_ERROR]}"
    return text.encode("utf-8", "replace").decode().replace("\x00", "")


def is_weather(error: BaseException) -> bool:
    """Whether it says nothing against the event. A deadline does: the event may be what takes so long."""
    return isinstance(error, Unavailable) and not isinstance(error, DeadlineExceeded)


def pause_after(attempts: int) -> float:
    """Seconds to wait after so many failures."""
    return backoff.pause(attempts, random.random())  # noqa: S311 - jitter needs no secrecy


def delivered(event: Waiting) -> Delivered:
    """The event as consumers get it."""
    payload = event.payload or {}
    return Delivered(event.xid, event.id, event.topic, event.entity, event.user_id, payload, event.created_at)


async def note_failure(
    conn: Connection, consumer: Consumer, parked: Parked, error: Exception, progress: ConsumerProgress
) -> None:
    """Plan the next attempt, or give the event up."""
    attempts = parked.attempts + 1
    progress.failed += 1
    said = {"consumer": consumer.name, "event": parked.event.id, "topic": parked.event.topic, "attempts": attempts}
    if attempts >= MOST_ATTEMPTS:
        progress.given_up += 1
        log.error("event given up", extra=said, exc_info=error)
        await outbox.bury(conn, parked, attempts, describe(error))
    else:
        log.warning("event failed again", extra=said | {"reason": describe(error)})
        await outbox.retry(conn, parked, attempts, pause_after(attempts), describe(error))


class Applying:
    """Gives a consumer its events inside of transactions."""

    parks = False

    def __init__(self, database: Database, consumer: Consumer, progress: ConsumerProgress) -> None:
        self.reads = consumer.topics
        self._database = database
        self._consumer = consumer
        self._progress = progress

    async def take(self, conn: Connection, events: Sequence[Waiting]) -> None:
        """All together; if that fails, one by one. What fails alone is parked, and what is of its entity behind it."""
        wanted = [event for event in events if event.topic in self.reads]
        if not wanted:
            return
        held = await outbox.blocked_entities(conn, self._consumer.name, {event.entity for event in wanted})
        free = [event for event in wanted if event.entity not in held]
        if not free or await self._attempt(conn, free) is None:
            parked = [Parking(event) for event in wanted if event.entity in held]
        else:
            parked = await self._one_by_one(conn, wanted, held)
        await outbox.park(conn, self._consumer.name, parked)

    async def _one_by_one(self, conn: Connection, events: Sequence[Waiting], held: set[str]) -> list[Parking]:
        parked = []
        for event in events:
            if event.entity in held:
                parked.append(Parking(event))
                continue
            error = await self._attempt(conn, [event])
            if error is not None:
                held.add(event.entity)
                self._progress.failed += 1
                said = {"consumer": self._consumer.name, "event": event.id, "topic": event.topic}
                log.warning("event failed", extra=said, exc_info=error)
                parked.append(Parking(event, 1, pause_after(1), describe(error)))
        return parked

    async def settle(self) -> bool:
        """One entity whose first parked event is due: as many of its events as go well, deleted as they are handled."""
        async with self._database.transaction() as conn:
            # One writer a consumer, whatever it writes: the cursor's lock keeps other instances out here, too.
            if await outbox.lock_cursor(conn, self._consumer.name) is None:
                return False
            parked = await outbox.lock_due(conn, self._consumer.name, GROUP)
            if not parked:
                return False
            self._progress.retried += parked[0].attempts > 0
            error = await self._attempt(conn, [one.event for one in parked])
            if error is not None and len(parked) > 1:
                del parked[1:]
                error = await self._attempt(conn, [parked[0].event])
            if error is None:
                await outbox.done(conn, parked)
            else:
                await note_failure(conn, self._consumer, parked[0], error, self._progress)
        return True

    async def _attempt(self, conn: Connection, events: Sequence[Waiting]) -> Exception | None:
        """Handle the events, or leave no trace and return the error."""
        await outbox.begin_attempt(conn)
        try:
            async with asyncio.timeout(HANDLE_TIMEOUT):
                await self._consumer.handle(conn, [delivered(event) for event in events])
            await outbox.keep_attempt(conn)
        except Exception as error:
            if is_weather(error):
                raise
            if is_lost(conn):
                raise DatabaseUnavailable("The connection is lost.", retry_after=2) from error
            await outbox.undo_attempt(conn)
            return error
        self._progress.handled += len(events)
        return None


class Delivering:
    """Hands a courier its events, outside of any transaction, a few at once."""

    parks = True
    reads: frozenset[str] = frozenset()

    def __init__(self, database: Database, courier: Courier, progress: ConsumerProgress) -> None:
        self._database = database
        self._courier = courier
        self._progress = progress
        self._left = 0

    async def take(self, conn: Connection, events: Sequence[Waiting]) -> None:
        """Park them all."""
        courier = self._courier
        mine = [Parking(event, pause=courier.delay) for event in events if event.topic in courier.topics]
        await outbox.park(conn, courier.name, mine)

    async def settle(self) -> bool:
        """A shift of deliveries."""
        self._left = DELIVERIES_A_SHIFT
        for outcome in await asyncio.gather(*(self._work() for _ in range(AT_ONCE)), return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome
        # Whoever found nothing or nobody to deliver to has ended the shift.
        return self._left == 0

    async def _work(self) -> None:
        while self._left > 0:
            self._left -= 1
            # One at a time, so that none grows stale in the hand while another is on its way.
            async with self._database.transaction() as conn:
                parked = await outbox.lease(conn, self._courier.name, LEASE)
            if parked is None or not await self._deliver(parked):
                self._left = -1
                return

    async def _deliver(self, parked: Parked) -> bool:
        """Deliver it and write down how that went; False if the other side is away."""
        self._progress.retried += parked.attempts > 0
        try:
            async with asyncio.timeout(DELIVER_TIMEOUT):
                await self._courier.deliver(delivered(parked.event))
        except Exception as error:  # noqa: BLE001 - whatever a courier raises must not stop the others
            async with self._database.connection() as conn:
                if is_weather(error):
                    log.warning("courier waits", extra={"consumer": self._courier.name, "reason": describe(error)})
                    await outbox.retry(conn, parked, parked.attempts, AWAY_PAUSE, describe(error))
                    return False
                await note_failure(conn, self._courier, parked, error, self._progress)
            return True
        async with self._database.connection() as conn:
            await outbox.done(conn, [parked])
        self._progress.handled += 1
        return True
