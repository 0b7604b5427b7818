"""What happened: written down by one consumer of the outbox, read by those who follow it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from server.rules.activity import COLLAPSE, Act
from sql.query import Connection, load

QUERIES = load("activity")


@dataclass(frozen=True, slots=True)
class Shown:
    """An entry with what its actor and target are called now; `title` is None where the target is gone or hidden."""

    seq: int
    id: str
    actor_id: int | None
    actor: str | None
    action_type: str
    target_type: str
    target_id: int
    details: Any
    title: str | None
    slug: str | None
    ordinal: str | None
    created_at: datetime


async def record(conn: Connection, acts: Sequence[Act]) -> None:
    """Write these down, in their order; what repeats one of a moment ago only brings that up to date."""
    await QUERIES.record.execute(
        conn,
        [act.actor_id for act in acts],
        [act.action_type for act in acts],
        [act.target_type for act in acts],
        [act.target_id for act in acts],
        [dict(act.details) for act in acts],
        [act.created_at for act in acts],
        COLLAPSE,
    )


async def feed(conn: Connection, user_id: int, before: int, limit: int) -> list[int]:
    """The entries before this one of what a user did and of what happened to what they follow, the newest first."""
    return [row["seq"] for row in await QUERIES.feed.fetch(conn, user_id, before, limit)]


async def of_user(conn: Connection, user_id: int, before: int, limit: int) -> list[int]:
    """The entries before this one of what a user did, the newest first."""
    return [row["seq"] for row in await QUERIES.of_user.fetch(conn, user_id, before, limit)]


async def count_of_user(conn: Connection, user_id: int, most: int) -> int:
    """How many entries there are of a user, counted no further than `most`."""
    return int(await QUERIES.count_of_user.fetchval(conn, user_id, most))


async def extent(conn: Connection) -> tuple[int, int]:
    """The oldest and the newest entry of the whole log; zeros if it is empty."""
    row = await QUERIES.extent.fetchrow(conn)
    assert row is not None
    return row["oldest"], row["newest"]


async def show(conn: Connection, seqs: Sequence[int]) -> list[Shown]:
    """These entries, the newest first."""
    return [Shown(*row) for row in await QUERIES.show.fetch(conn, list(seqs))]


async def visibility(conn: Connection, user_id: int) -> bool | None:
    """Whether everybody may see what this user does; None if there is no such user."""
    found: bool | None = await QUERIES.visibility.fetchval(conn, user_id)
    return found
