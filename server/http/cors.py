"""Cross-origin requests: which pages of other origins may call the API (CORS_ORIGINS), and what browsers are told."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import hdrs, web
from multidict import CIMultiDict

# Methods a page may use, and what it may send and read.
PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST, PUT, PATCH, DELETE",
    "Access-Control-Allow-Headers": (
        "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, Prefer, X-Request-ID"
    ),
    "Access-Control-Max-Age": "7200",
}
CORS_EXPOSED = (
    "ETag, Idempotency-Replayed, Link, Location, RateLimit, RateLimit-Policy, Retry-After, X-RateLimit-Limit, "
    "X-RateLimit-Remaining, X-RateLimit-Reset, X-Request-ID"
)


class Origins:
    """The origins that may call; false where there are none."""

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = frozenset(origins)

    def __bool__(self) -> bool:
        return bool(self._origins)

    def preflight(self, request: web.Request) -> web.Response | None:
        """The answer to a browser that asks whether a page may send what it wants to; None to anything else."""
        asks = request.method == hdrs.METH_OPTIONS and "Access-Control-Request-Method" in request.headers
        return web.Response(status=204, headers=PREFLIGHT) if asks and self._origins else None

    def allow(self, request: web.BaseRequest, headers: CIMultiDict[str]) -> None:
        """Let the page read the answer with these headers, if it is of one of the origins."""
        origin = request.headers.get("Origin")
        headers["Vary"] = f"{headers['Vary']}, Origin" if "Vary" in headers else "Origin"
        if origin is not None and (origin in self._origins or "*" in self._origins):
            headers["Access-Control-Allow-Origin"] = "*" if "*" in self._origins else origin
            headers["Access-Control-Expose-Headers"] = CORS_EXPOSED
