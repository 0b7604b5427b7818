"""Accounts, for administrators: found, changed, signed out."""

from __future__ import annotations

import msgspec
from aiohttp import web
from msgspec import UNSET

from server import revoking
from server.bodies import users as bodies
from server.http import reading
from server.http.answer import plain, raw
from server.http.guard import user_id
from server.http.parse import decode, path_id, query, read_body, require_json
from server.keys import DATABASE, IDENTITIES
from server.rules.profiles import clean_name
from server.schemas.users import AccountPatch, AccountsQuery
from sql import users
from sql.users import UserEdit

PATCH = msgspec.json.Decoder(AccountPatch)


async def list_accounts(request: web.Request) -> web.StreamResponse:
    """GET /admin/users"""
    return raw(await bodies.page(request.app[DATABASE], query(request, AccountsQuery), reading.base(request)))


async def get_account(request: web.Request) -> web.StreamResponse:
    """GET /admin/users/{id}"""
    async with request.app[DATABASE].connection() as conn:
        return raw((await users.get(conn, path_id(request))).encode())


async def update_account(request: web.Request) -> web.StreamResponse:
    """PATCH /admin/users/{id}"""
    require_json(request)
    account_id, patch = path_id(request), decode(PATCH, await read_body(request))
    edit = UserEdit(
        role=patch.role if patch.role is not UNSET else None,
        name=clean_name(patch.name) if patch.name is not UNSET else None,
        is_public=patch.is_public if patch.is_public is not UNSET else None,
    )
    async with request.app[DATABASE].transaction() as conn:
        version = await users.change(conn, user_id(request), account_id, edit)
        account = await users.get(conn, account_id)
    if version is not None:
        revoking.mark(request.app[IDENTITIES].revocations, versions={account_id: version})
    return raw(account.encode())


async def end_account_sessions(request: web.Request) -> web.StreamResponse:
    """POST /admin/users/{id}/sessions/revoke"""
    account_id = path_id(request)
    async with request.app[DATABASE].transaction() as conn:
        ended, version = await users.end_sessions(conn, account_id)
    revoking.mark(request.app[IDENTITIES].revocations, sessions=ended, versions={account_id: version})
    return plain({"ended": len(ended)})
