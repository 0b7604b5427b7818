"""The notification mailer: everything that is due of one user goes out in one mail, through whatever sends mail.

A mail is leased, sent, marked. A crash between the last two sends it once more, under the same Message-ID; while it is
leased nobody else, here or in another instance, sends anything to that user. A mail server that has the whole mail and
does not answer gets it once more; if it does not answer then either, the mail counts as sent.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any

from actors.base import Actor
from server.adapters.mail import MailDisliked, Mailer, MailRefused, MailUncertain
from server.database import Database
from server.errors import Unavailable
from server.events import MailCounters
from server.rules import backoff
from server.rules.notification_letters import Reader, Stopping, headers, letter, only_type
from server.rules.notifications import NUMBERS, Shown
from server.rules.unsubscribing import ALL, UnsubscribeTokens
from sql import notification_mails
from sql.notification_mails import Addressee, Leased
from sql.query import Connection

log = logging.getLogger("yojohan.notification_mailer")

AT_ONCE = 4
# A pass ends soon: a server that stops does not cut off what is on its way.
MAILS_A_PASS, SECONDS_A_PASS = 500, 3.0
# Longer than a conversation with the mail server and marking may take; when the process dies, others wait that long.
LEASE = 180.0
MOST_ATTEMPTS = 12
# Seconds; the last of twelve attempts is made some fifteen hours after the first.
SHORTEST_PAUSE, LONGEST_PAUSE = 60.0, 6 * 3600.0
# Seconds until the next try where the mail server is away.
AWAY_PAUSE = 30.0
# Seconds to try and write down that a mail is out: who fails at that sends it again. Less than the lease has left.
MARK_PATIENCE, MARK_PAUSE = 30.0, 1.0
# Seconds to write down that nobody knows whether a mail is out, when the server stops in the middle of it.
LAST_PATIENCE = 0.8


@dataclass(frozen=True, slots=True)
class Sender:
    """Who we are in a mail: where its links lead (empty: there are none), whose they are, and our domain."""

    public_url: str
    unsubscribe_url: str
    domain: str
    tokens: UnsubscribeTokens


class NotificationMailer(Actor[Any]):
    """Looks every few seconds for mails that are due."""

    name = "notification_mailer"
    interval = 2.0

    def __init__(self, database: Database, mailer: Mailer, sender: Sender, counters: MailCounters) -> None:
        self._database = database
        self._mailer = mailer
        self._sender = sender
        self._counters = counters
        self._left = 0
        self._until = 0.0

    async def on_tick(self) -> None:
        """A pass: as many mails as are due, up to a bound, a few at once."""
        try:
            if not await self._look() or self._mailer.resting:
                return
            self._left, self._until = MAILS_A_PASS, monotonic() + SECONDS_A_PASS
            outcomes = await asyncio.gather(*(self._work() for _ in range(AT_ONCE)), return_exceptions=True)
            for outcome in outcomes:
                if isinstance(outcome, BaseException):
                    raise outcome
        except (Unavailable, TimeoutError) as error:
            log.warning("notification mails wait for the database", extra={"reason": type(error).__name__})

    async def _look(self) -> bool:
        """Whether anything is due."""
        async with self._database.connection() as conn:
            waited = await notification_mails.oldest_due(conn)
        self._counters.oldest_due = waited or 0.0
        return waited is not None

    async def _work(self) -> None:
        while self._left > 0 and monotonic() < self._until:
            self._left -= 1
            # One at a time, so that none grows stale in the hand while another is on its way.
            async with self._database.transaction() as conn:
                mail = await notification_mails.lease(conn, LEASE)
                if mail is None:
                    return
                to = await notification_mails.addressee(conn, mail.user_id)
                items = await notification_mails.items(conn, mail) if to is not None else []
                if to is None or not items:
                    await notification_mails.drop(conn, mail)
                    self._counters.dropped += 1
                    continue
            if not await self._deliver(mail, to, items):
                # The mail server is away: nobody has to find that out again.
                self._left = 0

    async def _deliver(self, mail: Leased, to: Addressee, items: list[Shown]) -> bool:
        """Send it and write down how that went; False if the mail server is away."""
        try:
            await self._send(mail, to, items)
        except (MailRefused, MailDisliked) as error:
            log.warning("notification mail refused", extra={"user_id": mail.user_id, "reason": str(error)})
            self._counters.refused += 1
            await self._drop(mail)
        except MailUncertain as error:
            await self._doubt(mail, error)
            return not self._mailer.resting
        except asyncio.CancelledError:
            await self._doubt_at_the_end(mail)
            raise
        except Unavailable as error:
            if self._mailer.resting:
                self._counters.waited += 1
                async with self._database.connection() as conn:
                    await notification_mails.retry(conn, mail, mail.attempts, AWAY_PAUSE)
                return False
            # Others get through, so it may be this mail that the server cannot bear.
            await self._put_off(mail, error)
        except Exception as error:  # noqa: BLE001 - one mail must not stop the others, whatever is wrong with it
            await self._put_off(mail, error)
        else:
            self._counters.sent += 1
            await self._mark(mail)
        return True

    async def _send(self, mail: Leased, to: Addressee, items: list[Shown]) -> None:
        sender = self._sender
        kind = only_type(items)
        these, everything = (
            f"{sender.unsubscribe_url}?token={sender.tokens.make(mail.user_id, number)}"
            for number in (NUMBERS[kind] if kind else ALL, ALL)
        )
        stopping = Stopping(these, everything) if sender.public_url else None
        made = letter(Reader(to.username, to.locale), items, sender.public_url, stopping)
        said = headers(mail.user_id, mail.event_ids[0], sender.domain, these if stopping else "")
        await self._mailer.send(to.email, made.subject, made.text, made.html, said)

    async def _doubt(self, mail: Leased, error: Exception) -> None:
        """Nobody knows whether it is out: it is sent once more, and no third time."""
        said = {"user_id": mail.user_id, "again": not mail.doubted}
        log.warning("notification mail without an answer", extra=said, exc_info=error)
        if mail.doubted:
            self._counters.sent += 1
            await self._mark(mail)
            return
        self._counters.deferred += 1
        await self._write_down(lambda conn: _again(conn, mail))

    async def _doubt_at_the_end(self, mail: Leased) -> None:
        """The same, when the server stops and there is no time to lose."""
        try:
            async with asyncio.timeout(LAST_PATIENCE), self._database.connection() as conn:
                await (notification_mails.mark_sent(conn, mail) if mail.doubted else _again(conn, mail))
        except (Unavailable, TimeoutError) as error:
            log.warning("notification mail in doubt", extra={"user_id": mail.user_id, "reason": type(error).__name__})

    async def _mark(self, mail: Leased) -> None:
        await self._write_down(lambda conn: notification_mails.mark_sent(conn, mail))

    async def _write_down(self, write: Callable[[Connection], Awaitable[None]]) -> None:
        async with asyncio.timeout(MARK_PATIENCE):
            while True:
                try:
                    async with self._database.connection() as conn:
                        await write(conn)
                    return
                except Unavailable:
                    await asyncio.sleep(MARK_PAUSE)

    async def _put_off(self, mail: Leased, error: Exception) -> None:
        attempts = mail.attempts + 1
        said = {"user_id": mail.user_id, "attempts": attempts}
        if attempts >= MOST_ATTEMPTS:
            log.error("notification mail given up", extra=said, exc_info=error)
            self._counters.given_up += 1
            await self._drop(mail)
            return
        log.warning("notification mail put off", extra=said, exc_info=error)
        self._counters.deferred += 1
        async with self._database.connection() as conn:
            await notification_mails.retry(conn, mail, attempts, backoff_after(attempts))

    async def _drop(self, mail: Leased) -> None:
        async with self._database.connection() as conn:
            await notification_mails.drop(conn, mail)


async def _again(conn: Connection, mail: Leased) -> None:
    attempts = mail.attempts + 1
    await notification_mails.retry(conn, mail, attempts, backoff_after(attempts), doubted=True)


def backoff_after(attempts: int) -> float:
    """Seconds to wait after so many failures: at least half of a span that doubles."""
    chance = 0.5 + random.random() / 2  # noqa: S311 - jitter needs no secrecy
    return backoff.pause(attempts, chance, shortest=SHORTEST_PAUSE, longest=LONGEST_PAUSE)
