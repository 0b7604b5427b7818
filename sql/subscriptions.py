"""What a user follows: releases, genres, franchises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from server.errors import Conflict, NotFound, Unauthenticated
from sql.outbox import PUBLISHED
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
    """Follow something, and publish that, in one statement, which needs no transaction around it.

    NotFound if there is no such thing, Conflict if it is followed already or at the bound, Unauthenticated if the
    account is gone; then nothing has changed.
    """
    row = await QUERIES.create_subscription.fetchrow(conn, user_id, kind, target_id, MOST_ACTIVE)
    assert row is not None
    outcome, subscription_id, title, created_at = row
    match outcome:
        case "made":
            PUBLISHED.set(True)
            return Subscription(subscription_id, kind, target_id, title, created_at)
        case "unknown":
            raise NotFound(f"There is no {kind} {target_id}.")
        case "gone":
            raise Unauthenticated("This account is gone.", error="invalid_token")
        case "full":
            raise Conflict(f"At most {MOST_ACTIVE:,} subscriptions; delete one first.")
        case _:
            raise Conflict(f"You have subscribed to this {kind} already.")


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
