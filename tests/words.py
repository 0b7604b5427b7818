"""Making edits the way the engine does, and looking at what became of them."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

from server.cms import engine
from server.cms.edits import Action, Author, Edit, Noun, Outcome
from server.errors import YojohanError


def edit(noun: Noun, action: Action, id: int | None = None, **body: Any) -> Edit:  # noqa: A002
    """An edit with this body, without one where nothing is said."""
    return Edit(noun, action, id, body or None)


async def refused(conn: Any, *edits: Edit) -> dict[int, YojohanError]:
    """What the check has against them, by place."""
    return {fault.index: fault.error for fault in await engine.check(conn, await engine.reserve(conn, edits))}


async def made(conn: Any, *edits: Edit) -> Outcome:
    """Let them happen, having passed the check."""
    async with conn.transaction():
        reserved = await engine.reserve(conn, edits)
        assert await engine.check(conn, reserved) == []
        return await engine.apply(conn, reserved, Author(None, uuid4(), "cms"))


async def new(conn: Any, noun: Noun, **body: Any) -> int:
    """The id of a new thing."""
    return (await made(conn, edit(noun, "create", **body))).applied[0].id


async def shown(conn: Any, noun: Noun, id: int) -> dict[str, Any]:  # noqa: A002
    """What editors see of it."""
    return json.loads((await engine.documents(conn, noun, [id]))[id])


async def facts(conn: Any) -> dict[str, list[Any]]:
    """What the outbox has been told of the catalogue since it was asked last."""
    found: dict[str, list[Any]] = {}
    for row in await conn.fetch("delete from outbox where topic = 'catalogue' returning id, payload"):
        for name, values in row["payload"].items():
            found.setdefault(name, []).extend(values)
    return {name: sorted(values) for name, values in found.items()}
