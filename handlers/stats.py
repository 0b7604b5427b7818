"""Statistics of users: one's own, and those of others who show theirs."""

from __future__ import annotations

from aiohttp import web

from server.bodies import stats as bodies
from server.http.answer import raw
from server.http.guard import user_id, viewer
from server.http.parse import path_id
from server.keys import DATABASE


async def get_own_stats(request: web.Request) -> web.StreamResponse:
    """GET /profile/stats"""
    return raw(await bodies.own(request.app[DATABASE], user_id(request)))


async def get_user_stats(request: web.Request) -> web.StreamResponse:
    """GET /users/{id}/stats"""
    who, sees_all = viewer(request)
    return raw(await bodies.of_user(request.app[DATABASE], path_id(request), who, sees_all=sees_all))
