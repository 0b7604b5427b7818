"""Idempotency-Key: a POST sent again has no second effect and gets its first answer.

The answer is stored in the effect's own transaction: either both are there or neither is, wherever a connection breaks.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from hashlib import sha256
from typing import Any

import orjson
from aiohttp import web

from server.errors import Conflict, Fault, NotFound, Unprocessable, YojohanError
from server.http import problems
from server.http.answer import Answer, raw
from server.http.guard import user_id
from server.keys import DATABASE
from sql import idempotency as sql
from sql.idempotency import Call, Kept
from sql.query import Connection, translated

Effect = Callable[[Connection], Awaitable[Answer]]

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
LONGEST_KEY = 255
LONGEST_PATH = 500
LARGEST_ANSWER = 65_536
KEPT_HEADERS = ("Content-Type", "Location")
# What says nothing about the request itself: the next try may end otherwise.
NEVER_KEPT = (401, 429)


async def once(request: web.Request, body: bytes, effect: Effect, *, single: bool = False) -> Answer:
    """Run the effect in a transaction and answer with what it returns; with an Idempotency-Key, at most once.

    `body` is the request's body as it came. The effect runs after everything that can be checked without the database,
    and must not keep anything outside of the transaction. A `single` effect is one statement: where no key has to be
    kept with it, it needs no transaction around it.
    """
    call = _call(request)
    if call is None:
        database = request.app[DATABASE]
        async with database.single() if single else database.transaction() as conn:
            return await effect(conn)
    body_hash = sha256(body).digest()
    async with request.app[DATABASE].transaction() as conn:
        if not await sql.lock(conn, call):
            raise Conflict(f"A request with this {HEADER} is still in flight; try again when it has been answered.")
        kept = await sql.find(conn, call)
        if kept is not None:
            return _replay(kept, body_hash)
        outcome = await _tried(conn, effect)
        await sql.store(conn, call, _keep(request, outcome, body_hash))
    if isinstance(outcome, YojohanError):
        raise outcome
    return outcome


def keyed(request: web.Request) -> bool:
    """Whether the request asks to have no second effect."""
    return HEADER in request.headers


def _call(request: web.Request) -> Call | None:
    """What the key of this request stands for, None if it has none; Unprocessable if it is not one."""
    keys = request.headers.getall(HEADER, [])
    if not keys:
        return None
    key = keys[0].strip()
    if len(keys) > 1 or not 1 <= len(key) <= LONGEST_KEY or not all(" " <= letter <= "~" for letter in key):
        fault = Fault(f"/{HEADER}", f"One header of 1 to {LONGEST_KEY} printable ASCII characters.")
        raise Unprocessable(f"The {HEADER} does not fit.", faults=[fault])
    path = request.path.rstrip("/")
    if len(path) > LONGEST_PATH:
        raise NotFound
    return Call(user_id(request), key, request.method, path)


async def _tried(conn: Connection, effect: Effect) -> Answer | YojohanError:
    """What the effect answered, or how it refused: then nothing of it is left. What may end otherwise is raised."""
    savepoint = conn.transaction()
    with translated():
        await savepoint.start()
    try:
        answer = await effect(conn)
    except YojohanError as error:
        if error.status >= 500 or error.status in NEVER_KEPT:
            raise
        with translated():
            await savepoint.rollback()
        return error
    with translated():
        await savepoint.commit()
    return answer


def _keep(request: web.Request, outcome: Answer | YojohanError, body_hash: bytes) -> Kept:
    if isinstance(outcome, YojohanError):
        document = orjson.dumps(problems.document(outcome, request.path, ""))
        return Kept(body_hash, outcome.status, dict(outcome.headers), document)
    body = outcome.body
    if not isinstance(body, bytes) or len(body) > LARGEST_ANSWER:
        # Creations answer with the one thing they made: this handler should not have come here.
        raise TypeError("an answer to a creation has to be bytes, and few")
    headers = {name: outcome.headers[name] for name in KEPT_HEADERS if name in outcome.headers}
    return Kept(body_hash, outcome.status, headers, body)


def _replay(kept: Kept, body_hash: bytes) -> Answer:
    if kept.body_hash != body_hash:
        raise Unprocessable(
            f"This {HEADER} was sent with another body before.",
            faults=[Fault(f"/{HEADER}", "Take a new key for a new request.")],
        )
    if kept.status >= 400:
        raise _error(kept)
    return raw(kept.body, status=kept.status, headers=kept.headers | {REPLAYED: "true"})


def _error(kept: Kept) -> YojohanError:
    """The error of a problem document; the edge makes the document anew, with the id of the present request."""
    document: dict[str, Any] = orjson.loads(kept.body)
    kind = next((kind for kind in _kinds(YojohanError) if kind.code == document["code"]), YojohanError)
    error = kind.__new__(kind)
    faults = [Fault(fault["pointer"], fault["detail"]) for fault in document.get("errors", ())]
    # Not the kind's own constructor, which may ask for something else.
    YojohanError.__init__(error, document["detail"], headers=kept.headers | {REPLAYED: "true"}, faults=faults)
    return error


def _kinds(kind: type[YojohanError]) -> Iterator[type[YojohanError]]:
    yield kind
    for inner in kind.__subclasses__():
        yield from _kinds(inner)
