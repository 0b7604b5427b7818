"""Genres, tags and franchises."""

from __future__ import annotations

from functools import partial

from aiohttp import web

from server.bodies import vocabularies as bodies
from server.http import reading
from server.http.parse import check_depth, path_id, query
from server.keys import DATABASE
from server.rules.cache_tags import LISTS
from server.schemas.queries import PageQuery


async def list_genres(request: web.Request) -> web.StreamResponse:
    """GET /genres"""
    wanted = _page(request)
    load = partial(bodies.words, request.app[DATABASE], "genres", wanted, reading.base(request))
    return await reading.answer(
        request, "vocabulary", ("genres", wanted.limit, wanted.page, wanted.cursor), LISTS, load
    )


async def list_tags(request: web.Request) -> web.StreamResponse:
    """GET /tags"""
    wanted = _page(request)
    load = partial(bodies.words, request.app[DATABASE], "tags", wanted, reading.base(request))
    return await reading.answer(request, "vocabulary", ("tags", wanted.limit, wanted.page, wanted.cursor), LISTS, load)


async def list_franchises(request: web.Request) -> web.StreamResponse:
    """GET /franchises"""
    wanted = _page(request)
    load = partial(bodies.franchises, request.app[DATABASE], wanted, reading.base(request))
    return await reading.answer(request, "franchise", (wanted.limit, wanted.page, wanted.cursor), LISTS, load)


async def get_franchise(request: web.Request) -> web.StreamResponse:
    """GET /franchises/{id}"""
    franchise_id = path_id(request)
    load = partial(bodies.franchise, request.app[DATABASE], franchise_id)
    return await reading.answer(request, "franchise", franchise_id, LISTS, load)


def _page(request: web.Request) -> PageQuery:
    wanted = query(request, PageQuery)
    check_depth(wanted.limit, wanted.page)
    return wanted
