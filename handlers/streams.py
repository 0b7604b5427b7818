"""The live stream of one's notifications (server-sent events)."""

from __future__ import annotations

import secrets
from hashlib import sha256
from time import perf_counter
from typing import cast

from aiohttp import hdrs, web

from server.errors import Fault, Unauthenticated, Unprocessable
from server.http.answer import plain
from server.http.guard import principal
from server.http.parse import query
from server.http.protocol import when_lost
from server.identity import Principal, Role
from server.keys import DATABASE, EDGE, IDENTITIES, STREAMS
from server.schemas.streams import StreamQuery
from server.streams import Stream
from sql import streams

# Seconds a ticket is good for.
TICKET_LIFETIME = 30
HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "private, no-store",
    "X-Content-Type-Options": "nosniff",
    # A proxy that collects the answer before it passes it on would pass on nothing.
    "X-Accel-Buffering": "no",
}
FOREVER = float("inf")


async def create_stream_ticket(request: web.Request) -> web.StreamResponse:
    """POST /notifications/stream-ticket"""
    who, ticket = principal(request), secrets.token_urlsafe(32)
    async with request.app[DATABASE].connection() as conn:
        kept = await streams.create_ticket(conn, _digest(ticket), who.user_id, who.session_id, TICKET_LIFETIME)
    if not kept:
        raise Unauthenticated("This account is gone.", error="invalid_token")
    headers = {"Location": f"{request.path.removesuffix('/').removesuffix('-ticket')}?ticket={ticket}"}
    return plain({"ticket": ticket, "expires_in": TICKET_LIFETIME}, status=201, headers=headers)


async def stream_notifications(request: web.Request) -> web.StreamResponse:
    """GET /notifications/stream"""
    started = perf_counter()
    wanted = query(request, StreamQuery)
    response = web.StreamResponse(headers=HEADERS)
    if request.method == hdrs.METH_HEAD:
        # A ticket is for the stream itself: looking at it would use it up.
        principal(request)
        return web.Response(headers=HEADERS)
    after = _after(request, wanted)
    stream = Stream(await _whoever(request, wanted.ticket), after)
    held = request.app[STREAMS]
    held.join(stream)
    when_lost(request, stream.end)
    try:
        with request.app[EDGE].streaming(request, response, started):
            await _run(request, response, stream)
    finally:
        held.leave(stream)
    return response


async def _run(request: web.Request, response: web.StreamResponse, stream: Stream) -> None:
    """From the headers to the end. Once they have gone nothing may be raised: there is no second answer."""
    response.force_close()
    chunked = request.version >= (1, 1)
    if chunked:
        response.enable_chunked_encoding()
    try:
        await response.prepare(request)
        await response.write(b": welcome\n\n")
        if request.transport is not None:
            stream.attach(request.transport, chunked=chunked)
            request.app[STREAMS].look_after([stream.user_id])
            await stream.ended
    except ConnectionError:
        # It has gone already.
        return


async def _whoever(request: web.Request, ticket: str) -> Principal:
    """Whose stream it is: the ticket's, else the access token's."""
    if not ticket:
        return principal(request)
    async with request.app[DATABASE].connection() as conn:
        found = await streams.take_ticket(conn, _digest(ticket))
    if found is None:
        raise Unauthenticated("The ticket has been used, has expired, or never was one.", error="invalid_token")
    # The column's check lets through the roles only.
    role = cast("Role", found.role)
    who = Principal(found.user_id, role, found.credentials_version, FOREVER, session_id=found.session_id)
    if request.app[IDENTITIES].revocations.cover(who):
        raise Unauthenticated("The session has ended.", error="invalid_token")
    return who


def _after(request: web.Request, wanted: StreamQuery) -> int | None:
    """The last notification that has arrived. The header is the browser's own and newer than what the page said."""
    said = request.headers.get("Last-Event-ID", "").strip()
    if not said:
        return wanted.last_event_id
    if not said.isascii() or not said.isdigit() or len(said) > 18:
        raise Unprocessable("The place does not fit.", faults=[Fault("/Last-Event-ID", "Is no id of a notification.")])
    return int(said)


def _digest(ticket: str) -> bytes:
    return sha256(ticket.encode("utf-8", "replace")).digest()
