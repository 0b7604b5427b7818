"""A real mail server for tests: SMTP on a free port, and what it was given."""

from __future__ import annotations

import asyncio
import warnings
from collections import Counter
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
    """A mail as it came: whom the envelope names, and the message, also byte for byte."""

    sender: str
    recipients: list[str]
    message: EmailMessage
    raw: bytes

    @property
    def text(self) -> str:
        return self._part("plain")

    @property
    def html(self) -> str:
        return self._part("html")

    def _part(self, kind: str) -> str:
        part = self.message.get_body((kind,))
        assert part is not None
        return str(part.get_content())


@dataclass
class Mailbox:
    """The server. `refuse` answers recipients, `dislike` texts; `logins` are the passwords it was shown.

    With `greylist` each address is turned away until it was given before; `hang` keeps texts waiting without an answer
    until it is set, `drop` hangs up on them: "before" they are taken, or "after". With `mute` no goodbye is answered
    until it is set. `at_once` is how many came together, to anybody and to each.
    """

    port: int = 0
    letters: list[Letter] = field(default_factory=list)
    logins: list[tuple[bytes, bytes]] = field(default_factory=list)
    refuse: str = ""
    dislike: str = ""
    greylist: set[str] | None = None
    hang: asyncio.Event | None = None
    drop: str = ""
    mute: asyncio.Event | None = None
    busy: Counter[str] = field(default_factory=Counter)
    at_once: Counter[str] = field(default_factory=Counter)

    async def handle_RCPT(self, _: Any, __: Any, envelope: Any, address: str, ___: Any) -> str:  # noqa: N802
        if self.refuse:
            return self.refuse
        if self.greylist is not None and address not in self.greylist:
            self.greylist.add(address)
            return "451 4.7.1 greylisted, try later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, _: Any, envelope: Any) -> str:  # noqa: N802
        if self.dislike:
            return self.dislike
        for name in ("", *envelope.rcpt_tos):
            self.busy[name] += 1
            self.at_once[name] = max(self.at_once[name], self.busy[name])
        try:
            return await self._take(server, envelope)
        finally:
            for name in ("", *envelope.rcpt_tos):
                self.busy[name] -= 1

    async def handle_QUIT(self, _: Any, __: Any, ___: Any) -> str:  # noqa: N802
        if self.mute is not None:
            await self.mute.wait()
        return "221 Bye"

    async def _take(self, server: Any, envelope: Any) -> str:
        if self.hang is not None:
            await self.hang.wait()
        if self.drop != "before":
            message = message_from_bytes(envelope.content, policy=default)
            assert isinstance(message, EmailMessage)
            self.letters.append(Letter(envelope.mail_from, list(envelope.rcpt_tos), message, envelope.content))
        if self.drop:
            server.transport.abort()
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
