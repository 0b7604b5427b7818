"""API tokens: made, listed, deleted; only ever by a session."""

from __future__ import annotations

import base64
import secrets
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import msgspec
from aiohttp import web

from server.errors import Fault, Forbidden, NotFound, Unprocessable
from server.http.answer import page_body, raw
from server.http.guard import principal, user_id
from server.http.paging import links_of, offset_of
from server.http.parse import check_depth, decode, path_uuid, query, read_body, require_json
from server.http.reading import base
from server.identity import API_TOKEN_PREFIX, Principal
from server.keys import DATABASE, IDENTITIES
from server.revoking import mark
from server.schemas.api_tokens import ApiTokenDraft
from server.schemas.queries import PageQuery
from sql import api_tokens, revocations

DRAFT = msgspec.json.Decoder(ApiTokenDraft)
TOKEN_BYTES = 32
LONGEST_LIFE = timedelta(days=3653)
FOR_ADMINISTRATORS = ("analytics", "admin")


async def list_api_tokens(request: web.Request) -> web.StreamResponse:
    """GET /auth/tokens"""
    wanted = query(request, PageQuery)
    check_depth(wanted.limit, wanted.page)
    async with request.app[DATABASE].connection() as conn:
        count, rows = await api_tokens.page(conn, user_id(request), wanted.limit, offset_of(wanted))
    following, before = links_of(base(request), wanted, count)
    return raw(page_body(count, following, before, rows))


async def create_api_token(request: web.Request) -> web.StreamResponse:
    """POST /auth/tokens"""
    require_json(request)
    draft = decode(DRAFT, await read_body(request))
    who = principal(request)
    _check(draft, who)
    token = API_TOKEN_PREFIX + base64.urlsafe_b64encode(secrets.token_bytes(TOKEN_BYTES)).decode().rstrip("=")
    digest = sha256(token.encode()).digest()
    scopes = sorted(set(draft.scopes))
    async with request.app[DATABASE].transaction() as conn:
        made = await api_tokens.create(conn, who.user_id, draft.name.strip(), scopes, draft.expires_at, token, digest)
    return raw(made.body.encode(), status=201, headers={"Location": f"{base(request)}/{made.id}"})


async def get_api_token(request: web.Request) -> web.StreamResponse:
    """GET /auth/tokens/{id}"""
    async with request.app[DATABASE].connection() as conn:
        token = await api_tokens.get(conn, user_id(request), path_uuid(request))
    if token is None:
        raise NotFound("You have no such token.")
    return raw(token.encode())


async def delete_api_token(request: web.Request) -> web.StreamResponse:
    """DELETE /auth/tokens/{id}"""
    token_id = path_uuid(request)
    async with request.app[DATABASE].transaction() as conn:
        if not await api_tokens.delete(conn, user_id(request), token_id):
            raise NotFound("You have no such token.")
        await revocations.revoke_tokens(conn, [token_id])
    mark(request.app[IDENTITIES].revocations, tokens=[token_id])
    return web.Response(status=204)


def _check(draft: ApiTokenDraft, who: Principal) -> None:
    if not draft.name.strip():
        raise Unprocessable("Some values do not fit.", faults=[Fault("/name", "Is blank.")])
    now = datetime.now(UTC)
    if draft.expires_at is not None and not now < draft.expires_at <= now + LONGEST_LIFE:
        fault = Fault("/expires_at", "Lies in the past, or more than ten years ahead.")
        raise Unprocessable("Some values do not fit.", faults=[fault])
    above = [scope for scope in FOR_ADMINISTRATORS if scope in draft.scopes]
    if above and not who.holds("admin"):
        raise Forbidden(f"Only administrators may make tokens with {' or '.join(f'`{scope}`' for scope in above)}.")
