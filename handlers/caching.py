"""Purging what is cached, here and everywhere."""

from __future__ import annotations

import msgspec
from aiohttp import web

from server.cache import EVERYTHING
from server.http.answer import plain
from server.http.parse import decode, read_body, require_json
from server.keys import CACHE, DATABASE
from server.schemas.caching import Purge
from sql import imports

PURGE = msgspec.json.Decoder(Purge)


async def purge_cache(request: web.Request) -> web.StreamResponse:
    """POST /admin/cache/purge"""
    require_json(request)
    body = await read_body(request)
    tags = decode(PURGE, body or b"{}").tags or [EVERYTHING]
    # Here first, to count: this instance hears what it tells the others.
    dropped = request.app[CACHE].drop(tags)
    async with request.app[DATABASE].transaction() as conn:
        await imports.invalidate(conn, tags)
    return plain({"dropped": dropped})
