"""A receiver of webhooks on a real socket: checks every request with the public library, answers as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from aiohttp import web
from standardwebhooks import Webhook

Answer = Callable[["Message"], Awaitable[web.Response] | web.Response]


@dataclass(frozen=True)
class Message:
    """A request whose signature was right."""

    id: str
    body: dict[str, Any]
    headers: dict[str, str]
    path: str

    @property
    def type(self) -> str:
        return str(self.body["type"])


@dataclass
class Receiver:
    """Everything that came; what is not signed with one of `secrets` ends up in `forged`."""

    url: str = ""
    secrets: list[str] = field(default_factory=list)
    answer: Answer = lambda _: web.Response()
    messages: list[Message] = field(default_factory=list)
    forged: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    async def receive(self, request: web.Request) -> web.Response:
        data = await request.read()
        headers = dict(request.headers)
        for secret in self.secrets:
            try:
                body = Webhook(secret).verify(data, headers)
            except Exception as error:  # noqa: BLE001 - whatever it is, the request was not good
                self.forged.append(repr(error))
                return web.Response(status=401)
        message = Message(headers["webhook-id"], body, headers, request.path)
        self.messages.append(message)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            answer = self.answer(message)
            return answer if isinstance(answer, web.Response) else await answer
        finally:
            self.at_once -= 1

    @property
    def ids(self) -> list[str]:
        return [message.id for message in self.messages]

    @property
    def types(self) -> list[str]:
        return [message.type for message in self.messages]


@asynccontextmanager
async def receiving(*secrets: str) -> AsyncIterator[Receiver]:
    """A receiver that listens, and knows these secrets: each of them has to verify each message."""
    receiver = Receiver(secrets=list(secrets))
    app = web.Application()
    app.router.add_post("/{path:.*}", receiver.receive)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield receiver
        assert receiver.forged == []
    finally:
        await runner.cleanup()


async def until(condition: Callable[[], bool | Awaitable[bool]], patience: float = 10.0) -> None:
    """Wait until it holds."""
    deadline = monotonic() + patience
    while True:
        held = condition()
        if held if isinstance(held, bool) else await held:
            return
        assert monotonic() < deadline
        await asyncio.sleep(0.01)
