"""What every cached read needs, in one call: the cache, its policy, the database, the address of the list itself."""

from __future__ import annotations

from collections.abc import Hashable

from aiohttp import web

from server.cache import Load
from server.http.answer import JSON, Answer, cached
from server.keys import CACHE, POLICIES, SETTINGS


def base(request: web.Request) -> str:
    """The path of this list without a trailing slash, absolute if PUBLIC_URL is set. The Host header has no say."""
    return request.app[SETTINGS].public_url + (request.path.rstrip("/") or "/")


async def answer(
    request: web.Request,
    policy: str,
    key: Hashable,
    tags: tuple[str, ...],
    load: Load,
    content_type: str = JSON,
    *,
    negotiated: bool = False,
) -> Answer:
    """Answer from the cache under the policy of this name, loading on a miss."""
    app = request.app
    rule = app[POLICIES][policy]
    return await cached(request, app[CACHE], rule, (policy, key), tags, load, content_type, negotiated=negotiated)
