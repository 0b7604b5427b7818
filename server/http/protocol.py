"""aiohttp's server with our edge in front of the application, and our answer to what is not HTTP.

Both hang on parts of aiohttp that it does not document (`AppRunner._make_server`, the protocol's `handle_error`); the
version is pinned by hash, and tests fail if either stops working.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from server.errors import BadRequest
from server.http.edge import Edge


class Protocol(RequestHandler):
    """One connection. What the parser refuses is answered as a problem document, counted, and the connection closed."""

    __slots__ = ("edge", "lost")
    edge: Edge
    # Told once the connection is gone: whoever waits for something else than the client's next bytes hears it only so.
    lost: Callable[[], None]

    def connection_lost(self, exc: BaseException | None) -> None:
        """The connection is gone."""
        super().connection_lost(exc)
        self.lost()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to a request that could not be parsed; anything else is aiohttp's business."""
        if status != BadRequest.status or request.writer.output_size > 0:
            theirs: web.StreamResponse = super().handle_error(request, status, exc, message)
            return theirs
        # Neither the parser's words nor the request line go back: both may hold what somebody smuggled in.
        answer = self.edge.refuse(BadRequest("This is not a well-formed HTTP request."))
        answer.force_close()
        return answer


def _nobody() -> None:
    """Nobody waits."""


def when_lost(request: web.Request, told: Callable[[], None]) -> None:
    """Have `told` called as soon as the request's connection is gone. For the connection's last request."""
    protocol = request.protocol
    assert isinstance(protocol, Protocol)
    protocol.lost = told


class Server(web.Server):
    """Makes a Protocol for each connection."""

    def __init__(self, made_by_aiohttp: web.Server, edge: Edge) -> None:
        self.__dict__.update(vars(made_by_aiohttp))
        self.edge = edge
        self.request_handler = edge.front(made_by_aiohttp.request_handler)

    def __call__(self) -> RequestHandler:
        """The protocol factory of the listening socket."""
        protocol = Protocol(self, loop=self._loop, **self._kwargs)
        protocol.edge = self.edge
        protocol.lost = _nobody
        return protocol
