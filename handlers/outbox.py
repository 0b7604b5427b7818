"""What the outbox's consumers gave up."""

from __future__ import annotations

from aiohttp import web

from server.bodies import outbox as bodies
from server.errors import NotFound
from server.http import reading
from server.http.answer import plain, raw
from server.http.parse import path_id, query
from server.keys import BELL, DATABASE
from server.schemas.outbox import DeadQuery
from sql import outbox


async def list_dead_events(request: web.Request) -> web.StreamResponse:
    """GET /admin/outbox/dead"""
    return raw(await bodies.dead(request.app[DATABASE], query(request, DeadQuery), reading.base(request)))


async def replay_dead_event(request: web.Request) -> web.StreamResponse:
    """POST /admin/outbox/dead/{id}/replay"""
    delivery_id = path_id(request)
    async with request.app[DATABASE].connection() as conn:
        if not await outbox.replay(conn, delivery_id):
            raise NotFound("No dead event has this id.")
    request.app[BELL].ring()
    return plain({"id": delivery_id}, status=202)
