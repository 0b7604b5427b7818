"""Sending mail: one interface, SMTP behind it. The library is loaded only where SMTP_URL is set.

A mail is given to the server once. What becomes of it there nobody knows; what the server refused is told apart from
a server that is away: the first will not get better by trying again. And what failed before the end of the text, which
may safely be sent again, is told apart from what nobody knows: the server has the whole text, and did not answer.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime, localtime, make_msgid, parseaddr
from types import ModuleType
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from server.adapters.breaker import Breaker
from server.errors import Unavailable
from server.settings import Settings

# Seconds for a conversation with the mail server up to the text, and for the look whether it is there.
SEND_TIMEOUT = 15.0
LOOK_TIMEOUT = 2.5
# Seconds for the text and the answer to it: servers look for viruses meanwhile, and whoever hangs up too soon sends a
# second time what was taken (RFC 5321, 4.5.3.2.6).
ANSWER_TIMEOUT = 90.0
# An outcome older than this many seconds says nothing about now.
OUTCOME_HOLDS = 60.0
NO_HEADERS: Mapping[str, str] = {}
PORTS = {"smtp": 25, "smtps": 465, "smtp+starttls": 587}
GO_ON, TAKEN = 354, 250
LINE_END = re.compile(rb"\r\n|\r|\n")
DOT_AT_THE_START = re.compile(rb"^\.", re.MULTILINE)


class MailRefused(Exception):
    """The mail server will not take a mail to this address, now or later"""


class MailDeferred(Exception):
    """The mail server is there, but will not take this mail now"""


class MailDisliked(MailDeferred):
    """The mail server is there, but will not take this text, now or later"""


class MailUncertain(Exception):
    """The mail server has got the whole mail and has not said whether it takes it"""


class WholeAddresses(EmailPolicy):
    """Seven bits, which every mail server takes, and lines as SMTP has them. An address in a header stays in one piece:
    the standard library would write a long one in encoded words, which nobody takes for an address there."""

    def fold(self, name: str, value: str) -> str:
        """The header as text."""
        return f"{name}: {value}{self.linesep}" if name == "List-Unsubscribe" else super().fold(name, value)

    def fold_binary(self, name: str, value: str) -> bytes:
        """The header as bytes."""
        return self.fold(name, value).encode() if name == "List-Unsubscribe" else super().fold_binary(name, value)


POLICY = WholeAddresses(linesep="\r\n", cte_type="7bit")


class Mailer(Protocol):
    """What sends mail."""

    @property
    def resting(self) -> bool:
        """Whether the server has just failed so often that it is left alone for a while."""

    async def send(
        self, to: str, subject: str, text: str, html: str = "", headers: Mapping[str, str] = NO_HEADERS
    ) -> None:
        """Send a mail to one address: plain text, and the same as HTML where there is one.

        MailRefused if that address takes none, MailDeferred if it may later (MailDisliked: if not with this text),
        Unavailable if the server is away. After all of these it was not sent; after MailUncertain nobody knows, and
        whoever calls again may send it twice.
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


def domain_of(sender: str) -> str:
    """The domain of the address in a From header."""
    return parseaddr(sender)[1].rpartition("@")[2] or "localhost"


def compose(
    sender: str, to: str, subject: str, text: str, html: str = "", headers: Mapping[str, str] = NO_HEADERS
) -> EmailMessage:
    """The message. MailRefused if the address is not exactly one, or the subject or a header holds a line break."""
    message = EmailMessage(policy=POLICY)
    try:
        # An address that is parsed as one cannot hold a second one, or another header.
        message["To"] = Address(addr_spec=ascii_address(to))
        message["From"] = sender
        message["Subject"] = subject
        for name, value in headers.items():
            message[name] = value
    except (MessageError, ValueError, IndexError):
        raise MailRefused("The address or the subject does not fit into a header.") from None
    message["Date"] = format_datetime(localtime())
    if "Message-ID" not in message:
        message["Message-ID"] = make_msgid(domain=domain_of(sender))
    # Nobody's holiday should answer this.
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    if html:
        message.add_alternative(html, subtype="html")
    return message


class Smtp:
    """A mailer that opens a connection for each mail: they are few, and a kept one would have died meanwhile."""

    def __init__(self, settings: Settings, library: ModuleType) -> None:
        self.breaker = Breaker("The mail server")
        self._account = account_of(settings.smtp_url)
        self._sender = settings.mail_from
        self._library = library

    @property
    def resting(self) -> bool:
        """Whether the server has just failed so often that it is left alone for a while."""
        return self.breaker.open

    async def send(
        self, to: str, subject: str, text: str, html: str = "", headers: Mapping[str, str] = NO_HEADERS
    ) -> None:
        """Send it, unless the server has just failed several times in a row."""
        message = compose(self._sender, to, subject, text, html, headers)
        self.breaker.check()
        library = self._library
        try:
            await self._hand_over(message, ascii_address(to))
        except library.SMTPRecipientRefused as error:
            # The server is there and talks to us.
            self.breaker.succeeded()
            if _for_good(error):
                raise MailRefused("The mail server does not take mail to this address.") from None
            raise MailDeferred("The mail server does not take mail to this address now.") from error
        except (library.SMTPSenderRefused, library.SMTPDataError) as error:
            # What it does not like is most likely the same in all mails.
            self.breaker.failed()
            kind = MailDisliked if isinstance(error, library.SMTPDataError) and _for_good(error) else MailDeferred
            raise kind("The mail server does not take our mail.") from error
        except (MailUncertain, asyncio.CancelledError):
            # A caller who waits no longer has waited longer than a server should need.
            self.breaker.failed()
            raise
        except (library.SMTPException, OSError, ssl.SSLError, ValueError) as error:
            self.breaker.failed()
            raise Unavailable("The mail server is away.", retry_after=30) from error
        self.breaker.succeeded()

    async def _hand_over(self, message: EmailMessage, to: str) -> None:
        told = accepted = False
        try:
            async with asyncio.timeout(SEND_TIMEOUT) as clock, self._connection(SEND_TIMEOUT) as smtp:
                try:
                    text = await self._announce(smtp, message, to)
                    clock.reschedule(asyncio.get_running_loop().time() + ANSWER_TIMEOUT)
                    told = True
                    answer = await _tell(smtp.protocol, text)
                except asyncio.CancelledError:
                    # Who does not answer is not waited for once more, to say goodbye.
                    smtp.close()
                    raise
                told, accepted = False, answer.code == TAKEN
                if not accepted:
                    raise self._library.SMTPDataError(answer.code, answer.message)
        except (self._library.SMTPException, OSError) as error:
            if told:
                raise MailUncertain("The mail server has the mail and does not say what becomes of it.") from error
            # It has taken the mail: that it fails to say goodbye must not send it again.
            if not accepted:
                raise

    async def _announce(self, smtp: Any, message: EmailMessage, to: str) -> bytes:
        """Everything up to the text, and the text as it is to follow."""
        utf8 = not to.isascii()
        await smtp.ehlo()
        if utf8 and not smtp.supports_extension("smtputf8"):
            raise MailRefused("The mail server takes no mail to an address in other letters.")
        text = LINE_END.sub(b"\r\n", message.as_bytes(policy=POLICY.clone(utf8=utf8)))
        options = [f"SIZE={len(text)}"] if smtp.supports_extension("size") else []
        encoding = "utf-8" if utf8 else "ascii"
        await smtp.mail(
            parseaddr(self._sender)[1], options=[*options, "SMTPUTF8"] if utf8 else options, encoding=encoding
        )
        await smtp.rcpt(to, encoding=encoding)
        answer = await smtp.execute_command(b"DATA")
        if answer.code != GO_ON:
            raise self._library.SMTPDataError(answer.code, answer.message)
        return text

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


async def _tell(protocol: Any, text: bytes) -> Any:
    """Send the text to its end, and the server's answer. The library does this in one with the command before it, and
    does not say which of the two has failed."""
    protocol._response_pending = True  # noqa: SLF001 - else the library takes the answer for one nobody asked for
    protocol.write(DOT_AT_THE_START.sub(b"..", text) + b".\r\n")
    return await protocol.read_response(timeout=ANSWER_TIMEOUT)


def _for_good(refusal: object) -> bool:
    """Whether the answer is final: 5xx, but not 5.7 (policy: that is between the servers)."""
    code, text = getattr(refusal, "code", 0), str(getattr(refusal, "message", ""))
    return 500 <= code < 600 and not text.startswith("5.7.")


def mailer(settings: Settings) -> Smtp | None:
    """The mailer of these settings; None where e-mail is off."""
    if not settings.smtp_url:
        return None
    import aiosmtplib  # noqa: PLC0415 - a megabyte that most installations never need

    return Smtp(settings, aiosmtplib)
