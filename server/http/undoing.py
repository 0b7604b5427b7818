"""Undoing a revision: the edit that takes it back, accepted like any other."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import cast

import orjson
from aiohttp import web
from msgspec.structs import fields

from server.cms import engine
from server.cms.edits import TYPES, Edit, Noun
from server.errors import Conflict, NotFound
from server.http.answer import Answer
from server.http.cms import NOUNS, submit
from server.keys import DATABASE
from server.rules.undo import inverse
from sql import audit_log
from sql.query import Connection


async def undo(request: web.Request, revision_id: int) -> Answer:
    """202 with the operation that takes the revision back. NotFound, or Conflict where that cannot be any more."""
    async with request.app[DATABASE].connection() as conn:
        edit = await _edit(conn, revision_id)
    return await submit(request, b"", [edit], author_origin="undo", undoes=revision_id)


async def _edit(conn: Connection, revision_id: int) -> Edit:
    revision = await audit_log.get(conn, revision_id)
    if revision is None:
        raise NotFound("There is no such revision.")
    if revision.noun not in NOUNS.values():
        raise Conflict("Only changes of the catalogue can be undone.")
    if revision.undone_by is not None:
        raise Conflict(f"Revision {revision.undone_by} has undone it already.")
    noun = cast("Noun", revision.noun)
    document = (await engine.documents(conn, noun, [revision.entity_id])).get(revision.entity_id)
    if document is None:
        raise Conflict("What it is about is gone.")
    writable = {field.encode_name for field in fields(TYPES[noun, "update"])}
    action, body = inverse(revision.action, revision.diff, orjson.loads(document), writable, datetime.now(UTC))
    # Whoever changes the thing before the operation runs makes it fail, so that nothing newer is set back.
    return Edit(noun, action, revision.entity_id, body, engine.etag(document))
