"""What a user follows: releases, genres, franchises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from server.errors import Conflict, NotFound, Unauthenticated
from sql.outbox import Event, publish
from sql.query import Connection, load

QUERIES = load("subscriptions")
SubscriptionType = Literal["release", "genre", "franchise"]
MOST_ACTIVE = 5_000


@dataclass(frozen=True, slots=True)
class Subscription:
    """Something that a user follows."""

    id: int
    subscription_type: SubscriptionType
    target_id: int
    title: str
    created_at: str


async def create(conn: Connection, user_id: int, kind: SubscriptionType, target_id: int) -> Subscription:
    """Follow something, and publish that. NotFound if it is not there, Conflict if it is followed already."""
    title: str | None = await QUERIES.subscription_target.fetchval(conn, kind, target_id)
    if title is None:
        raise NotFound(f"There is no {kind} {target_id}.")
    revision = await _raise_revision(conn, user_id)
    if int(await QUERIES.count_active.fetchval(conn, user_id, MOST_ACTIVE)) >= MOST_ACTIVE:
        raise Conflict(f"At most {MOST_ACTIVE:,} subscriptions; delete one first.")
    row = await QUERIES.create_subscription.fetchrow(conn, user_id, kind, target_id, revision)
    if row is None:
        raise Conflict(f"You have subscribed to this {kind} already.")
    payload = {"subscription_type": kind, "target_id": target_id}
    await publish(conn, [Event("subscription", f"user:{user_id}", payload, user_id)])
    return Subscription(row["id"], kind, target_id, title, row["created_at"])


async def _raise_revision(conn: Connection, user_id: int) -> int:
    revision: int | None = await QUERIES.raise_for_creation.fetchval(conn, user_id)
    if revision is None:
        raise Unauthenticated("This account is gone.", error="invalid_token")
    return revision


async def delete(conn: Connection, user_id: int, subscription_id: int) -> None:
    """Follow it no longer; nothing changes if that is so already. NotFound if it is not the user's."""
    active: bool | None = await QUERIES.find_subscription.fetchval(conn, subscription_id, user_id)
    if active is None:
        raise NotFound
    revision = await QUERIES.raise_for_deletion.fetchval(conn, subscription_id, user_id) if active else None
    if revision is not None:
        await QUERIES.delete_subscription.execute(conn, subscription_id, user_id, revision)


async def page(
    conn: Connection, user_id: int, kind: SubscriptionType | None, limit: int, offset: int
) -> tuple[int, list[str]]:
    """How many the user has, and the JSON of a page of them, the newest first."""
    rows = await QUERIES.list_subscriptions.fetch(conn, user_id, kind, limit, offset)
    count = int(await QUERIES.count_subscriptions.fetchval(conn, user_id, kind))
    return count, [row["subscription"] for row in rows]
