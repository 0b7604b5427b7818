"""Who changed what, and taking it back."""

from __future__ import annotations

from aiohttp import web

from server.bodies import audit as bodies
from server.http import reading
from server.http.answer import raw
from server.http.parse import path_id, query
from server.http.undoing import undo
from server.keys import DATABASE
from server.schemas.audit import AuditQuery


async def list_revisions(request: web.Request) -> web.StreamResponse:
    """GET /admin/audit"""
    return raw(await bodies.page(request.app[DATABASE], query(request, AuditQuery), reading.base(request)))


async def undo_revision(request: web.Request) -> web.StreamResponse:
    """POST /admin/audit/{id}/undo"""
    return await undo(request, path_id(request))
