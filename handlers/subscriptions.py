"""What one follows."""

from __future__ import annotations

from dataclasses import asdict

import msgspec
from aiohttp import web

from server.http import reading
from server.http.answer import Answer, links, page_body, plain, raw
from server.http.guard import user_id
from server.http.idempotency import once
from server.http.parse import check_depth, decode, path_id, query, read_body, require_json
from server.keys import DATABASE, TALK
from server.rules import cache_tags
from server.schemas.subscriptions import NewSubscription, SubscriptionsQuery
from sql import subscriptions
from sql.query import Connection

NEW = msgspec.json.Decoder(NewSubscription)


async def create_subscription(request: web.Request) -> web.StreamResponse:
    """POST /subscriptions"""
    require_json(request)
    body = await read_body(request)
    wanted, owner = decode(NEW, body), user_id(request)

    async def effect(conn: Connection) -> Answer:
        made = await subscriptions.create(conn, owner, wanted.subscription_type, wanted.target_id)
        return plain(asdict(made), status=201, headers={"Location": f"/api/v1/subscriptions/{made.id}"})

    answer = await once(request, body, effect, single=True)
    _changed(request, owner)
    return answer


async def list_subscriptions(request: web.Request) -> web.StreamResponse:
    """GET /subscriptions"""
    wanted = query(request, SubscriptionsQuery)
    check_depth(wanted.limit, wanted.page)
    kind, offset = wanted.subscription_type, (wanted.page - 1) * wanted.limit
    async with request.app[DATABASE].connection() as conn:
        count, rows = await subscriptions.page(conn, user_id(request), kind, wanted.limit, offset)
    given = {"subscription_type": kind, "limit": wanted.limit}
    following, before = links(reading.base(request), given, wanted.limit, wanted.page, count)
    return raw(page_body(count, following, before, rows))


async def delete_subscription(request: web.Request) -> web.StreamResponse:
    """DELETE /subscriptions/{id}"""
    subscription_id, owner = path_id(request), user_id(request)
    async with request.app[DATABASE].transaction() as conn:
        await subscriptions.delete(conn, owner, subscription_id)
    _changed(request, owner)
    return web.Response(status=204)


def _changed(request: web.Request, owner: int) -> None:
    """What one follows has a say in what is recommended."""
    request.app[TALK].changed([cache_tags.personal(owner)])
