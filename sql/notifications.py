"""What people were told: their lists, and how much of them is unread. What there is to tell: by whoever knows of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal

from server.rules.notifications import COLLAPSE, News, Shown
from sql.outbox import PUBLISHED
from sql.query import Connection, load

QUERIES = load("notifications")
# Whether the transaction under way in this task has written down something to be told: whoever hears the bell that its
# commit rings finds it set.
RECORDED: ContextVar[bool] = ContextVar("recorded", default=False)


@dataclass(frozen=True, slots=True)
class Personal:
    """Something to tell one user. Its `type` is not one of those that go to followers."""

    type: Literal["recommendation", "reply", "moderation"]
    recipient_id: int
    target_type: str
    target_id: int
    release_id: int | None
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Marked:
    """What became of a notification, or of several: how many changed, and how many are unread now."""

    changed: int
    unread: int


async def record(conn: Connection, news: Sequence[News]) -> int:
    """Write down what may be told, in the caller's transaction; how many rows that made. The dispatcher delivers them.

    What nobody may see, what nobody waits for, and what repeats something of the last seconds is left out.
    """
    recorded = await QUERIES.record.execute(
        conn,
        [one.type for one in news],
        [one.target_type for one in news],
        [one.target_id for one in news],
        [one.release_id for one in news],
        [one.recipient_id for one in news],
        [dict(one.data) for one in news],
        [one.created_at for one in news],
        COLLAPSE,
    )
    if recorded:
        RECORDED.set(True)
        PUBLISHED.set(True)
    return recorded


async def enqueue_personal(conn: Connection, rows: Sequence[Personal]) -> None:
    """Have these told to their recipients, by the caller's transaction. The dispatcher delivers what budgets allow."""
    await QUERIES.enqueue_personal.execute(
        conn,
        [row.type for row in rows],
        [row.target_type for row in rows],
        [row.target_id for row in rows],
        [row.release_id for row in rows],
        [row.recipient_id for row in rows],
        [dict(row.data) for row in rows],
    )
    RECORDED.set(True)
    PUBLISHED.set(True)


async def since(conn: Connection, user_ids: Sequence[int], after_ids: Sequence[int], most: int) -> list[Shown]:
    """The first `most` notifications of each user behind the id that stands at the same place, in their order."""
    return [Shown(*row) for row in await QUERIES.since.fetch(conn, list(user_ids), list(after_ids), most)]


async def newest(conn: Connection, user_id: int) -> int:
    """The id of the user's newest notification; 0 if there is none. Those that come later have greater ids."""
    return int(await QUERIES.newest.fetchval(conn, user_id))


async def page(conn: Connection, user_id: int, before: int, limit: int, *, unread_only: bool) -> list[Shown]:
    """The user's next notifications before this id, the newest first."""
    query = QUERIES.page_of_unread if unread_only else QUERIES.page_of_all
    return [Shown(*row) for row in await query.fetch(conn, user_id, before, limit)]


async def count(conn: Connection, user_id: int, most: int) -> int:
    """How many there are of the user, counted no further than `most`."""
    return int(await QUERIES.count_notifications.fetchval(conn, user_id, most))


async def unread_counts(conn: Connection, user_ids: Sequence[int]) -> dict[int, int]:
    """How many each of these users has not read; whoever is missing has none."""
    return {row["user_id"]: row["unread"] for row in await QUERIES.unread_counts.fetch(conn, list(user_ids))}


async def mark_read(conn: Connection, user_id: int, notification_id: int) -> Marked | None:
    """Mark it as read; None if the user has no such notification."""
    row = await QUERIES.mark_read.fetchrow(conn, user_id, notification_id)
    return Marked(row["changed"], row["unread"]) if row is not None else None


async def mark_all_read(conn: Connection, user_id: int, upto: int, most: int) -> Marked:
    """Mark up to `most` of the user's unread ones, none of a greater id than `upto`."""
    row = await QUERIES.mark_all_read.fetchrow(conn, user_id, upto, most)
    return Marked(row["changed"], row["unread"]) if row is not None else Marked(0, 0)


async def delete(conn: Connection, user_id: int, notification_id: int) -> Marked | None:
    """Delete it; None if the user has no such notification."""
    row = await QUERIES.delete_notification.fetchrow(conn, user_id, notification_id)
    return Marked(row["changed"], row["unread"]) if row is not None else None
