"""A real mail server for tests: SMTP on a free port, and what it was given."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

with warnings.catch_warnings():
    # The library asks itself for an attribute it has deprecated.
    warnings.simplefilter("ignore", DeprecationWarning)
    from aiosmtpd.smtp import SMTP, AuthResult


@dataclass
class Letter:
    """A mail as it came: whom the envelope names, and the message."""

    sender: str
    recipients: list[str]
    message: EmailMessage

    @property
    def text(self) -> str:
        return str(self.message.get_content())


@dataclass
class Mailbox:
    """The server. `refuse` answers recipients, `dislike` texts; `logins` are the passwords it was shown."""

    port: int = 0
    letters: list[Letter] = field(default_factory=list)
    logins: list[tuple[bytes, bytes]] = field(default_factory=list)
    refuse: str = ""
    dislike: str = ""

    async def handle_RCPT(self, _: Any, __: Any, envelope: Any, address: str, ___: Any) -> str:  # noqa: N802
        if self.refuse:
            return self.refuse
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _: Any, __: Any, envelope: Any) -> str:  # noqa: N802
        if self.dislike:
            return self.dislike
        message = message_from_bytes(envelope.content, policy=default)
        assert isinstance(message, EmailMessage)
        self.letters.append(Letter(envelope.mail_from, list(envelope.rcpt_tos), message))
        return "250 OK"

    def authenticate(self, _: Any, __: Any, ___: Any, ____: str, login: Any) -> Any:
        self.logins.append((login.login, login.password))
        return AuthResult(success=login.password == b"right@word", handled=False)


@asynccontextmanager
async def mailbox(port: int = 0, *, password: bool = False) -> AsyncIterator[Mailbox]:
    """A mail server on this port, or a free one; with `password` it takes mail only after a sign-in."""
    box = Mailbox()
    loop = asyncio.get_running_loop()

    def session() -> SMTP:
        return SMTP(
            box,
            loop=loop,
            enable_SMTPUTF8=True,
            authenticator=box.authenticate if password else None,
            auth_required=password,
            auth_require_tls=False,
        )

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        server = await loop.create_server(session, "127.0.0.1", port)
        box.port = server.sockets[0].getsockname()[1]
        try:
            yield box
        finally:
            server.close()
            await server.wait_closed()
