"""HTTP at the concurrency gate: waiting for a turn, stepping out of a slot, and the answer to those turned away."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, cast

import orjson
from aiohttp import web
from multidict import CIMultiDict

from server.errors import Overloaded
from server.gate import Gate, Place
from server.http import problems
from server.http.connections import is_loopback
from server.http.guard import ADDRESS
from server.rules.limits import address_key
from server.rules.load import Kind

PLACE = web.RequestKey("place", Place)
# Log lines a second for requests that are turned away; the others are counted.
MOST_LINES = 10
# Seconds, in turn: whoever is turned away together should not come back together.
RETRY_AFTER = (1, 2, 3)


async def queued(gate: Gate, request: web.Request, kind: Kind, *, anonymous: bool) -> Place | None:
    """A place, as soon as there is one for this request; None: it is turned away."""
    waiter = gate.line_up(kind, anonymous=anonymous)
    if waiter is None:
        return None
    # Whoever goes away while waiting gives the place in the queue back at once; nothing else would tell us.
    protocol = cast("Any", request.protocol)
    before, protocol.lost = protocol.lost, lambda: gate.drop(waiter)
    try:
        if request.transport is None:
            gate.drop(waiter)
        return await gate.turn(waiter)
    finally:
        protocol.lost = before


def owner(request: web.BaseRequest) -> int | None:
    """Whose request it is, by address; None where it cannot be seen: behind a proxy here that is not trusted."""
    address = request.get(ADDRESS, "")
    return None if not address or is_loopback(address) else address_key(address)


@asynccontextmanager
async def apart(request: web.BaseRequest, yard: str) -> AsyncIterator[None]:
    """Wait for something other than this server without keeping a slot; Overloaded if too many do."""
    place = request.get(PLACE)
    if place is None:
        yield
        return
    place.owner = owner(request)
    async with place.gate.apart(place, yard):
        yield


class Refusals:
    """Answers to those turned away: made ahead, as nothing may cost less."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        error = Overloaded("The server has more requests than it can serve; try again soon.")
        whole = orjson.dumps(problems.document(error, "\0", "\1"))
        before, _, rest = whole.partition(orjson.dumps("\0"))
        between, _, after = rest.partition(orjson.dumps("\1"))
        self._parts = before, between + b'"', b'"' + after
        fixed = problems.response(error, "", "").headers
        self._headers = [CIMultiDict({**fixed, "Retry-After": str(seconds)}) for seconds in RETRY_AFTER]
        said = {name: value for name, value in fixed.items() if name != "Retry-After"} | {"Server": "Yojohan"}
        lines = ["HTTP/1.1 503 Service Unavailable", *map(": ".join, said.items()), "Retry-After: "]
        self._head = "\r\n".join(lines).encode()
        self._clock = clock
        self._given = 0
        # Lines written in the second that began last, and all that were not written.
        self._second = 0.0
        self._lines = 0
        # Likewise for those that were sent the usual way.
        self._sampled = 0.0
        self._samples = 0
        self.unlogged = 0

    def answer(self, request: web.BaseRequest, request_id: str) -> web.Response:
        """503 with Retry-After. The connection lives on, unless a body is still on its way that nobody will read."""
        self._given += 1
        before, between, after = self._parts
        body = b"".join((before, orjson.dumps(request.rel_url.raw_path), between, request_id.encode(), after))
        answer = web.Response(
            status=Overloaded.status, body=body, headers=self._headers[self._given % len(RETRY_AFTER)].copy()
        )
        if not request.content.is_eof():
            answer.force_close()
        return answer

    def raw(self, target: str, request_id: str) -> bytes:
        """The same as the bytes of a whole answer, without anything of aiohttp's."""
        self._given += 1
        self.unlogged += 1
        before, between, after = self._parts
        body = b"".join((before, orjson.dumps(target.partition("?")[0]), between, request_id.encode(), after))
        return b"%b%d\r\nX-Request-ID: %b\r\nContent-Length: %d\r\n\r\n%b" % (
            self._head, RETRY_AFTER[self._given % len(RETRY_AFTER)], request_id.encode(), len(body), body
        )  # fmt: skip

    def through(self) -> bool:
        """Whether the next one takes the usual way, which writes a line: a few of each second do, however many come."""
        now = self._clock()
        if now - self._sampled >= 1.0:
            self._sampled, self._samples = now, 0
        self._samples += 1
        return self._samples <= MOST_LINES

    def worth_a_line(self) -> bool:
        """Whether this one is written down; a flood of them would be the next trouble."""
        now = self._clock()
        if now - self._second >= 1.0:
            self._second, self._lines = now, 0
        self._lines += 1
        if self._lines <= MOST_LINES:
            return True
        self.unlogged += 1
        return False
