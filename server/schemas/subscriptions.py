"""Subscriptions: what is sent, what is answered."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from server.schemas.answers import Id, Page
from server.schemas.queries import Limit, PageNumber

SubscriptionType = Literal["release", "genre", "franchise"]


class NewSubscription(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something to follow."""

    subscription_type: SubscriptionType
    target_id: Annotated[int, Meta(ge=1, le=2**63 - 1, description="The id of the release, genre or franchise.")]


class SubscriptionsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of one's own subscriptions."""

    subscription_type: Annotated[SubscriptionType | None, Meta(description="Only these.")] = None
    limit: Limit = 20
    page: PageNumber = 1


class Subscription(Struct, frozen=True, kw_only=True):
    """Something you follow."""

    id: Id
    subscription_type: SubscriptionType
    target_id: Id
    title: Annotated[str | None, Meta(description="Of the release, genre or franchise; null while it is not shown.")]
    created_at: Annotated[dt.datetime, Meta(tz=True)]


class SubscriptionPage(Page[Subscription], frozen=True, kw_only=True):
    """What you follow, the newest first."""


NEW: dict[str, Any] = {"subscription_type": "release", "target_id": 42}
SUBSCRIPTION: dict[str, Any] = {
    "id": 1201,
    "subscription_type": "release",
    "target_id": 42,
    "title": "Keepers of the Tide",
    "created_at": "2026-11-14T18:30:00.000Z",
}
SUBSCRIPTION_PAGE: dict[str, Any] = {"count": 1, "next": None, "previous": None, "results": [SUBSCRIPTION]}
