"""202: the work is queued, its address is known, and whoever says `Prefer: wait=N` may wait for its end."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from time import monotonic
from uuid import UUID

from aiohttp import web

from server.errors import NotFound, Overloaded
from server.http.answer import Answer, raw
from server.http.gated import apart
from server.http.guard import user_id
from server.keys import DATABASE, ENDINGS, SETTINGS
from sql import operations
from sql.operations import Operation
from sql.query import Connection

OPERATIONS = "/api/v1/operations"
SHARED_OPERATIONS = "/api/v1/admin/operations"
WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})\"?(?=$|[,;\s])", re.IGNORECASE)
LONGEST_WAIT = 10
# Seconds between two looks, where nothing in this process says that it has ended; what took a second takes a few more.
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.5


def operations_base(request: web.Request, *, shared: bool = False) -> str:
    """The address of the list of operations, absolute if PUBLIC_URL is set."""
    return request.app[SETTINGS].public_url + (SHARED_OPERATIONS if shared else OPERATIONS)


async def accepted(request: web.Request, conn: Connection, operation: Operation, *, shared: bool = False) -> Answer:
    """202 with the operation and its address, inside the transaction that queued it."""
    owner = None if shared else user_id(request)
    found = await operations.get(conn, owner, operation.id, operations_base(request, shared=shared))
    if found is None:
        raise NotFound
    address = f"{SHARED_OPERATIONS if shared else OPERATIONS}/{operation.id}"
    return raw(found.encode(), status=202, headers={"Location": address})


async def waited(request: web.Request, answer: Answer) -> Answer:
    """The same answer, or after as long as `Prefer: wait=N` says (10 s at most) one that shows how it ended.

    After the commit, not inside the transaction; no connection is held while waiting.
    """
    match = WAIT.search(", ".join(request.headers.getall("Prefer", [])))
    address, _, name = answer.headers.get("Location", "").rpartition("/")
    if match is None or answer.status != 202 or address not in (OPERATIONS, SHARED_OPERATIONS):
        return answer
    seconds = min(int(match[1]), LONGEST_WAIT)
    shared = address == SHARED_OPERATIONS
    operation_id, owner = UUID(name), None if shared else user_id(request)
    try:
        async with apart(request, "waits"):
            await _end(request, owner, operation_id, seconds)
    except Overloaded:
        # Too many wait. The work is queued all the same, and a preference may be ignored (RFC 7240, section 2).
        return answer
    async with request.app[DATABASE].connection() as conn:
        found = await operations.get(conn, owner, operation_id, operations_base(request, shared=shared))
    if found is not None:
        answer.body = found.encode()
        answer.headers["Preference-Applied"] = f"wait={seconds}"
    return answer


async def _end(request: web.Request, owner: int | None, operation_id: UUID, seconds: int) -> None:
    deadline, pause = monotonic() + seconds, FIRST_PAUSE
    with request.app[ENDINGS].watch(operation_id) as ended:
        while (left := deadline - monotonic()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(pause, left)):
                    await ended.wait()
            ended.clear()
            pause = min(LONGEST_PAUSE, pause * 1.5)
            async with request.app[DATABASE].connection() as conn:
                if await operations.status(conn, owner, operation_id) not in ("queued", "running"):
                    return
