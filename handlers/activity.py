"""What happened: one's feed, and what a user did."""

from __future__ import annotations

from aiohttp import web

from server.bodies import activity as bodies
from server.http import reading
from server.http.answer import raw
from server.http.guard import user_id, viewer
from server.http.parse import path_id, query
from server.keys import DATABASE
from server.schemas.activity import ActivityQuery


async def get_feed(request: web.Request) -> web.StreamResponse:
    """GET /feed"""
    wanted = query(request, ActivityQuery)
    return raw(await bodies.feed(request.app[DATABASE], user_id(request), wanted, reading.base(request)))


async def list_user_activity(request: web.Request) -> web.StreamResponse:
    """GET /users/{id}/activity"""
    wanted, (who, sees_all) = query(request, ActivityQuery), viewer(request)
    database, base = request.app[DATABASE], reading.base(request)
    return raw(await bodies.of_user(database, path_id(request), who, wanted, base, sees_all=sees_all))
