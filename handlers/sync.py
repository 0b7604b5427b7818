"""Synchronising the devices of one user: what changed, and what was done without a connection."""

from __future__ import annotations

from aiohttp import web

from server.http import reading
from server.http import sync as answers
from server.http.answer import Answer
from server.http.guard import user_id
from server.http.parse import query, read_body, require_json
from server.keys import DATABASE
from server.schemas.sync import SyncQuery
from sql import library, sync


async def list_changes(request: web.Request) -> Answer:
    """GET /profile/sync"""
    wanted = query(request, SyncQuery)
    known = answers.known(request, wanted.since)
    async with request.app[DATABASE].connection() as conn:
        found = await sync.changes(conn, user_id(request), wanted.since, base=wanted.base, known=known)
    return answers.changed(found, wanted.base, reading.base(request))


async def merge_edits(request: web.Request) -> Answer:
    """POST /profile/sync"""
    require_json(request)
    sent = answers.parse(await read_body(request))
    owner = user_id(request)
    async with request.app[DATABASE].transaction() as conn:
        written = await library.write(conn, owner, sent.entries, sent.progress, origin="sync", merge=True)
        found = await sync.changes(conn, owner, sent.since, entries=sent.keys, episodes=sent.episodes)
    return answers.merged(found, written, sent, reading.base(request))
