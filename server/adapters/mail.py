"""Sending mail: one interface, SMTP behind it. The library is loaded only where SMTP_URL is set.

A mail is given to the server once. What becomes of it there nobody knows; what the server refused is told apart from
a server that is away: the first will not get better by trying again.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, localtime, make_msgid, parseaddr
from types import ModuleType
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from server.adapters.breaker import Breaker
from server.errors import Unavailable
from server.settings import Settings

# Seconds for a whole conversation with the mail server, and for the look whether it is there.
SEND_TIMEOUT = 15.0
LOOK_TIMEOUT = 2.5
# An outcome older than this many seconds says nothing about now.
OUTCOME_HOLDS = 60.0
# Every mail server takes seven bits; letters beyond them are encoded.
SEVEN_BIT = SMTP.clone(cte_type="7bit")
PORTS = {"smtp": 25, "smtps": 465, "smtp+starttls": 587}


class MailRefused(Exception):
    """The mail server will not take a mail to this address, now or later"""


class MailDeferred(Exception):
    """The mail server is there, but will not take this mail now"""


class Mailer(Protocol):
    """What sends mail."""

    async def send(self, to: str, subject: str, text: str) -> None:
        """Send plain text to one address.

        MailRefused if that address takes none, MailDeferred if it may later, Unavailable if the server is away.
        """

    async def works(self) -> bool:
        """Whether mail goes out, as far as that is known; looks for itself when it has not been used for a while."""


@dataclass(frozen=True, slots=True)
class Account:
    """Where the mail server is, and who we are to it."""

    host: str
    port: int
    scheme: str
    username: str | None
    password: str | None


def account_of(url: str) -> Account:
    """What SMTP_URL says: user and password may be percent-encoded, the port follows from the scheme."""
    parts = urlsplit(url)
    return Account(
        parts.hostname or "localhost",
        parts.port or PORTS[parts.scheme],
        parts.scheme,
        unquote(parts.username) if parts.username else None,
        unquote(parts.password) if parts.password else None,
    )


def ascii_address(address: str) -> str:
    """The address with its domain as the DNS has it. ValueError where that cannot be."""
    local, _, domain = address.rpartition("@")
    return f"{local}@{domain.encode('idna').decode()}"


def compose(sender: str, to: str, subject: str, text: str) -> EmailMessage:
    """The message. MailRefused if the address is not exactly one, or the subject holds a line break."""
    message = EmailMessage(policy=SEVEN_BIT)
    try:
        # An address that is parsed as one cannot hold a second one, or another header.
        message["To"] = Address(addr_spec=ascii_address(to))
        message["From"] = sender
        message["Subject"] = subject
    except (MessageError, ValueError, IndexError):
        raise MailRefused("The address or the subject does not fit into a header.") from None
    message["Date"] = format_datetime(localtime())
    message["Message-ID"] = make_msgid(domain=parseaddr(sender)[1].rpartition("@")[2] or "localhost")
    # Nobody's holiday should answer this.
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    return message


class Smtp:
    """A mailer that opens a connection for each mail: they are few, and a kept one would have died meanwhile."""

    def __init__(self, settings: Settings, library: ModuleType) -> None:
        self.breaker = Breaker("The mail server")
        self._account = account_of(settings.smtp_url)
        self._sender = settings.mail_from
        self._library = library

    async def send(self, to: str, subject: str, text: str) -> None:
        """Send it, unless the server has just failed several times in a row."""
        message = compose(self._sender, to, subject, text)
        self.breaker.check()
        library = self._library
        try:
            async with asyncio.timeout(SEND_TIMEOUT), self._connection(SEND_TIMEOUT) as smtp:
                await smtp.send_message(message, sender=parseaddr(self._sender)[1], recipients=[ascii_address(to)])
        except library.SMTPRecipientsRefused as error:
            # The server is there and talks to us.
            self.breaker.succeeded()
            if _for_good(error.recipients[0]):
                raise MailRefused("The mail server does not take mail to this address.") from None
            raise MailDeferred("The mail server does not take mail to this address now.") from error
        except (library.SMTPSenderRefused, library.SMTPDataError) as error:
            # What it does not like is the sender or the text, and these are the same in all mails.
            self.breaker.failed()
            raise MailDeferred("The mail server does not take our mail.") from error
        except (library.SMTPException, OSError, ssl.SSLError, ValueError) as error:
            self.breaker.failed()
            raise Unavailable("The mail server is away.", retry_after=30) from error
        self.breaker.succeeded()

    async def works(self) -> bool:
        """The last outcome; where that is old, whether the server greets us and takes our password."""
        if self.breaker.stale(OUTCOME_HOLDS) and not self.breaker.open:
            try:
                async with asyncio.timeout(LOOK_TIMEOUT), self._connection(LOOK_TIMEOUT):
                    self.breaker.succeeded()
            except (self._library.SMTPException, OSError, ssl.SSLError, ValueError):
                self.breaker.failed()
        return not self.breaker.failing

    def _connection(self, timeout: float) -> Any:
        account = self._account
        return self._library.SMTP(
            hostname=account.host,
            port=account.port,
            username=account.username,
            password=account.password,
            timeout=timeout,
            use_tls=account.scheme == "smtps",
            # What the address says, and not what the server offers: a certificate nobody asked for is none to fail on.
            start_tls=account.scheme == "smtp+starttls",
        )


def _for_good(refusal: object) -> bool:
    """Whether the answer to the recipient is final: 5xx, but not 5.7 (policy: that is between the servers)."""
    code, text = getattr(refusal, "code", 0), str(getattr(refusal, "message", ""))
    return 500 <= code < 600 and not text.startswith("5.7.")


def mailer(settings: Settings) -> Smtp | None:
    """The mailer of these settings; None where e-mail is off."""
    if not settings.smtp_url:
        return None
    import aiosmtplib  # noqa: PLC0415 - a megabyte that most installations never need

    return Smtp(settings, aiosmtplib)
