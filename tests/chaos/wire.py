"""A connection as a cheap client keeps it: bytes out, one answer in, nothing parsed that nobody asks for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

HOST = "127.0.0.1"


class Wire(asyncio.Protocol):
    """A kept-alive connection with at most one request in flight.

    `answered(wire, status, answer)` is told of each whole answer, `lost(wire)` of the connection's end. `note` belongs
    to whoever sends.
    """

    __slots__ = ("_answered", "_buffer", "_lost", "_wanted", "busy", "note", "open", "transport")

    def __init__(self, answered: Callable[[Wire, int, bytes], None], lost: Callable[[Wire], None]) -> None:
        self._answered, self._lost = answered, lost
        self._buffer, self._wanted = b"", -1
        self.busy = False
        self.open = True
        self.note: Any = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's transports do not inherit from asyncio's.

    def send(self, request: bytes) -> None:
        """Send a request whose answer has not begun to come."""
        assert self.transport is not None
        self._buffer, self._wanted, self.busy = b"", -1, True
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        """A part of an answer."""
        buffer = self._buffer = self._buffer + data if self._buffer else data
        if self._wanted < 0 and (end := buffer.find(b"\r\n\r\n")) >= 0:
            head = buffer[:end].lower()
            self._wanted = end + 4 + content_length(head)
            self.open = self.open and b"connection: close" not in head
        if 0 <= self._wanted <= len(buffer):
            self._buffer, self._wanted, self.busy = b"", -1, False
            self._answered(self, int(buffer[9:12]), buffer)

    def close(self) -> None:
        """Hang up."""
        if self.transport is not None:
            self.transport.close()

    def connection_lost(self, _error: Exception | None) -> None:
        """It has ended, from whichever side."""
        self.open = False
        self._lost(self)


def content_length(head: bytes) -> int:
    """The length of the body that follows this head in lower case."""
    if head[9:12] in (b"204", b"304"):
        return 0
    return int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or b"0")


def request(method: str, path: str, port: int, body: bytes | None = None, **headers: str) -> bytes:
    """The bytes of a request; header names are written with underscores."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}:{port}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")
