"""Episodes: of a release, one by itself, the week's schedule."""

from __future__ import annotations

from functools import partial

from aiohttp import web

from server.bodies import episodes as bodies
from server.http import reading
from server.http.parse import check_depth, path_id, query
from server.keys import DATABASE
from server.rules import cache_tags
from server.rules.cache_tags import LISTS
from server.schemas.queries import PageQuery, ScheduleQuery


async def list_episodes(request: web.Request) -> web.StreamResponse:
    """GET /releases/{id}/episodes"""
    name = request.match_info["id"]
    wanted = query(request, PageQuery)
    check_depth(wanted.limit, wanted.page)
    load = partial(bodies.of_release, request.app[DATABASE], name, wanted, reading.base(request))
    key = (name, wanted.limit, wanted.page, wanted.cursor)
    return await reading.answer(request, "episodes", key, cache_tags.named(name), load)


async def get_episode(request: web.Request) -> web.StreamResponse:
    """GET /episodes/{id}"""
    episode_id = path_id(request)
    load = partial(bodies.one, request.app[DATABASE], episode_id)
    return await reading.answer(request, "episode", episode_id, (cache_tags.episode(episode_id),), load)


async def get_schedule(request: web.Request) -> web.StreamResponse:
    """GET /schedule"""
    wanted = query(request, ScheduleQuery)
    where = bodies.zone(wanted.tz)
    monday = bodies.monday_of(wanted, where)
    load = partial(bodies.schedule, request.app[DATABASE], monday, where)
    return await reading.answer(request, "schedule", (monday, where.key), LISTS, load)
