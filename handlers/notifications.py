"""What one was told, how much of it is unread, and what one wants to be told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
from aiohttp import web
from msgspec import UNSET

from server.bodies import notifications as bodies
from server.errors import Fault, NotFound, Unprocessable
from server.http import reading
from server.http.answer import plain, raw
from server.http.guard import user_id
from server.http.parse import decode, path_id, query, read_body, require_json
from server.identity import Principal
from server.keys import DATABASE, UNREAD
from server.rules.profiles import time_zones
from server.schemas.notifications import NotificationPreferencesDraft, NotificationsQuery
from server.unread import UnreadCounts
from sql import notification_preferences as stored
from sql import notifications
from sql.notification_preferences import Mute

DRAFT = msgspec.json.Decoder(NotificationPreferencesDraft)
# Badges are asked for by every page there is.


async def list_notifications(request: web.Request) -> web.StreamResponse:
    """GET /notifications"""
    wanted, owner = query(request, NotificationsQuery), user_id(request)
    unread = await request.app[UNREAD].of(owner)
    return raw(await bodies.page(request.app[DATABASE], owner, wanted, unread, reading.base(request)))


async def count_unread(request: web.Request) -> web.StreamResponse:
    """GET /notifications/unread/count"""
    return raw(_unread(await request.app[UNREAD].of(user_id(request))))


def unread_at_once(counts: UnreadCounts) -> Callable[[Principal], bytes | None]:
    """The same body for the edge, where the count is remembered."""

    def answer(who: Principal) -> bytes | None:
        count = counts.known(who.user_id)
        return None if count is None else _unread(count)

    return answer


def _unread(count: int) -> bytes:
    return b'{"unread_count":%d}' % count


async def read_notification(request: web.Request) -> web.StreamResponse:
    """POST /notifications/{id}/read"""
    owner = user_id(request)
    async with request.app[DATABASE].connection() as conn:
        marked = await notifications.mark_read(conn, owner, path_id(request))
    if marked is None:
        raise NotFound
    request.app[UNREAD].drop(owner, owner)
    return plain({"marked": marked.changed, "unread_count": marked.unread})


async def read_all_notifications(request: web.Request) -> web.StreamResponse:
    """POST /notifications/read-all"""
    owner = user_id(request)
    marked = await bodies.mark_all(request.app[DATABASE], owner)
    request.app[UNREAD].drop(owner, owner)
    return plain({"marked": marked.changed, "unread_count": marked.unread})


async def delete_notification(request: web.Request) -> web.StreamResponse:
    """DELETE /notifications/{id}"""
    owner = user_id(request)
    async with request.app[DATABASE].connection() as conn:
        deleted = await notifications.delete(conn, owner, path_id(request))
    if deleted is None:
        raise NotFound
    request.app[UNREAD].drop(owner, owner)
    return web.Response(status=204)


async def get_notification_preferences(request: web.Request) -> web.StreamResponse:
    """GET /notifications/preferences"""
    return raw(await bodies.preferences(request.app[DATABASE], user_id(request)))


async def put_notification_preferences(request: web.Request) -> web.StreamResponse:
    """PUT /notifications/preferences"""
    require_json(request)
    draft = decode(DRAFT, await read_body(request))
    await _check(draft)
    async with request.app[DATABASE].transaction() as conn:
        await stored.put(conn, user_id(request), *bodies.chosen(draft))
    return raw(await bodies.preferences(request.app[DATABASE], user_id(request)))


async def _check(draft: NotificationPreferencesDraft) -> None:
    faults = []
    if draft.quiet_hours is not None and draft.quiet_hours.start == draft.quiet_hours.end:
        faults.append(Fault("/quiet_hours/end", "Is the same as `start`; switch the mails off instead."))
    # The names are read from files, once.
    if draft.time_zone is not UNSET and draft.time_zone not in await asyncio.to_thread(time_zones):
        faults.append(Fault("/time_zone", "Is not a time zone of IANA, such as Europe/Berlin."))
    if faults:
        raise Unprocessable("Some values do not fit.", faults=faults)


async def mute_target(request: web.Request) -> web.StreamResponse:
    """PUT /notifications/mutes/{target_type}/{target_id}"""
    async with request.app[DATABASE].transaction() as conn:
        await stored.mute(conn, user_id(request), _target(request))
    return web.Response(status=204)


async def unmute_target(request: web.Request) -> web.StreamResponse:
    """DELETE /notifications/mutes/{target_type}/{target_id}"""
    async with request.app[DATABASE].connection() as conn:
        await stored.unmute(conn, user_id(request), _target(request))
    return web.Response(status=204)


def _target(request: web.Request) -> Mute:
    return Mute(request.match_info["target_type"], path_id(request, "target_id"))
