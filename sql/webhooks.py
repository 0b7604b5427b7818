"""Webhooks: who is told of changes, and what of them is known to the database: salts, never secrets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Literal

from server.errors import Conflict
from sql.query import Connection, load

QUERIES = load("webhooks")
# How many there may be.
MOST_WEBHOOKS = 20


@dataclass(frozen=True, slots=True)
class Webhook:
    """What administrators choose. No topics stand for all of them."""

    url: str
    description: str
    topics: list[str]
    enabled: bool = True


async def create(conn: Connection, webhook: Webhook, salt: bytes, author_id: int) -> tuple[int, str]:
    """Make a webhook, in the caller's transaction: its id and its JSON. Conflict if there are MOST_WEBHOOKS."""
    await QUERIES.lock_webhooks.execute(conn)
    if await QUERIES.count_webhooks.fetchval(conn) >= MOST_WEBHOOKS:
        raise Conflict(f"There are {MOST_WEBHOOKS} webhooks; delete one first.")
    made = int(
        await QUERIES.create_webhook.fetchval(
            conn, webhook.url, webhook.description, webhook.topics, salt, author_id
        )
    )  # fmt: skip
    await _record(conn, made, "created", author_id)
    shown = await get(conn, made)
    assert shown is not None
    return made, shown


async def page(conn: Connection, limit: int, offset: int) -> tuple[int, list[str]]:
    """How many there are, and some of them as JSON, the newest first."""
    rows = await QUERIES.list_webhooks.fetch(conn, limit, offset)
    return int(await QUERIES.count_webhooks.fetchval(conn)), [row["webhook"] for row in rows]


async def get(conn: Connection, webhook_id: int) -> str | None:
    """A webhook as JSON."""
    found: str | None = await QUERIES.get_webhook.fetchval(conn, webhook_id)
    return found


async def update(conn: Connection, webhook_id: int, changes: Mapping[str, Any], author_id: int) -> str | None:
    """Make it another, in the caller's transaction; its JSON, None if there is none.

    One with a new address, or switched on again, begins as if nothing had been.
    """
    row = await QUERIES.lock_webhook.fetchrow(conn, webhook_id)
    if row is None:
        return None
    before = Webhook(*row)
    after = replace(before, **changes)
    old, new = asdict(before), asdict(after)
    diff = {name: [old[name], new[name]] for name in old if old[name] != new[name]}
    if diff:
        afresh = after.enabled and not {"url", "enabled"}.isdisjoint(diff)
        await QUERIES.change_webhook.execute(
            conn, webhook_id, after.url, after.description, after.topics, after.enabled, afresh
        )
        if afresh:
            await QUERIES.hurry.execute(conn, webhook_id)
        await _record(conn, webhook_id, "updated", author_id, diff)
    return await get(conn, webhook_id)


async def rotate(conn: Connection, webhook_id: int, salt: bytes, author_id: int) -> datetime | None:
    """Give it another salt; until when the one before counts along, None if there is no such webhook."""
    until: datetime | None = await QUERIES.rotate_salt.fetchval(conn, webhook_id, salt)
    if until is not None:
        await _record(conn, webhook_id, "updated", author_id, {"secret": ["hidden", "hidden"]})
    return until


async def delete(conn: Connection, webhook_id: int, author_id: int) -> bool:
    """Delete it; whether there was one. What waited for it is never sent."""
    if not await QUERIES.delete_webhook.execute(conn, webhook_id):
        return False
    await _record(conn, webhook_id, "deleted", author_id)
    return True


async def _record(
    conn: Connection,
    webhook_id: int,
    action: Literal["created", "updated", "deleted"],
    author_id: int,
    diff: Mapping[str, Sequence[Any]] | None = None,
) -> None:
    await QUERIES.record_revision.execute(conn, webhook_id, action, author_id, dict(diff or {}))
