"""One's calendar: a secret address for calendar programs, and what they find there."""

from __future__ import annotations

import secrets
from hashlib import blake2b, sha256

from aiohttp import web

from server.bodies import calendars as bodies
from server.bodies.episodes import zone
from server.errors import Unauthenticated
from server.http.answer import Answer, plain, raw, same
from server.http.guard import user_id
from server.http.parse import query
from server.keys import DATABASE, SETTINGS
from server.rules.calendar import CONTENT_TYPE
from server.schemas.feeds import CalendarQuery
from sql import calendars

API = "/api/v1"
# Programs ask every hour or so; a person who presses "refresh" wants to see what is.
CACHE_CONTROL = "private, max-age=60"


async def create_calendar(request: web.Request) -> web.StreamResponse:
    """POST /profile/calendar"""
    token = secrets.token_urlsafe(32)
    async with request.app[DATABASE].connection() as conn:
        made = await calendars.put(conn, user_id(request), _digest(token))
    if not made:
        raise Unauthenticated("This account is gone.", error="invalid_token")
    url = f"{request.app[SETTINGS].public_url}{API}/feeds/calendar/{token}.ics"
    return plain({"url": url, "token": token}, status=201, headers={"Location": f"{API}/profile/calendar"})


async def get_calendar(request: web.Request) -> web.StreamResponse:
    """GET /profile/calendar"""
    async with request.app[DATABASE].connection() as conn:
        return raw((await calendars.state(conn, user_id(request))).encode())


async def delete_calendar(request: web.Request) -> web.StreamResponse:
    """DELETE /profile/calendar"""
    async with request.app[DATABASE].connection() as conn:
        await calendars.delete(conn, user_id(request))
    return web.Response(status=204)


async def calendar_feed(request: web.Request) -> web.StreamResponse:
    """GET /feeds/calendar/{token}.ics"""
    wanted, app = query(request, CalendarQuery), request.app
    where = zone(wanted.tz) if wanted.tz is not None else None
    token_hash = _digest(request.match_info["token"])
    body = await bodies.of_token(app[DATABASE], token_hash, app[SETTINGS].public_url, API, where)
    etag = f'"{blake2b(body, digest_size=12).hexdigest()}"'
    headers = {"ETag": etag, "Cache-Control": CACHE_CONTROL}
    if same(request.headers.get("If-None-Match"), etag):
        return Answer(status=304, headers=headers)
    headers |= {"Content-Disposition": 'inline; filename="yojohan.ics"', "X-Robots-Tag": "noindex"}
    return raw(body, headers=headers, content_type=CONTENT_TYPE)


def _digest(token: str) -> bytes:
    return sha256(token.encode("utf-8", "replace")).digest()
