"""Lists brought along from elsewhere."""

from __future__ import annotations

from aiohttp import web

from server.http import reading
from server.http.accepted import accepted, waited
from server.http.answer import Answer, links, page_body, raw
from server.http.guard import user_id
from server.http.idempotency import once
from server.http.parse import check_depth, query
from server.http.uploads import keep_upload
from server.keys import DATABASE, FILES
from server.schemas.list_imports import ImportQuery, UnmatchedQuery
from sql import list_imports, operations
from sql.query import Connection


async def import_list(request: web.Request) -> web.StreamResponse:
    """POST /profile/import"""
    owner, wanted = user_id(request), query(request, ImportQuery)
    name, digest = await keep_upload(request, request.app[FILES], ".list")
    asked = {"format": wanted.format} if wanted.format else {}

    async def effect(conn: Connection) -> Answer:
        return await accepted(request, conn, await operations.create(conn, owner, "import_list", asked, name))

    return await waited(request, await once(request, digest, effect))


async def list_unmatched(request: web.Request) -> web.StreamResponse:
    """GET /profile/import/unmatched"""
    wanted, owner = query(request, UnmatchedQuery), user_id(request)
    check_depth(wanted.limit, wanted.page)
    async with request.app[DATABASE].connection() as conn:
        count = await list_imports.count_unmatched(conn, owner)
        rows = await list_imports.list_unmatched(conn, owner, wanted.limit, (wanted.page - 1) * wanted.limit)
    following, before = links(reading.base(request), {"limit": wanted.limit}, wanted.limit, wanted.page, count)
    return raw(page_body(count, following, before, rows))
