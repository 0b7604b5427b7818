"""Recommendations: what is like a release, what somebody may like, and what is watched right now."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial

from aiohttp import web

from server.bodies import personal, similar
from server.bodies import trending as bodies
from server.cache import GZIP_FROM, Entry, ResponseCache
from server.http import reading
from server.http.answer import Answer, accepts_gzip, cached, raw
from server.http.guard import user_id
from server.http.parse import check_depth, query
from server.http.personal import looker, own
from server.http.route import Handler
from server.identity import Principal
from server.keys import CACHE, DATABASE, POLICIES, RECOMMENDING, TRENDS
from server.rules import cache_tags
from server.rules.cache_tags import LISTS, RELEASES
from server.schemas.queries import PageQuery, TrendingQuery

# Under which the two addresses of one list are cached: their links differ.
OWN, PERSONAL = "recommendations", "recommendations/personal"
FIRST = PageQuery()


async def list_trending(request: web.Request) -> web.StreamResponse:
    """GET /recommendations/trending"""
    wanted = query(request, TrendingQuery)
    check_depth(wanted.limit, wanted.page)
    app = request.app
    load = partial(bodies.page, app[DATABASE], app[TRENDS], wanted, reading.base(request))
    return await cached(
        request, app[CACHE], app[POLICIES]["trending"], bodies.key(wanted), (bodies.TAG, RELEASES), load
    )


async def list_similar(request: web.Request) -> web.StreamResponse:
    """GET /recommendations/similar/{id}"""
    wanted, name = query(request, PageQuery), request.match_info["id"]
    check_depth(wanted.limit, wanted.page)
    (viewer, _), app = looker(request), request.app
    load = partial(similar.page, app[DATABASE], app[RECOMMENDING], name, viewer, wanted, reading.base(request))
    if viewer is not None:
        return own(request, await load())
    key = (name, wanted.limit, wanted.page, wanted.cursor)
    answer = await reading.answer(request, "similar", key, (*LISTS, similar.TAG), load)
    answer.anonymous_only = True
    return answer


async def list_recommendations(request: web.Request) -> web.StreamResponse:
    """GET /recommendations"""
    return await _personal(request, OWN)


async def list_personal(request: web.Request) -> web.StreamResponse:
    """GET /recommendations/personal"""
    return await _personal(request, PERSONAL)


def at_once(cache: ResponseCache) -> dict[Handler, Callable[[Principal], bytes | None]]:
    """What answers the same for the edge, where the first page is in memory."""

    def answer(path: str, who: Principal) -> bytes | None:
        entry = cache.get(_key(path, who.user_id, FIRST))
        return None if entry is None else entry.body

    return {list_recommendations: partial(answer, OWN), list_personal: partial(answer, PERSONAL)}


async def _personal(request: web.Request, path: str) -> Answer:
    wanted, asking, app = query(request, PageQuery), user_id(request), request.app
    check_depth(wanted.limit, wanted.page)
    load = partial(personal.page, app[DATABASE], app[RECOMMENDING], app[TRENDS], asking, wanted, reading.base(request))
    tags = (cache_tags.personal(asking), personal.TAG)
    entry, how = await app[CACHE].fetch(_key(path, asking, wanted), load, app[POLICIES]["personal"], tags)
    answer = _mine(request, app[CACHE], entry)
    answer.cache = how
    return answer


def _key(path: str, asking: int, wanted: PageQuery) -> Hashable:
    return (path, asking, wanted.limit, wanted.page, wanted.cursor)


def _mine(request: web.Request, cache: ResponseCache, entry: Entry) -> Answer:
    if len(entry.body) >= GZIP_FROM and accepts_gzip(request.headers.get("Accept-Encoding")):
        return raw(cache.gzipped(entry), headers={"Content-Encoding": "gzip", "Vary": "Accept-Encoding"})
    return raw(entry.body)
