"""Answers whose bytes are ready: a hit goes out past aiohttp's response machinery, which costs as much again.

What never changes of a head is made once; the request's id, the date and what limits say are added. Every header is one
that the long way sends, too. Only for what asks in the plainest way: HTTP/1.1, a connection that stays open, GET.
"""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import hdrs, web
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http_writer import HttpVersion11, _serialize_headers
from multidict import CIMultiDict

from server.cache import GZIP_FROM, Entry, ResponseCache
from server.http import quotas
from server.http.answer import accepts_gzip, matches
from server.http.guard import PERSONAL
from server.rules.limits import Charge

OK, NOT_MODIFIED = "HTTP/1.1 200 OK", "HTTP/1.1 304 Not Modified"
PERSONAL_HEADERS = CIMultiDict(
    {"Content-Type": "application/json", "Cache-Control": PERSONAL, "X-Content-Type-Options": "nosniff"}
)


class Ready:
    """An answer for `Protocol` to write as it is: the head but for its end, and the body."""

    __slots__ = ("body", "head", "status")
    # What aiohttp asks of a response that has been sent.
    keep_alive = True

    def __init__(self, status: int, head: bytes, body: bytes) -> None:
        self.status = status
        self.head = head
        self.body = body

    def finish(self, request_id: str, charges: Sequence[Charge] = ()) -> None:
        """The head's end."""
        own = f"X-Request-ID: {request_id}\r\nDate: {rfc822_formatted_time()}\r\n"
        if charges:
            own += "".join(f"{name}: {value}\r\n" for name, value in quotas.headers(charges).items())
        self.head += f"{own}\r\n".encode("ascii")


def fits(request: web.BaseRequest) -> bool:
    """Whether this GET asks for nothing that a ready answer does not do."""
    message = request._message  # noqa: SLF001 - its public face, `keep_alive`, tells half of it
    return not message.should_close and not message.upgrade and message.version == HttpVersion11


def hit(request: web.BaseRequest, cache: ResponseCache, entry: Entry) -> Ready:
    """The entry, as `answer.send` would send it to a visitor."""
    sent = request.headers
    packed = len(entry.body) >= GZIP_FROM and accepts_gzip(sent.get("Accept-Encoding"))
    known = sent.get("If-None-Match")
    same = known is not None and matches(known, entry)
    body = b"" if same else cache.gzipped(entry) if packed else entry.body
    head = entry.heads.get((packed, same))
    if head is None:
        head = entry.heads[packed, same] = _head_of(entry, len(body), packed=packed, same=same)
    return Ready(304 if same else 200, head, body)


def personal(body: bytes) -> Ready:
    """JSON that is somebody's own."""
    return Ready(200, _head(OK, PERSONAL_HEADERS.copy(), len(body)), body)


def _head_of(entry: Entry, size: int, *, packed: bool, same: bool) -> bytes:
    headers = (entry.gzip_headers if packed else entry.headers).copy()
    if not same:
        return _head(OK, headers, size)
    del headers[hdrs.CONTENT_TYPE]
    headers.popall(hdrs.CONTENT_ENCODING, None)
    return _head(NOT_MODIFIED, headers)


def _head(status_line: str, headers: CIMultiDict[str], size: int | None = None) -> bytes:
    headers[hdrs.SERVER] = "Yojohan"
    if size is not None:
        headers[hdrs.CONTENT_LENGTH] = str(size)
    # Without the empty line that ends it.
    return bytes(_serialize_headers(status_line, headers))[:-2]
