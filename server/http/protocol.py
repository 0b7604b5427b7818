"""aiohttp's server with our edge in front of the application, our bounds on connections, and our answer to what is not
HTTP.

All of it hangs on parts of aiohttp that it does not document (`AppRunner._make_server`, the protocol's `handle_error`,
its queue of messages); the version is pinned by hash, and tests fail if any of them stops working.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from http import HTTPStatus
from time import monotonic
from typing import cast

from aiohttp import web, web_protocol
from aiohttp.http_parser import RawRequestMessage
from aiohttp.http_writer import HttpVersion11
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestHandler

from server.errors import BadRequest, Overloaded, TooManyRequests, YojohanError
from server.http import problems
from server.http.connections import (
    ADDRESS,
    FULL,
    LARGE_HEAD,
    SLOW_HEAD,
    SLOW_READER,
    Connections,
    acknowledged,
    peer_address,
)  # fmt: skip
from server.http.edge import Edge
from server.http.parse import RequestTimeout
from server.http.ready import Ready

# Requests of one connection that are parsed and not answered yet; aiohttp reads no further then, and takes 32.
MOST_PIPELINED = 8
# The parser and the protocol take it from there when a connection is made.
web_protocol.MAX_MSG_QUEUE_SIZE = MOST_PIPELINED


# Bytes of a body from which copying it behind its head costs more than handing the kernel both.
WORTH_TWO_PARTS = 2048


class HeadersTooLarge(YojohanError):
    """The headers are too large"""

    status = 431
    code = "headers_too_large"


REFUSALS: dict[int, YojohanError] = {
    400: BadRequest("This is not a well-formed HTTP request."),
    408: RequestTimeout("Send the whole head of the request at once."),
    431: HeadersTooLarge("Send fewer or shorter headers."),
}
TURNED_AWAY = {
    FULL: Overloaded("Too many connections are open; try again soon.", retry_after=5),
    ADDRESS: TooManyRequests("Too many connections are open from this address; use fewer.", retry_after=5),
}


class Protocol(RequestHandler):
    """One connection. What the parser refuses is answered as a problem document, counted, and the connection closed."""

    __slots__ = (
        "_acknowledged", "_address_key", "_admitted", "_body", "_finished", "_head_bytes", "_head_since", "_left",
        "_moved", "_over", "_stuck_since", "connections", "edge", "lost",
    )  # fmt: skip
    edge: Edge
    connections: Connections
    # Told once the connection is gone: whoever waits for something else than the client's next bytes hears it only so.
    lost: Callable[[], None]

    def begin(self, edge: Edge, connections: Connections) -> None:
        """What our part of it needs; before the connection is made."""
        self.edge = edge
        self.connections = connections
        self.lost = _nobody
        self._address_key: int | None = None
        self._admitted = self._over = False
        # Requests whose answers have been written to their end, of all that aiohttp counts as parsed.
        self._finished = 0
        # The body of the newest request, and the head that has begun behind it.
        self._body: StreamReader = EMPTY_PAYLOAD
        self._head_since = 0.0
        self._head_bytes = 0
        # An answer nobody takes: since when, how much was left of it when somebody looked, what has gone meanwhile, and
        # what the client had confirmed before.
        self._stuck_since = 0.0
        self._left = self._moved = self._acknowledged = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let it in, or turn it away before it costs anything."""
        self._address_key, refused = self.connections.admit(peer_address(transport))
        if refused:
            self._over = True
            turn_away(transport, TURNED_AWAY[refused])
            return
        self._admitted = True
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """The connection is gone."""
        if self._admitted:
            self._admitted = False
            self.connections.leave(self._address_key)
            super().connection_lost(exc)
        self.lost()

    def data_received(self, data: bytes) -> None:
        """What has come: aiohttp's business, but for a head that does not end."""
        if self._over:
            return
        in_head, count = self._body.is_eof(), self._request_count
        # Who does not read its answers takes the usual way, which waits for that.
        if self.edge.gate.full and self._finished == count and not self._paused:
            self._receive_when_full(data)
        else:
            super().data_received(data)
        if self._request_count != count:
            self._head_since = 0.0
            # Its last one is the newest: nobody takes from the queue before the loop turns.
            self._body = self._messages[-1][1] if self._messages else EMPTY_PAYLOAD
        elif in_head and data and not self._buffer_paused:
            self._head_goes_on(len(data))

    def _receive_when_full(self, data: bytes) -> None:
        """Answer here what will be turned away: the way through tasks and responses costs several times as much.

        Every answer before this one has been written. Whoever waits for requests does so, or soon will.
        """
        # It must not be woken for a request that is none any more.
        waiter, self._waiter = self._waiter, None
        super().data_received(data)
        self._waiter = waiter
        answer = self._refusal() if len(self._messages) == 1 and self._keepalive else None
        if answer is not None and self._parser is not None and self.transport is not None:
            self._messages.popleft()
            self._parser.message_consumed()
            self._finished += 1
            self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
            self.transport.write(answer)
        elif self._messages and waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Write an answer to its end; whether the client has gone before it."""
        try:
            if isinstance(resp, Ready):
                return resp, await self._write(resp)
            return await super().finish_response(request, resp, start_time)
        finally:
            self._finished += 1

    async def _write(self, answer: Ready) -> bool:
        transport = self.transport
        if transport is None or transport.is_closing():
            return True
        if len(answer.body) < WORTH_TWO_PARTS:
            transport.write(answer.head + answer.body)
        else:
            transport.writelines((answer.head, answer.body))
        try:
            # Returns at once unless the client does not take what it asked for.
            await self._drain_helper()
        except ConnectionError:
            return True
        return False

    def _refusal(self) -> bytes | None:
        """The answer to the one request that has come, if it will be turned away; an odd one takes the usual way."""
        message, payload = self._messages[0]
        if not isinstance(message, RawRequestMessage) or payload is not EMPTY_PAYLOAD:
            return None
        if message.should_close or message.upgrade or message.version != HttpVersion11:
            return None
        return self.edge.refuse_at_once(message.method, message.path, message.headers)

    def _head_goes_on(self, size: int) -> None:
        if not self._head_since:
            self._head_since, self._head_bytes = monotonic(), 0
        self._head_bytes += size
        if self._head_bytes > self.connections.bounds.largest_head:
            self._refuse(431, LARGE_HEAD)

    def _refuse(self, status: int, reason: str) -> None:
        """Answer this when all before it is answered, and close: nobody knows where the next request would begin."""
        self.connections.refused[reason] += 1
        self._over, self._head_since = True, 0.0
        error = web_protocol._ErrInfo(status=status, exc=REFUSALS[status], message="")  # noqa: SLF001
        self._messages.append((error, EMPTY_PAYLOAD))
        self._request_count += 1
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    @property
    def suspect(self) -> bool:
        """Whether it was seen half way through something."""
        return self._head_since > 0 or self._stuck_since > 0

    def look(self, now: float, transport: asyncio.WriteTransport) -> None:
        """Once a second or so: whether the client does its part."""
        bounds = self.connections.bounds
        if self._head_since and now - self._head_since > bounds.head_patience:
            self._refuse(408, SLOW_HEAD)
        waiting = transport.get_write_buffer_size()
        # A stream has a rule of its own.
        if not waiting or self.lost is not _nobody:
            self._stuck_since = 0.0
        elif not self._stuck_since:
            self._stuck_since, self._left, self._moved = now, waiting, 0
            self._acknowledged = acknowledged(transport)
        else:
            self._moved += max(0, self._left - waiting)
            self._left = waiting
            if now - self._stuck_since >= bounds.read_patience:
                self._judge_reader(now, transport)

    def _judge_reader(self, now: float, transport: asyncio.WriteTransport) -> None:
        """Cut the client off unless it took enough of its answer while it was waited for.

        The kernel takes what is left in lumps of a hundred kilobytes and more, and the answer's writer refills it at
        once: who reads slowly looks here like who does not read. What the client has confirmed is exact.
        """
        bounds, before = self.connections.bounds, self._acknowledged
        self._acknowledged = acknowledged(transport)
        if max(self._moved, self._acknowledged - before) < bounds.slowest_reader * bounds.read_patience:
            self.connections.refused[SLOW_READER] += 1
            transport.abort()
        self._stuck_since, self._moved = now, 0

    @property
    def state(self) -> str:
        """`stuck` (its answer is not taken), `busy`, `head` (half of one has come) or `idle`."""
        if self._stuck_since:
            return "stuck"
        if self._request_in_progress or self._messages:
            return "busy"
        return "head" if self._head_since else "idle"

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to a request that could not be parsed; anything else is aiohttp's business."""
        if status not in REFUSALS or request.writer.output_size > 0:
            theirs: web.StreamResponse = super().handle_error(request, status, exc, message)
            return theirs
        # Neither the parser's words nor the request line go back: both may hold what somebody smuggled in.
        answer = self.edge.refuse(REFUSALS[status])
        answer.force_close()
        return answer


class Surplus(asyncio.Protocol):
    """A connection for which there is no room: told so and closed, without anything of aiohttp's.

    Whose it is nobody knows before it is made. If room is kept for that one, it becomes a usual one.
    """

    def __init__(self, connections: Connections, usual: Callable[[], Protocol]) -> None:
        self._connections = connections
        self._usual = usual

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say it and go."""
        if self._connections.full_for(peer_address(transport)):
            self._connections.refused[FULL] += 1
            turn_away(transport, TURNED_AWAY[FULL])
            return
        usual = self._usual()
        transport.set_protocol(usual)
        usual.connection_made(transport)


def turn_away(transport: asyncio.BaseTransport, error: YojohanError) -> None:
    """Answer an unread request with this, and close."""
    # uvloop's transports are of no class of asyncio's.
    writing = cast("asyncio.WriteTransport", transport)
    request_id = f"{random.getrandbits(128):032x}"
    answer = problems.response(error, "", request_id)
    body = answer.body
    assert isinstance(body, bytes)
    own = {"Content-Length": str(len(body)), "Connection": "close", "X-Request-ID": request_id, "Server": "Yojohan"}
    headers = {**answer.headers, **own}
    lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}", *map(": ".join, headers.items()), "", ""]
    writing.write("\r\n".join(lines).encode("ascii") + body)
    writing.close()


def _nobody() -> None:
    """Nobody waits."""


def when_lost(request: web.Request, told: Callable[[], None]) -> None:
    """Have `told` called as soon as the request's connection is gone. For the connection's last request, a stream that
    looks after slow readers itself."""
    protocol = request.protocol
    assert isinstance(protocol, Protocol)
    protocol.lost = told


class Server(web.Server):
    """Makes a Protocol for each connection, and looks at all of them once a second or so."""

    def __init__(self, made_by_aiohttp: web.Server, edge: Edge, connections: Connections) -> None:
        self.__dict__.update(vars(made_by_aiohttp))
        self.edge = edge
        self.request_handler = edge.front(made_by_aiohttp.request_handler)
        self.bounded = connections
        connections.states = self._states
        self._sweep = self._loop.call_later(connections.bounds.sweep, self._look)

    def __call__(self) -> asyncio.Protocol:  # type: ignore[override]
        """The protocol factory of the listening socket. Where there is no room it needs nothing of aiohttp's."""
        return Surplus(self.bounded, self._usual) if self.bounded.full else self._usual()

    def _usual(self) -> Protocol:
        protocol = Protocol(self, loop=self._loop, **self._kwargs)
        protocol.begin(self.edge, self.bounded)
        return protocol

    async def shutdown(self, timeout: float | None = None) -> None:
        """The end: what is in hand is finished, then all connections close."""
        self._sweep.cancel()
        await super().shutdown(timeout)

    def _look(self) -> None:
        now = monotonic()
        protocols = cast("dict[Protocol, asyncio.Transport]", self._connections)
        # Thousands may be idle: what has nothing on its way costs no call.
        for protocol, transport in protocols.items():
            if transport.get_write_buffer_size() or protocol.suspect:
                protocol.look(now, transport)
        self._sweep = self._loop.call_later(self.bounded.bounds.sweep, self._look)

    def _states(self) -> Counter[str]:
        return Counter(protocol.state for protocol in self._connections if isinstance(protocol, Protocol))
