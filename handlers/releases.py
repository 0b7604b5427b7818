"""Releases: lists, one, the newest, random ones, the related."""

from __future__ import annotations

from functools import partial
from urllib.parse import quote

from aiohttp import web

from server.bodies import releases as bodies
from server.errors import Fault, NotFound, Unprocessable
from server.http import reading
from server.http.answer import Answer, raw
from server.http.parse import check_depth, query
from server.keys import DATABASE, RELEASES
from server.rules import cache_tags
from server.rules.cache_tags import LISTS
from server.schemas.queries import LatestQuery, PageQuery, RandomQuery, ReleasesQuery


async def list_releases(request: web.Request) -> web.StreamResponse:
    """GET /releases"""
    wanted = query(request, ReleasesQuery)
    if "cursor" in request.query and "page" in request.query:
        raise Unprocessable("Give either a page or a cursor.", faults=[Fault("/page", "A cursor stands in its place.")])
    check_depth(wanted.limit, wanted.page)
    load = partial(bodies.page, request.app[DATABASE], wanted, reading.base(request))
    return await reading.answer(request, "releases", repr(wanted), LISTS, load)


async def get_release(request: web.Request) -> web.StreamResponse:
    """GET /releases/{id or slug}"""
    name = request.match_info["id"]
    if name.isascii() and name.isdigit() and len(name) <= 18:
        release_id = int(name)
        load = partial(bodies.one, request.app[RELEASES], release_id)
        return await reading.answer(request, "release", release_id, (cache_tags.release(release_id),), load)
    try:
        by_slug = partial(bodies.one_by_slug, request.app[DATABASE], name)
        return await reading.answer(request, "release", name, cache_tags.named(name), by_slug)
    except NotFound:
        return await _moved(request, name)


async def _moved(request: web.Request, slug: str) -> Answer:
    successor = await bodies.successor(request.app[DATABASE], slug)
    if successor is None:
        raise NotFound("There is no such release.")
    location = reading.base(request).rpartition("/")[0] + "/" + quote(successor)
    return raw(b"", status=301, headers={"Location": location, "Cache-Control": "public, max-age=3600"})


async def list_latest_releases(request: web.Request) -> web.StreamResponse:
    """GET /releases/latest"""
    wanted = query(request, LatestQuery)
    load = partial(bodies.latest, request.app[DATABASE], wanted)
    return await reading.answer(request, "latest", wanted.limit, LISTS, load)


async def draw_random_releases(request: web.Request) -> web.StreamResponse:
    """GET /releases/random"""
    return raw(await bodies.drawn(request.app[DATABASE], query(request, RandomQuery)))


async def list_related_releases(request: web.Request) -> web.StreamResponse:
    """GET /releases/{id}/related"""
    name = request.match_info["id"]
    wanted = query(request, PageQuery)
    check_depth(wanted.limit, wanted.page)
    load = partial(bodies.related, request.app[DATABASE], name, wanted, reading.base(request))
    return await reading.answer(request, "related", (name, wanted.limit, wanted.page, wanted.cursor), LISTS, load)
