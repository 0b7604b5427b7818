"""Episodes: of a release, one by itself, the week's schedule."""

from __future__ import annotations

from functools import partial

from aiohttp import web

from server.bodies import episodes as bodies
from server.http import reading
from server.http.parse import check_depth, path_id, query
from server.keys import DATABASE
from server.schemas.queries import PageQuery, ScheduleQuery

TAGS = ("releases",)


async def list_episodes(request: web.Request) -> web.StreamResponse:
    """GET /releases/{id}/episodes"""
    name = request.match_info["id"]
    wanted = query(request, PageQuery)
    check_depth(wanted.limit, wanted.page)
    load = partial(bodies.of_release, request.app[DATABASE], name, wanted, reading.base(request))
    return await reading.answer(request, "episodes", (name, wanted.limit, wanted.page, wanted.cursor), TAGS, load)


async def get_episode(request: web.Request) -> web.StreamResponse:
    """GET /episodes/{id}"""
    episode_id = path_id(request)
    load = partial(bodies.one, request.app[DATABASE], episode_id)
    return await reading.answer(request, "episode", episode_id, TAGS, load)


async def get_schedule(request: web.Request) -> web.StreamResponse:
    """GET /schedule"""
    wanted = query(request, ScheduleQuery)
    where = bodies.zone(wanted.tz)
    monday = bodies.monday_of(wanted, where)
    load = partial(bodies.schedule, request.app[DATABASE], monday, where)
    return await reading.answer(request, "schedule", (monday, where.key), TAGS, load)
