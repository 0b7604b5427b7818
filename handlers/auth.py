"""Signing up, in and out; the sessions of an account."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from aiohttp import web

from server.accounts import Device
from server.errors import Fault, InsufficientScope, Unavailable, Unprocessable
from server.http.answer import page_body, plain, raw
from server.http.charging import give_back, take
from server.http.client import prefix
from server.http.guard import ADDRESS, CHARGES, PRINCIPAL, principal, refusal
from server.http.paging import links_of, offset_of
from server.http.parse import check_depth, decode, path_uuid, query, read_body, require_json
from server.http.reading import base
from server.keys import ACCOUNTS, DATABASE, SETTINGS
from server.rules.accounts import email_fault, email_key, is_email, username_fault, username_key
from server.rules.limits import account_key
from server.rules.passwords import weakness
from server.schemas.accounts import Login, Logout, PasswordChange, Refresh, Registration
from server.schemas.queries import PageQuery
from sql import sessions

T = TypeVar("T")

REGISTRATION = msgspec.json.Decoder(Registration)
LOGIN = msgspec.json.Decoder(Login)
REFRESH = msgspec.json.Decoder(Refresh)
LOGOUT = msgspec.json.Decoder(Logout)
PASSWORD_CHANGE = msgspec.json.Decoder(PasswordChange)


async def register(request: web.Request) -> web.StreamResponse:
    """POST /auth/register"""
    wanted = await _body(request, REGISTRATION)
    _check(wanted)
    await _charge(request, "register-account", account_key(email_key(wanted.email)))
    user_id, body = await request.app[ACCOUNTS].register(wanted.username, wanted.email, wanted.password)
    location = f"{request.app[SETTINGS].public_url}/api/v1/users/{user_id}"
    return raw(body.encode(), status=201, headers={"Location": location})


async def log_in(request: web.Request) -> web.StreamResponse:
    """POST /auth/login"""
    wanted = await _body(request, LOGIN)
    name = email_key(wanted.email) if is_email(wanted.email) else username_key(wanted.email)
    # Charged ahead, so that many attempts at once count as many; only what failed stays charged.
    await _charge(request, "login-account", account_key(name))
    try:
        tokens = await request.app[ACCOUNTS].log_in(wanted.email, wanted.password, _device(request))
    except Unavailable:
        await give_back(request, "login-account", account_key(name))
        raise
    await give_back(request, "login-account", account_key(name))
    return plain(tokens)


async def refresh(request: web.Request) -> web.StreamResponse:
    """POST /auth/refresh"""
    wanted = await _body(request, REFRESH)
    return plain(await request.app[ACCOUNTS].refresh(wanted.refresh_token))


async def log_out(request: web.Request) -> web.StreamResponse:
    """POST /auth/logout"""
    wanted = await _body(request, LOGOUT) if request.body_exists else Logout()
    # A refresh token is enough: the access token may have expired long ago.
    who = principal(request) if wanted.refresh_token is None else request.get(PRINCIPAL)
    if wanted.refresh_token is None and who is not None and who.session_id is None:
        raise InsufficientScope("Only a session can be ended here.", scope="session")
    await request.app[ACCOUNTS].log_out(who.session_id if who is not None else None, wanted.refresh_token)
    return web.Response(status=204, headers={"Cache-Control": "no-store"})


async def get_me(request: web.Request) -> web.StreamResponse:
    """GET /auth/me"""
    return raw((await request.app[ACCOUNTS].me(principal(request))).encode())


async def change_password(request: web.Request) -> web.StreamResponse:
    """POST /auth/password/change"""
    wanted = await _body(request, PASSWORD_CHANGE)
    who = principal(request)
    return plain(await request.app[ACCOUNTS].change_password(who, wanted.current_password, wanted.new_password))


async def list_sessions(request: web.Request) -> web.StreamResponse:
    """GET /auth/sessions"""
    wanted = query(request, PageQuery)
    check_depth(wanted.limit, wanted.page)
    who = principal(request)
    async with request.app[DATABASE].connection() as conn:
        count, found = await sessions.list_sessions(conn, who.user_id, who.session_id, wanted.limit, offset_of(wanted))
    following, before = links_of(base(request), wanted, count)
    return raw(page_body(count, following, before, found))


async def end_session(request: web.Request) -> web.StreamResponse:
    """DELETE /auth/sessions/{id}"""
    await request.app[ACCOUNTS].end_session(principal(request).user_id, path_uuid(request))
    return web.Response(status=204)


async def end_other_sessions(request: web.Request) -> web.StreamResponse:
    """DELETE /auth/sessions"""
    await request.app[ACCOUNTS].end_other_sessions(principal(request))
    return web.Response(status=204)


async def _body(request: web.Request, decoder: msgspec.json.Decoder[T]) -> T:
    require_json(request)
    return decode(decoder, await read_body(request))


def _check(wanted: Registration) -> None:
    found: dict[str, Any] = {
        "/email": email_fault(wanted.email),
        "/username": username_fault(wanted.username),
        "/password": weakness(wanted.password, wanted.username, wanted.email),
    }
    faults = [Fault(pointer, detail) for pointer, detail in found.items() if detail is not None]
    if faults:
        raise Unprocessable("Some values do not fit.", faults=faults)


async def _charge(request: web.Request, name: str, key: int) -> None:
    """Charge an account's policy. What is left of it shows in no header: it would tell what others do there."""
    verdict = await take(request, name, key)
    if not verdict.allowed:
        request.setdefault(CHARGES, []).append(verdict)
        raise refusal(verdict)


def _device(request: web.Request) -> Device:
    return Device.of(request.headers.get("User-Agent", ""), prefix(request[ADDRESS]))
