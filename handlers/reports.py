"""Reporting what others have said."""

from __future__ import annotations

import msgspec
from aiohttp import web

from server.http.answer import Answer, plain
from server.http.guard import user_id
from server.http.idempotency import once
from server.http.parse import path_id, read_body, require_json
from server.http.texts import decode_texts
from server.keys import TALK
from server.rules.moderation import LONGEST_NOTE
from server.rules.moments import rfc3339
from server.schemas.reports import NewReport
from sql import reports
from sql.moderation import Kind
from sql.query import Connection

NEW = msgspec.json.Decoder(NewReport)


async def report_comment(request: web.Request) -> web.StreamResponse:
    """POST /comments/{id}/reports"""
    return await _report(request, "comment")


async def report_review(request: web.Request) -> web.StreamResponse:
    """POST /reviews/{id}/reports"""
    return await _report(request, "review")


async def _report(request: web.Request, kind: Kind) -> web.StreamResponse:
    require_json(request)
    body = await read_body(request)
    wanted, reporter, target = decode_texts(NEW, body, {"note": (1, LONGEST_NOTE)}), user_id(request), path_id(request)
    stale: list[str] = []

    async def effect(conn: Connection) -> Answer:
        made, tags = await reports.report(conn, kind, target, reporter, wanted.reason, wanted.note or "")
        stale.extend(tags)
        shown = {"type": kind, "target_id": target, "reason": wanted.reason, "created_at": rfc3339(made)}
        return plain(shown, status=201)

    answer = await once(request, body, effect, single=True)
    request.app[TALK].changed(stale)
    return answer
