"""What the tests of mails about notifications share: readers, things to tell, the actor beside a real mail server."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from actors.notification_mailer import NotificationMailer, Sender
from server.adapters.mail import Smtp, mailer
from server.database import Database
from server.events import MailCounters
from server.rules.unsubscribing import UnsubscribeTokens
from server.settings import load
from tests.mailbox import Letter, Mailbox, mailbox
from tests.seeding import seed_releases

PUBLIC_URL = "https://anime.example"
KEY = b"a key that is long enough"
_numbers = itertools.count(1)


def smtp_to(port: int) -> Smtp:
    """The real mailer, for a server on this port."""
    made = mailer(load({"SMTP_URL": f"smtp://127.0.0.1:{port}", "MAIL_FROM": "Yojohan <no-reply@example.org>"}))
    assert made is not None
    return made


def notification_mailer(
    database: Database, sending: Smtp, counters: MailCounters, public_url: str
) -> NotificationMailer:
    """The actor, for its ticks to be called."""
    stop = f"{public_url}/api/v1/notifications/unsubscribe"
    return NotificationMailer(
        database, sending, Sender(public_url, stop, "example.org", UnsubscribeTokens([KEY])), counters
    )


@dataclass
class Post:
    """The actor, its database and its mail server."""

    conn: Any
    database: Database
    box: Mailbox
    smtp: Smtp
    actor: NotificationMailer
    counters: MailCounters

    async def reader(self, *, locale: str = "en", verified: bool = True, instant: int = 62) -> int:
        """Somebody who wants mails of these types."""
        name = f"reader-{next(_numbers)}"
        user_id: int = await self.conn.fetchval(
            """insert into users (username, username_key, email, email_key, locale, email_verified_at)
               values ($1, $1, $2, $2, $3, case when $4 then now() end) returning id""",
            name, f"{name}@example.org", locale, verified,
        )  # fmt: skip
        await self.conn.execute(
            "insert into notification_preferences (user_id, email_instant) values ($1, $2)", user_id, instant
        )
        return user_id

    async def tell(self, user_id: int, kind: str = "new_release", *, title: str = "", due: int = 0, **data: Any) -> int:
        """Something about a new release that is to be mailed in so many seconds; the event's id."""
        (release_id,) = await seed_releases(self.conn, 1)
        if title:
            await self.conn.execute("update releases set title = $2 where id = $1", release_id, title)
        target = ("user", user_id) if kind == "digest" else ("release", release_id)
        event_id: int = await self.conn.fetchval(
            """insert into notification_events (type, target_type, target_id, release_id, recipient_id, data, done_at)
               values ($1, $2, $3, $4, $5, $6, now()) returning id""",
            kind, *target, None if kind == "digest" else release_id, user_id, data,
        )  # fmt: skip
        await self.conn.execute(
            """insert into notification_mails (user_id, event_id, mode, due_at)
               values ($1, $2, 'instant', now() + $3::interval)""",
            user_id, event_id, timedelta(seconds=due),
        )  # fmt: skip
        return event_id

    async def wait_over(self) -> None:
        """As if all leases and pauses had passed."""
        await self.conn.execute(
            """update notification_mails
               set due_at = due_at - interval '1 day', leased_until = leased_until - interval '1 day'
               where sent_at is null and due_at < now() + interval '1 day'"""
        )
        self.smtp.breaker.succeeded()

    async def left(self) -> int:
        """How many rows are not sent."""
        found: int = await self.conn.fetchval("select count(*) from notification_mails where sent_at is null")
        return found

    async def sent(self) -> int:
        """How many rows are marked as sent."""
        found: int = await self.conn.fetchval("select count(*) from notification_mails where sent_at is not null")
        return found

    async def address(self, user_id: int) -> str:
        """The user's address."""
        found: str = await self.conn.fetchval("select email from users where id = $1", user_id)
        return found

    async def letters(self, user_id: int) -> list[Letter]:
        """What this user got."""
        address = await self.address(user_id)
        return [one for one in self.box.letters if one.recipients == [address]]


@asynccontextmanager
async def post_office(dsn: str, conn: Any, public_url: str = PUBLIC_URL) -> AsyncIterator[Post]:
    """The actor on a database of its own, beside a mail server that works until it is told not to."""
    async with mailbox() as box:
        database, counters, sending = Database(dsn), MailCounters(), smtp_to(box.port)
        await database.open()
        try:
            actor = notification_mailer(database, sending, counters, public_url)
            yield Post(conn, database, box, sending, actor, counters)
        finally:
            await database.close()
