"""What the CMS accepts: requests as edits, checked at once, queued in the transaction that answers 202."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import msgspec
from aiohttp import web

from server.cms import engine
from server.cms.edits import TYPES, Action, Edit, Faulty, Noun, Origin, to_json
from server.errors import Conflict, Fault, NotFound, Unprocessable, YojohanError
from server.http.accepted import accepted, waited
from server.http.answer import Answer
from server.http.faults import all_faults
from server.http.guard import user_id
from server.http.idempotency import once
from server.http.parse import decode, loosely, path_id, read_body, require_json
from server.http.problems import MOST_FAULTS
from server.schemas.cms_answers import Batch, BatchOperation
from sql import operations
from sql.query import Connection

NOUNS: dict[str, Noun] = {
    "releases": "release", "episodes": "episode", "genres": "genre", "tags": "tag", "franchises": "franchise",
}  # fmt: skip
ACTIONS: dict[str, Action] = {"POST": "create", "PUT": "replace", "PATCH": "update", "DELETE": "delete"}
ADDRESS = re.compile(rf"(?:/api/v1)?/admin/(?P<noun>{'|'.join(NOUNS)})(?:/(?P<id>\d{{1,18}})(?P<restore>/restore)?)?/?")
# Edits of a batch that are checked between two turns of the loop.
CHECKED_AT_ONCE = 20


def noun_of(request: web.Request) -> Noun:
    """Which noun the path is about."""
    match = ADDRESS.match(request.path)
    assert match is not None
    return NOUNS[match["noun"]]


async def read_edit(request: web.Request) -> tuple[bytes, Edit]:
    """The edit that this request asks for, and its body as it came. Unprocessable with all faults of the body."""
    noun = noun_of(request)
    restore = request.path.rstrip("/").endswith("/restore")
    action: Action = "restore" if restore else ACTIONS[request.method]
    thing = None if action == "create" else path_id(request)
    if action in ("delete", "restore"):
        return b"", Edit(noun, action, thing, None, if_match(request))
    require_json(request)
    body = await read_body(request)
    decode(decoder(noun, action), body)
    return body, Edit(noun, action, thing, loosely(body), if_match(request))


@cache
def decoder(noun: Noun, action: Action) -> msgspec.json.Decoder[Any]:
    """What reads the body of such an edit."""
    return msgspec.json.Decoder(TYPES[noun, action])


def if_match(request: web.Request) -> str | None:
    """If-Match, None without the header. One that says nothing names no state, so that none fits."""
    named = request.headers.getall("If-Match", None)
    return None if named is None else ", ".join(named).strip()


async def read_batch(body: bytes) -> tuple[list[Edit], bool]:
    """The edits of a batch, and whether they are all or nothing. Unprocessable with all faults."""
    batch = decode(msgspec.json.Decoder(Batch), body)
    edits: list[Edit] = []
    faults: list[Fault] = []
    for index, operation in enumerate(batch.operations):
        found = edit_of(operation, f"/operations/{index}")
        if isinstance(found, Edit):
            edits.append(found)
        else:
            faults += found
        if index % CHECKED_AT_ONCE == 0:
            await asyncio.sleep(0)
    if faults:
        raise Unprocessable("Some edits do not fit.", faults=faults[:MOST_FAULTS])
    return edits, batch.atomic


def edit_of(operation: BatchOperation, pointer: str) -> Edit | list[Fault]:
    """One edit of a batch, or what is wrong with it."""
    match = ADDRESS.fullmatch(operation.path)
    # POST goes to a list or to /restore, everything else to one thing.
    if match is None or (operation.method == "POST") == bool(match["id"] and not match["restore"]):
        return [Fault(f"{pointer}/path", "Names nothing that takes this method here.")]
    noun, thing = NOUNS[match["noun"]], int(match["id"]) if match["id"] else None
    etag = None if operation.if_match is msgspec.UNSET else operation.if_match
    action: Action = "restore" if match["restore"] else ACTIONS[operation.method]
    if action in ("delete", "restore"):
        surplus = [] if not operation.body else [Fault(f"{pointer}/body", "Is not taken here.")]
        return surplus or Edit(noun, action, thing, None, etag)
    if operation.body is msgspec.UNSET:
        return [Fault(f"{pointer}/body", "Is required.")]
    try:
        msgspec.convert(operation.body, TYPES[noun, action])
    except (msgspec.ValidationError, RecursionError):
        found = all_faults(operation.body, TYPES[noun, action])
        return [Fault(f"{pointer}/body{fault.pointer}", fault.detail) for fault in found]
    return Edit(noun, action, thing, operation.body, etag)


async def submit(
    request: web.Request,
    body: bytes,
    edits: Sequence[Edit],
    kind: str = "edit",
    *,
    atomic: bool = True,
    author_origin: Origin = "cms",
    undoes: int | None = None,
) -> Answer:
    """202 with the operation that will make these edits, or its end if the client prefers to wait.

    What stands in their way already is refused at once, and looked at again when they are made. Of edits that need not
    be made together (not `atomic`) each has its own fate, told by the operation.
    """

    async def effect(conn: Connection) -> Answer:
        numbered = await engine.reserve(conn, edits)
        if atomic and (faulty := await engine.check(conn, numbered)):
            raise faulty[0].error if kind == "edit" else refusal(faulty)
        asked = {"edits": to_json(numbered), "atomic": atomic, "origin": author_origin, "undoes": undoes}
        operation = await operations.create(
            conn, user_id(request), kind, asked, entities=entities(numbered), shared=True
        )
        return await accepted(request, conn, operation, shared=True)

    return await waited(request, await once(request, body, effect))


def entities(edits: Iterable[Edit]) -> set[str]:
    """What these edits are about: whatever else is about it runs before or after. An episode names its release, too."""
    named = {edit.entity for edit in edits}
    releases = {edit.body.get("release_id") for edit in edits if edit.noun == "episode" and edit.body}
    return named | {f"release:{release_id}" for release_id in releases if release_id is not None}


def refusal(faulty: Sequence[Faulty]) -> YojohanError:
    """One error for all edits of a batch that cannot be made: of their class, Conflict where they differ."""
    faults = [
        Fault(f"/operations/{index}{f'/body{inner.pointer}' if inner.pointer else ''}", inner.detail)
        for index, error in faulty
        for inner in error.faults or (Fault("", error.detail or error.title()),)
    ]
    kinds = {type(error) for _, error in faulty}
    kind = kinds.pop() if len(kinds) == 1 else Conflict
    return kind(f"{len(faulty)} of the edits cannot be made.", faults=faults)


async def document(conn: Connection, noun: Noun, thing: int) -> bytes:
    """A thing as it is written. NotFound if there never was one."""
    found = await engine.documents(conn, noun, [thing])
    if thing not in found:
        raise NotFound
    return found[thing]
