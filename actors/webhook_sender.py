"""Sends what waits for webhooks: a few at a time, each under a lease, so that another process takes up what this one
left behind. A receiver may get a message twice, under the same id: once it is sent, only its answer is written down.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic, time
from uuid import UUID

from actors.base import Actor
from actors.jobs import Jobs
from server.adapters.outgoing import Outgoing, Reply
from server.database import Database
from server.errors import Overloaded, Unavailable
from server.events import WebhookProgress
from server.rules import webhooks as rules
from server.rules.webhooks import MOST_ATTEMPTS, MOST_IN_ALL
from sql import webhook_deliveries as sql
from sql.webhook_deliveries import Attempt, Due, Status

log = logging.getLogger("yojohan.webhooks")

# Longer than an attempt may take; when the process dies, others wait that long.
LEASE = 60.0
# Looks in one go; what is left waits for the next tick.
MOST_LOOKS = 20
MEASURE_INTERVAL = 10.0
MEASURED_UP_TO = 10_000
# Seconds that what is on its way may take when the server stops.
STOP_PATIENCE = 2.0


@dataclass(frozen=True, slots=True)
class Look:
    """A delivery may be waiting."""


@dataclass(slots=True)
class Sending:
    """What is on its way from this process; outlives the actor, should that crash. `wake` makes the actor look."""

    jobs: Jobs = field(default_factory=lambda: Jobs(limit=MOST_IN_ALL))
    on_their_way: set[UUID] = field(default_factory=set)
    # When each webhook had its last turn, as a number that grows.
    served: dict[int, int] = field(default_factory=dict)
    turns: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    opened: bool = False
    wake: Callable[[], None] = lambda: None


class WebhookSender(Actor[Look]):
    """Takes what is due, sends it, writes down how that went."""

    name = "webhook_sender"
    capacity = 100
    interval = 1.0
    first_tick = 0.1

    def __init__(
        self,
        database: Database,
        outgoing: Outgoing,
        keys: Sequence[bytes],
        progress: WebhookProgress,
        sending: Sending,
    ) -> None:
        self._database = database
        self._outgoing = outgoing
        self._keys = tuple(keys)
        self._progress = progress
        self._sending = sending
        self._measure_at = 0.0

    async def on_start(self) -> None:
        """Be ready to send."""
        if not self._sending.opened:
            self._sending.opened = True
            await self._sending.jobs.open()

    async def on_stop(self) -> None:
        """What is on its way may arrive; what does not in time goes back, for whoever comes next."""
        await self._sending.jobs.close(STOP_PATIENCE)
        await self._outgoing.close()

    async def receive(self, message: Look) -> None:  # noqa: ARG002 - there is only one message
        """Look at once."""
        await self._look()

    async def on_tick(self) -> None:
        """Look, and now and then measure what waits."""
        await self._look()
        if monotonic() >= self._measure_at:
            self._measure_at = monotonic() + MEASURE_INTERVAL
            await self._measure()

    async def _look(self) -> None:
        try:
            for _ in range(MOST_LOOKS):
                if not await self._take():
                    return
        except Unavailable as error:
            log.warning("webhooks wait for the database", extra={"reason": error.code})

    async def _take(self) -> bool:
        """Send what is due, as far as there is room; whether there may be more."""
        sending = self._sending
        free = MOST_IN_ALL - len(sending.on_their_way)
        if free <= 0:
            return False
        async with self._database.transaction() as conn:
            claim = await sql.claim(conn, sending.served, free, LEASE)
        for due in claim.due:
            sending.served[due.webhook_id] = next(sending.turns)
            sending.on_their_way.add(due.id)
            try:
                await sending.jobs.spawn(self._deliver(due))
            except Overloaded:
                sending.on_their_way.discard(due.id)
                await self._put_back(due)
        return claim.more

    async def _measure(self) -> None:
        try:
            async with self._database.connection() as conn:
                found = await sql.measure(conn, MEASURED_UP_TO)
        except Unavailable:
            return
        self._progress.pending = found.pending
        self._progress.oldest_seconds = found.oldest_seconds
        self._progress.disabled = found.disabled

    async def _deliver(self, due: Due) -> None:
        try:
            reply = await self._send(due)
            await self._settle(due, judge(due, reply, random.random()))  # noqa: S311 - jitter needs no secrecy
        except asyncio.CancelledError:
            # The server stops. The cancellation ends here: nobody above has anything left to do.
            await self._put_back(due)
        except Unavailable as error:
            log.warning("a delivery waits for its lease to end", extra={"reason": error.code})
        finally:
            self._sending.on_their_way.discard(due.id)
            self._sending.wake()

    async def _send(self, due: Due) -> Reply:
        assert due.body is not None
        body, timestamp = due.body.encode(), int(time())
        salts = [due.salt] if due.previous_salt is None else [due.salt, due.previous_salt]
        secrets = [rules.secret(key, salt) for salt in salts for key in self._keys]
        headers = {
            "Content-Type": "application/json",
            "webhook-id": str(due.id),
            "webhook-timestamp": str(timestamp),
            "webhook-signature": rules.signatures(secrets, due.id, timestamp, body),
        }
        return await self._outgoing.post(due.url, body, headers)

    async def _settle(self, due: Due, attempt: Attempt) -> None:
        async with self._database.transaction() as conn:
            settled = await sql.settle(conn, due, attempt)
        said = {"webhook": due.webhook_id, "delivery": str(due.id), "reason": attempt.error}
        self._progress.attempts["succeeded" if attempt.status == "succeeded" else "failed"] += 1
        if attempt.status != "pending" and settled.ours:
            self._progress.deliveries[attempt.status] += 1
        if attempt.status == "failed":
            log.warning("webhook delivery given up", extra=said)
        if settled.disabled_reason is not None:
            self._progress.switched_off += 1
            log.error("webhook switched off", extra=said | {"because": settled.disabled_reason})

    async def _put_back(self, due: Due) -> None:
        try:
            async with self._database.connection() as conn:
                await sql.put_back(conn, due)
        except Unavailable as error:
            log.warning("a delivery waits for its lease to end", extra={"reason": error.code})


def judge(due: Due, reply: Reply, chance: float) -> Attempt:
    """What an answer means: sent, to be tried again, or given up."""
    attempts = due.attempts + 1
    asked = None
    if reply.status in rules.ASKS_FOR_REST:
        asked = rules.retry_after(reply.retry_after, datetime.now(UTC))
    gone = reply.status == rules.GONE
    status: Status = "pending"
    if reply.good:
        status = "succeeded"
    elif attempts >= MOST_ATTEMPTS and not gone:
        status = "failed"
    # Whoever is gone is asked nothing more; should it be switched on again, this goes first.
    pause = 0.0 if status != "pending" or gone else rules.pause(attempts, chance, asked)
    return Attempt(status, pause, reply.status, reply.text, reply.error, reply.milliseconds, asked, gone)
