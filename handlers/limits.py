"""What may be asked how often."""

from __future__ import annotations

from aiohttp import web

from server.http.answer import send
from server.keys import CACHE, LIMITS


async def list_limits(request: web.Request) -> web.StreamResponse:
    """GET /limits"""
    return send(request, request.app[CACHE], request.app[LIMITS], "hit")
