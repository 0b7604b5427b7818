"""The mailer: sends the mails that the outbox asks for, each with a one-time token made for it."""

from __future__ import annotations

import base64
import logging
import secrets
from hashlib import sha256
from typing import ClassVar

from actors.consumers.base import Courier, Delivered
from server.adapters.mail import Mailer, MailRefused
from server.database import Database
from server.rules.letters import letter
from sql import mailed

log = logging.getLogger("yojohan.mailer")

TOKEN_BYTES = 32


class AccountMailer(Courier):
    """Sends what verifies an address or lets a password be set anew.

    The token is made when the mail is: events hold none, and the database only its SHA-256. A mail sent a second time,
    after a crash, brings a new token, and the first one no longer counts.
    """

    name: ClassVar[str] = "mailer"
    topics: ClassVar[frozenset[str]] = frozenset({"mail"})

    def __init__(self, database: Database, mailer: Mailer, public_url: str) -> None:
        self._database = database
        self._mailer = mailer
        self._public_url = public_url

    async def deliver(self, event: Delivered) -> None:
        """Send the mail, if there is still somebody to send it to. Unavailable or MailDeferred: try again later."""
        if event.user_id is None:
            return
        asked = str(event.payload["kind"])
        token = base64.urlsafe_b64encode(secrets.token_bytes(TOKEN_BYTES)).decode().rstrip("=")
        async with self._database.connection() as conn:
            to = await mailed.make_token(conn, event.user_id, asked, sha256(token.encode()).digest())
        if to is None:
            return
        mail = letter(asked, to.purpose, to.username, to.locale, token, self._public_url)
        try:
            await self._mailer.send(to.email, mail.subject, mail.text)
        except MailRefused as error:
            # Trying again would not help, and only make the mail server think ill of us.
            log.warning("mail refused", extra={"user_id": event.user_id, "reason": str(error)})
