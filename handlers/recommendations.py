"""Recommendations: what is watched right now."""

from __future__ import annotations

from functools import partial

from aiohttp import web

from server.bodies import trending as bodies
from server.http import reading
from server.http.answer import cached
from server.http.parse import check_depth, query
from server.keys import CACHE, DATABASE, POLICIES, TRENDS
from server.rules.cache_tags import RELEASES
from server.schemas.queries import TrendingQuery


async def list_trending(request: web.Request) -> web.StreamResponse:
    """GET /recommendations/trending"""
    wanted = query(request, TrendingQuery)
    check_depth(wanted.limit, wanted.page)
    app = request.app
    load = partial(bodies.page, app[DATABASE], app[TRENDS], wanted, reading.base(request))
    return await cached(
        request, app[CACHE], app[POLICIES]["trending"], bodies.key(wanted), (bodies.TAG, RELEASES), load
    )
