"""Long work, one's own and what administrators share: where it stands, the file it made, and how to stop it."""

from __future__ import annotations

import asyncio

from aiohttp import web

from server.errors import NotFound
from server.http.accepted import operations_base
from server.http.answer import links, page_body, raw
from server.http.downloads import attachment
from server.http.guard import user_id, viewer
from server.http.parse import DEEPEST, check_depth, path_uuid, query
from server.keys import DATABASE, FILES
from server.schemas.cms_answers import AdminOperationsQuery
from server.schemas.operations import OperationsQuery
from sql import operations


def sees_shared(request: web.Request) -> bool:
    """Whether whoever asks may see, of theirs, what administrators share: roles and tokens may be less by now."""
    return viewer(request)[1]


async def list_operations(request: web.Request) -> web.StreamResponse:
    """GET /operations"""
    wanted = query(request, OperationsQuery)
    check_depth(wanted.limit, wanted.page)
    base = operations_base(request)
    async with request.app[DATABASE].connection() as conn:
        offset = (wanted.page - 1) * wanted.limit
        shared = sees_shared(request)
        count, rows = await operations.page(conn, user_id(request), base, wanted.limit, offset, shared=shared)
    following, before = links(base, {"limit": wanted.limit}, wanted.limit, wanted.page, count)
    return raw(page_body(count, following, before, rows))


async def get_operation(request: web.Request) -> web.StreamResponse:
    """GET /operations/{id}"""
    operation_id, owner, shared = path_uuid(request), user_id(request), sees_shared(request)
    async with request.app[DATABASE].connection() as conn:
        found = await operations.get(conn, owner, operation_id, operations_base(request), shared=shared)
    if found is None:
        raise NotFound
    return raw(found.encode())


async def download_operation(request: web.Request) -> web.StreamResponse:
    """GET /operations/{id}/download"""
    operation_id = path_uuid(request)
    async with request.app[DATABASE].connection() as conn:
        found = await operations.download(conn, user_id(request), operation_id, shared=sees_shared(request))
    if found is None:
        raise NotFound("This operation has no file, or no longer has one.")
    path = await asyncio.to_thread(request.app[FILES].existing, found.file)
    return attachment(path, f"yojohan-{found.kind}-{found.created_at:%Y-%m-%d}{path.suffix}")


async def cancel_operation(request: web.Request) -> web.StreamResponse:
    """POST /operations/{id}/cancel"""
    operation_id, owner, shared = path_uuid(request), user_id(request), sees_shared(request)
    async with request.app[DATABASE].transaction() as conn:
        await operations.cancel(conn, owner, operation_id, shared=shared)
        found = await operations.get(conn, owner, operation_id, operations_base(request), shared=shared)
    if found is None:
        raise NotFound
    return raw(found.encode())


async def list_shared_operations(request: web.Request) -> web.StreamResponse:
    """GET /admin/operations"""
    wanted = query(request, AdminOperationsQuery)
    check_depth(wanted.limit, wanted.page)
    base, offset = operations_base(request, shared=True), (wanted.page - 1) * wanted.limit
    filters = {"status": wanted.status, "kind": wanted.kind, "limit": wanted.limit}
    async with request.app[DATABASE].connection() as conn:
        count, rows = await operations.page_of_shared(conn, base, wanted.status, wanted.kind, wanted.limit, offset)
    following, before = links(base, filters, wanted.limit, wanted.page, min(count, DEEPEST))
    return raw(page_body(count, following, before, rows, estimate=count > DEEPEST))


async def get_shared_operation(request: web.Request) -> web.StreamResponse:
    """GET /admin/operations/{id}"""
    async with request.app[DATABASE].connection() as conn:
        found = await operations.get(conn, None, path_uuid(request), operations_base(request, shared=True))
    if found is None:
        raise NotFound
    return raw(found.encode())


async def cancel_shared_operation(request: web.Request) -> web.StreamResponse:
    """POST /admin/operations/{id}/cancel"""
    operation_id = path_uuid(request)
    async with request.app[DATABASE].transaction() as conn:
        await operations.cancel(conn, None, operation_id)
        found = await operations.get(conn, None, operation_id, operations_base(request, shared=True))
    if found is None:
        raise NotFound
    return raw(found.encode())
