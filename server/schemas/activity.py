"""What happened: entries of the feed and of a user's activity."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from server.rules.activity import ActionType, TargetType
from server.schemas.answers import Id, Page
from server.schemas.queries import Cursor, Limit

MOMENT = "2026-11-14T18:30:00.000Z"


class ActivityQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which part of the list, the newest first."""

    limit: Limit = 20
    cursor: Cursor = None


class Actor(Struct, frozen=True, kw_only=True):
    """Who did it."""

    id: Id
    username: str


class Target(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What it was done to, under its present name."""

    type: TargetType
    id: Id
    title: Annotated[str, Meta(description="Neutral words where the target is no longer there.")]
    slug: (
        Annotated[str, Meta(description="Of a release, genre or franchise; of an episode, its release's.")] | UnsetType
    ) = UNSET


class ActivityEntry(Struct, frozen=True, kw_only=True):
    """Something that happened."""

    id: UUID
    actor: Annotated[Actor | None, Meta(description="Null where the catalogue changed.")]
    action_type: ActionType
    target: Target
    description: Annotated[str, Meta(description="What happened, in English.")]
    created_at: dt.datetime


class ActivityPage(Page[ActivityEntry], frozen=True, kw_only=True):
    """A page of what happened, the newest first. Follow `next`: what arrives meanwhile moves nothing."""


RATED: dict[str, Any] = {
    "id": "0b2f1d6e-6a5f-4c8e-9d53-2f8f5a1c7e10",
    "actor": {"id": 7, "username": "alice"},
    "action_type": "rated",
    "target": {"type": "release", "id": 42, "title": "Keepers of the Tide", "slug": "keepers-of-the-tide"},
    "description": "alice rated Keepers of the Tide 8 out of 10",
    "created_at": MOMENT,
}
AIRED: dict[str, Any] = {
    "id": "5d0a7c52-31b6-4e0a-8f4f-d3c1f2a96b02",
    "actor": None,
    "action_type": "episode_added",
    "target": {"type": "episode", "id": 511, "title": "Keepers of the Tide, episode 7", "slug": "keepers-of-the-tide"},
    "description": "Keepers of the Tide, episode 7 was added",
    "created_at": MOMENT,
}
EXAMPLES: dict[Any, Any] = {
    ActivityPage: {
        "count": 340,
        "count_is_estimate": True,
        "next": "/api/v1/feed?cursor=WyJmZWVkIiwzNDAsOTEyNF0",
        "previous": None,
        "results": [RATED, AIRED],
    },
}
