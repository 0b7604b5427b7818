"""Atom feeds."""

from __future__ import annotations

from functools import partial

from aiohttp import web

from server.bodies import feeds as bodies
from server.http import reading
from server.http.parse import query
from server.keys import DATABASE, SETTINGS
from server.rules.atom import CONTENT_TYPE
from server.rules.cache_tags import LISTS
from server.schemas.feeds import FeedQuery

API = "/api/v1"


async def releases_feed(request: web.Request) -> web.StreamResponse:
    """GET /feeds/releases.atom"""
    wanted = query(request, FeedQuery)
    if wanted.genre is not None:
        return await _of_genre(request, wanted.genre)
    load = partial(bodies.releases, request.app[DATABASE], request.app[SETTINGS].public_url, API)
    return await reading.answer(request, "feeds", "releases", LISTS, load, CONTENT_TYPE)


async def genre_feed(request: web.Request) -> web.StreamResponse:
    """GET /feeds/genres/{slug}.atom"""
    return await _of_genre(request, request.match_info["slug"])


async def _of_genre(request: web.Request, slug: str) -> web.StreamResponse:
    load = partial(bodies.genre, request.app[DATABASE], request.app[SETTINGS].public_url, API, slug)
    return await reading.answer(request, "feeds", ("genre", slug), LISTS, load, CONTENT_TYPE)
