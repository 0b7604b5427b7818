"""Everything that is mine: taken away as an archive, or erased."""

from __future__ import annotations

from aiohttp import web

from server import erasing, revoking
from server.http.accepted import accepted, waited
from server.http.answer import Answer
from server.http.guard import user_id
from server.http.idempotency import once
from server.keys import DATABASE, IDENTITIES, TALK
from sql import erasure, operations
from sql.query import Connection


async def export_profile(request: web.Request) -> web.StreamResponse:
    """POST /profile/export"""
    owner = user_id(request)

    async def effect(conn: Connection) -> Answer:
        return await accepted(request, conn, await operations.create(conn, owner, "export", {}))

    return await waited(request, await once(request, b"", effect))


async def erase_profile(request: web.Request) -> web.StreamResponse:
    """DELETE /profile"""
    owner = user_id(request)
    await erasing.erase(request.app[DATABASE], owner, request.app[TALK].changed)
    revoking.mark(request.app[IDENTITIES].revocations, versions={owner: erasure.NO_VERSION})
    return web.Response(status=204)
