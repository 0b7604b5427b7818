"""Webhooks: who outside is told of changes."""

from __future__ import annotations

import msgspec
from aiohttp import web

from server.bodies import webhooks as bodies
from server.errors import NotFound
from server.http import reading
from server.http.answer import Answer, page_body, plain, raw
from server.http.guard import user_id
from server.http.idempotency import once
from server.http.paging import links_of, offset_of
from server.http.parse import check_depth, decode, path_id, path_uuid, query, read_body, require_json
from server.keys import DATABASE, WEBHOOKS
from server.rules.moments import rfc3339
from server.schemas.queries import PageQuery
from server.schemas.webhooks import DeliveriesQuery, NewWebhook, WebhookChanges
from sql import webhook_deliveries, webhooks
from sql.query import Connection

NEW = msgspec.json.Decoder(NewWebhook)
CHANGES = msgspec.json.Decoder(WebhookChanges)
NONE = "There is no such webhook."


async def list_webhooks(request: web.Request) -> web.StreamResponse:
    """GET /admin/webhooks"""
    wanted = query(request, PageQuery)
    check_depth(wanted.limit, wanted.page)
    async with request.app[DATABASE].connection() as conn:
        count, rows = await webhooks.page(conn, wanted.limit, offset_of(wanted))
    following, before = links_of(reading.base(request), wanted, count)
    return raw(page_body(count, following, before, rows))


async def create_webhook(request: web.Request) -> web.StreamResponse:
    """POST /admin/webhooks"""
    require_json(request)
    body = await read_body(request)
    draft, ours, author = decode(NEW, body), request.app[WEBHOOKS], user_id(request)
    await ours.check(draft.url)
    salt = ours.salt()

    async def effect(conn: Connection) -> Answer:
        wanted = webhooks.Webhook(draft.url, draft.description.strip(), sorted(set(draft.topics)))
        made, shown = await webhooks.create(conn, wanted, salt, author)
        return plain(ours.sealed(shown, salt), status=201, headers={"Location": f"/api/v1/admin/webhooks/{made}"})

    answer = await once(request, body, effect)
    assert isinstance(answer.body, bytes)
    answer.body = ours.opened(answer.body)
    return answer


async def get_webhook(request: web.Request) -> web.StreamResponse:
    """GET /admin/webhooks/{id}"""
    async with request.app[DATABASE].connection() as conn:
        found = await webhooks.get(conn, path_id(request))
    if found is None:
        raise NotFound(NONE)
    return raw(found.encode())


async def update_webhook(request: web.Request) -> web.StreamResponse:
    """PATCH /admin/webhooks/{id}"""
    require_json(request)
    webhook_id, changes = path_id(request), decode(CHANGES, await read_body(request))
    if isinstance(changes.url, str):
        await request.app[WEBHOOKS].check(changes.url)
    async with request.app[DATABASE].transaction() as conn:
        shown = await webhooks.update(conn, webhook_id, msgspec.to_builtins(changes), user_id(request))
    if shown is None:
        raise NotFound(NONE)
    return raw(shown.encode())


async def delete_webhook(request: web.Request) -> web.StreamResponse:
    """DELETE /admin/webhooks/{id}"""
    async with request.app[DATABASE].transaction() as conn:
        if not await webhooks.delete(conn, path_id(request), user_id(request)):
            raise NotFound(NONE)
    return web.Response(status=204)


async def rotate_webhook_secret(request: web.Request) -> web.StreamResponse:
    """POST /admin/webhooks/{id}/rotate"""
    webhook_id, ours = path_id(request), request.app[WEBHOOKS]
    salt = ours.salt()
    async with request.app[DATABASE].transaction() as conn:
        until = await webhooks.rotate(conn, webhook_id, salt, user_id(request))
    if until is None:
        raise NotFound(NONE)
    return plain({"id": webhook_id, "secret": ours.secret(salt), "previous_secret_until": rfc3339(until)})


async def ping_webhook(request: web.Request) -> web.StreamResponse:
    """POST /admin/webhooks/{id}/test"""
    async with request.app[DATABASE].transaction() as conn:
        delivery_id = await webhook_deliveries.ping(conn, path_id(request))
    if delivery_id is None:
        raise NotFound(NONE)
    return plain({"id": str(delivery_id)}, status=202)


async def list_deliveries(request: web.Request) -> web.StreamResponse:
    """GET /admin/webhooks/{id}/deliveries"""
    wanted, webhook_id = query(request, DeliveriesQuery), path_id(request)
    return raw(await bodies.deliveries(request.app[DATABASE], webhook_id, wanted, reading.base(request)))


async def replay_delivery(request: web.Request) -> web.StreamResponse:
    """POST /admin/webhooks/deliveries/{id}/replay"""
    delivery_id = path_uuid(request)
    async with request.app[DATABASE].transaction() as conn:
        if not await webhook_deliveries.replay(conn, delivery_id):
            raise NotFound("There is no such delivery.")
    return plain({"id": str(delivery_id)}, status=202)
