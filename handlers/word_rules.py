"""Word rules: what holds a text for a moderator, or refuses it."""

from __future__ import annotations

from contextlib import suppress

import msgspec
from aiohttp import web

from actors.word_keeper import Reload
from server.bodies import word_rules as bodies
from server.errors import Fault, Unavailable, Unprocessable
from server.http import reading
from server.http.answer import Answer, page_body, raw
from server.http.guard import user_id
from server.http.idempotency import once
from server.http.paging import links_of, offset_of
from server.http.parse import check_depth, path_id, query, read_body, require_json
from server.http.texts import decode_texts
from server.keys import DATABASE, WORD_KEEPER, WORDS
from server.rules.words import LONGEST, SHORTEST, comparable
from server.schemas.queries import PageQuery
from server.schemas.word_rules import LONGEST_NOTE, DryRun, NewWordRule, WordRulePatch
from sql import word_rules
from sql.query import Connection
from sql.word_rules import Draft

NEW = msgspec.json.Decoder(NewWordRule)
PATCH = msgspec.json.Decoder(WordRulePatch)
TRY = msgspec.json.Decoder(DryRun)
PATTERN = {"pattern": (1, LONGEST)}
TEXTS = PATTERN | {"note": (1, LONGEST_NOTE)}
# Seconds until a rule is in force here; if the database is that slow, soon after.
PATIENCE = 2.0


async def list_word_rules(request: web.Request) -> web.StreamResponse:
    """GET /admin/moderation/rules"""
    wanted = query(request, PageQuery)
    check_depth(wanted.limit, wanted.page)
    async with request.app[DATABASE].connection() as conn:
        count, rows = await word_rules.page(conn, wanted.limit, offset_of(wanted))
    following, before = links_of(reading.base(request), wanted, count)
    return raw(page_body(count, following, before, rows))


async def create_word_rule(request: web.Request) -> web.StreamResponse:
    """POST /admin/moderation/rules"""
    require_json(request)
    body = await read_body(request)
    wanted, author = decode_texts(NEW, body, TEXTS), user_id(request)
    draft = Draft(_pattern(wanted.pattern), wanted.kind, wanted.action, wanted.note or "", wanted.enabled)

    async def effect(conn: Connection) -> Answer:
        made, shown = await word_rules.create(conn, draft, author)
        return raw(shown.encode(), status=201, headers={"Location": f"/api/v1/admin/moderation/rules/{made}"})

    answer = await once(request, body, effect)
    await _in_force(request)
    return answer


async def update_word_rule(request: web.Request) -> web.StreamResponse:
    """PATCH /admin/moderation/rules/{id}"""
    require_json(request)
    changes = msgspec.to_builtins(decode_texts(PATCH, await read_body(request), TEXTS))
    if "pattern" in changes:
        changes["pattern"] = _pattern(changes["pattern"])
    if "note" in changes:
        changes["note"] = changes["note"] or ""
    async with request.app[DATABASE].transaction() as conn:
        shown = await word_rules.update(conn, path_id(request), changes)
    await _in_force(request)
    return raw(shown.encode())


async def delete_word_rule(request: web.Request) -> web.StreamResponse:
    """DELETE /admin/moderation/rules/{id}"""
    async with request.app[DATABASE].transaction() as conn:
        await word_rules.delete(conn, path_id(request))
    await _in_force(request)
    return web.Response(status=204)


async def try_word_rule(request: web.Request) -> web.StreamResponse:
    """POST /admin/moderation/rules/dry-run"""
    require_json(request)
    wanted = decode_texts(TRY, await read_body(request), PATTERN)
    trial = request.app[WORDS].trial
    return raw(await bodies.tried(request.app[DATABASE], trial, _pattern(wanted.pattern), wanted.kind))


def _pattern(pattern: str) -> str:
    """As it is compared; Unprocessable if then there is too little of it, or too much."""
    found = comparable(pattern)
    if found is None:
        detail = f"Has to have {SHORTEST} to {LONGEST} characters as it is compared."
        raise Unprocessable("Some values do not fit.", faults=[Fault("/pattern", detail)])
    return found


async def _in_force(request: web.Request) -> None:
    """It holds from this answer on; other instances hear of it."""
    with suppress(Unavailable):
        await request.app[WORD_KEEPER].ask(Reload(), timeout=PATIENCE)
