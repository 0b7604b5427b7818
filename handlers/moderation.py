"""What moderators see and decide."""

from __future__ import annotations

import msgspec
from aiohttp import web

from server.bodies import moderation as bodies
from server.errors import Forbidden, NotFound
from server.http import reading
from server.http.accepted import accepted, waited
from server.http.answer import Answer, plain, raw
from server.http.idempotency import once
from server.http.parse import decode, path_id, query, read_body, require_json
from server.http.personal import moderator
from server.http.texts import decode_texts
from server.keys import DATABASE, TALK
from server.rules import plain_text
from server.rules.moderation import LONGEST_REASON
from server.schemas.moderation import BulkModerate, DecisionsQuery, Moderate, QueueQuery, Undo
from sql import moderation, operations
from sql.moderation import Decision, Kind, Verdict
from sql.query import Connection

MODERATE = msgspec.json.Decoder(Moderate)
BULK = msgspec.json.Decoder(BulkModerate)
UNDO = msgspec.json.Decoder(Undo)
REASON = {"reason": (1, LONGEST_REASON)}
CODES = {"unknown": "not_found", "own": "own", "again": "repeated"}


async def list_waiting(request: web.Request) -> web.StreamResponse:
    """GET /admin/moderation"""
    return raw(await bodies.queue(request.app[DATABASE], query(request, QueueQuery), reading.base(request)))


async def list_decisions(request: web.Request) -> web.StreamResponse:
    """GET /admin/moderation/decisions"""
    return raw(await bodies.decisions(request.app[DATABASE], query(request, DecisionsQuery), reading.base(request)))


async def moderate_comment(request: web.Request) -> web.StreamResponse:
    """POST /admin/comments/{id}/moderate"""
    return await _moderate(request, "comment")


async def moderate_review(request: web.Request) -> web.StreamResponse:
    """POST /admin/reviews/{id}/moderate"""
    return await _moderate(request, "review")


async def moderate_many(request: web.Request) -> web.StreamResponse:
    """POST /admin/moderation/bulk"""
    require_json(request)
    wanted = decode(BULK, await read_body(request)).decisions
    decisions = [Decision(one.type, one.id, one.state, _reason(index, one.reason)) for index, one in enumerate(wanted)]
    verdicts = await _decide(request, decisions)
    rejected = [
        {"index": index, "type": one.kind, "id": one.id, "code": CODES[verdict.outcome]}
        for index, (one, verdict) in enumerate(zip(decisions, verdicts, strict=True))
        if verdict.outcome in CODES
    ]
    outcomes = [verdict.outcome for verdict in verdicts]
    changed, unchanged = outcomes.count("changed"), outcomes.count("unchanged")
    return plain({"changed": changed, "unchanged": unchanged, "rejected": rejected})


async def undo_user(request: web.Request) -> web.StreamResponse:
    """POST /admin/moderation/users/{id}/undo"""
    require_json(request)
    body = await read_body(request)
    wanted, who, culprit = decode_texts(UNDO, body, REASON), moderator(request), path_id(request)

    async def effect(conn: Connection) -> Answer:
        await moderation.check_undoable(conn, who, culprit)
        asked = {"user_id": culprit, "reason": wanted.reason or ""}
        # One after another: two at once would only count each other's.
        operation = await operations.create(conn, who.user_id, "undo_user", asked, entities=[f"undo:{culprit}"])
        return await accepted(request, conn, operation)

    return await waited(request, await once(request, body, effect))


async def _moderate(request: web.Request, kind: Kind) -> web.StreamResponse:
    require_json(request)
    wanted, target = decode_texts(MODERATE, await read_body(request), REASON), path_id(request)
    (verdict,) = await _decide(request, [Decision(kind, target, wanted.state, wanted.reason or "")])
    if verdict.outcome == "unknown":
        raise NotFound(f"There is no such {kind}.")
    if verdict.outcome == "own":
        raise Forbidden(f"This {kind} is your own; another moderator has to decide.")
    async with request.app[DATABASE].connection() as conn:
        return raw(await bodies.thing(conn, kind, target))


async def _decide(request: web.Request, decisions: list[Decision]) -> list[Verdict]:
    """Carried out; what is cached of them is dropped before anybody is answered."""
    async with request.app[DATABASE].single() as conn:
        verdicts = await moderation.moderate(conn, moderator(request), decisions)
    request.app[TALK].changed({tag for verdict in verdicts for tag in verdict.tags})
    return verdicts


def _reason(index: int, reason: str | None) -> str:
    """Of a decision among several."""
    return "" if reason is None else plain_text.plain(reason, f"/decisions/{index}/reason", 1, LONGEST_REASON)
