"""Moderation: what waits, what is decided, what was decided."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import Meta, Struct

from server.rules.moderation import LONGEST_REASON, MOST_DECISIONS
from server.schemas.answers import Count, Id, Page
from server.schemas.queries import Cursor, Limit

AnyId = Annotated[int, Meta(ge=1, le=2**63 - 1)]
Moment = Annotated[dt.datetime, Meta(tz=True)]
Kinds = Literal["comment", "review"]
States = Literal["visible", "pending", "hidden"]
Holding = Literal["links", "flood", "repeated", "words", "reports"]
HELD_FOR = (
    "Why it waits: `links` by a new account, a `flood`, the same text `repeated`, a rule of `words`, `reports` by"
    " readers."
)
# Its characters are counted as readers count them, afterwards.
Why = Annotated[
    str, Meta(max_length=LONGEST_REASON * 10, description=f"For the author; at most {LONGEST_REASON} characters.")
]


class QueueQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What waits."""

    type: Annotated[Kinds | None, Meta(description="Comments or reviews alone.")] = None
    reason: Annotated[Holding | None, Meta(description="What waits for this reason, perhaps among others.")] = None
    limit: Limit = 20
    cursor: Cursor = None


class DecisionsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which decisions."""

    type: Annotated[Kinds | None, Meta(description="About comments or reviews alone.")] = None
    target_id: Annotated[AnyId | None, Meta(description="About this one; with `type`.")] = None
    author_id: Annotated[AnyId | None, Meta(description="About what this user said.")] = None
    moderator_id: Annotated[AnyId | None, Meta(description="By this moderator.")] = None
    limit: Limit = 20
    cursor: Cursor = None


class Moderate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to become of it."""

    state: States
    reason: Why | None = None


class BulkDecision(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to become of one of several."""

    type: Kinds
    id: AnyId
    state: States
    reason: Why | None = None


class BulkModerate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Several decisions."""

    decisions: Annotated[list[BulkDecision], Meta(min_length=1, max_length=MOST_DECISIONS)]


class Undo(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why all of it is taken back."""

    reason: Why | None = None


class Release(Struct, frozen=True, kw_only=True):
    """What it is about."""

    id: Id
    title: str


class Somebody(Struct, frozen=True, kw_only=True):
    """An account."""

    id: Id
    username: str


class Author(Struct, frozen=True, kw_only=True):
    """Who said it, as far as it helps to decide."""

    id: Id
    username: str
    created_at: Moment
    comments_count: Annotated[int, Meta(ge=0, description="Of their comments, those that can be read.")]
    hidden_count: Annotated[
        int, Meta(ge=0, description="Of their comments and reviews, those that moderators hid; up to 1,000 of each.")
    ]


class OpenReport(Struct, frozen=True, kw_only=True):
    """What a reader said of it."""

    reason: Literal["spam", "abuse", "spoiler", "other"]
    note: str
    reporter: Somebody | None
    created_at: Moment


class Moderated(Struct, frozen=True, kw_only=True):
    """A comment or a review as moderators see it."""

    type: Kinds
    id: Id
    release: Release | None
    parent_id: Annotated[Id | None, Meta(description="The comment that a comment answers.")]
    author: Author | None
    text: str
    rating: Annotated[Annotated[int, Meta(ge=1, le=10)] | None, Meta(description="Of a review.")]
    spoiler: bool
    state: Annotated[
        States, Meta(description="What moderators have said themselves stays `visible` while it waits for a decision.")
    ]
    held_for: Annotated[list[Holding], Meta(description=HELD_FOR)]
    reports: Annotated[list[OpenReport], Meta(max_length=5, description="The newest since the last decision.")]
    reports_count: Count
    created_at: Moment
    edited_at: Moment | None
    queued_at: Annotated[Moment | None, Meta(description="Since when it waits; null where it does not.")]


class ModerationPage(Page[Moderated], frozen=True, kw_only=True):
    """What waits for a decision, the longest first. `count` is exact up to 10,000."""


class Rejected(Struct, frozen=True, kw_only=True):
    """A decision that was not carried out."""

    index: Annotated[int, Meta(ge=0, description="Its place in `decisions`, from 0.")]
    type: Kinds
    id: Id
    code: Annotated[
        Literal["not_found", "own", "repeated"],
        Meta(description="`own`: you said it yourself; `repeated`: a decision further up is about the same thing."),
    ]


class BulkModerated(Struct, frozen=True, kw_only=True):
    """What became of several decisions."""

    changed: Count
    unchanged: Annotated[int, Meta(ge=0, description="Those that found it so already.")]
    rejected: list[Rejected]


class Decision(Struct, frozen=True, kw_only=True):
    """A change of state."""

    id: Id
    type: Kinds
    target_id: Id
    release: Release | None
    author: Annotated[Somebody | None, Meta(description="Null if the account was erased.")]
    moderator: Annotated[Somebody | None, Meta(description="Null where a rule or reports decided, or it was erased.")]
    state_before: Annotated[
        Literal["new", "visible", "pending", "hidden"], Meta(description="`new`: it was held when it was said.")
    ]
    state_after: States
    reason: str
    held_for: Annotated[list[Holding], Meta(description=f"At that moment. {HELD_FOR}")]
    operation_id: Annotated[UUID | None, Meta(description="The undoing it was a part of.")]
    created_at: Moment


class DecisionPage(Page[Decision], frozen=True, kw_only=True):
    """Decisions, the newest first. `count` is exact up to 10,000."""


MODERATED: dict[str, Any] = {
    "type": "comment",
    "id": 90312,
    "release": {"id": 42, "title": "Keepers of the Tide"},
    "parent_id": None,
    "author": {
        "id": 311, "username": "tidewatcher", "created_at": "2026-11-14T18:02:00.000Z", "comments_count": 0,
        "hidden_count": 1,
    },
    "text": "All episodes at tide-streams.example/watch",
    "rating": None,
    "spoiler": False,
    "state": "pending",
    "held_for": ["links"],
    "reports": [],
    "reports_count": 0,
    "created_at": "2026-11-14T18:30:00.000Z",
    "edited_at": None,
    "queued_at": "2026-11-14T18:30:00.000Z",
}  # fmt: skip
MODERATE: dict[str, Any] = {"state": "hidden", "reason": "Links to streams are not welcome here."}
BULK: dict[str, Any] = {
    "decisions": [{"type": "comment", "id": 90312, **MODERATE}, {"type": "review", "id": 77, "state": "visible"}]
}
UNDO: dict[str, Any] = {"reason": "Advertising under every release."}
UNDOING: dict[str, Any] = {
    "id": "3f0c2b9e-54a7-4c53-8f0e-0d8a3c6f9b21",
    "kind": "undo_user",
    "status": "queued",
    "progress": {"done": 0, "total": 0},
    "errors": [],
    "result": None,
}
EXAMPLES: dict[Any, Any] = {
    Moderated: {**MODERATED, "state": "hidden", "held_for": [], "queued_at": None},
    ModerationPage: {
        "count": 12,
        "next": "/api/v1/admin/moderation?limit=1&cursor=WyJtb2RlcmF0aW9uIiwiIiwxODA2MjRd",
        "previous": None,
        "results": [MODERATED],
    },
    BulkModerated: {
        "changed": 1,
        "unchanged": 0,
        "rejected": [{"index": 1, "type": "review", "id": 77, "code": "not_found"}],
    },
    DecisionPage: {
        "count": 1,
        "next": None,
        "previous": None,
        "results": [
            {
                "id": 5120,
                "type": "comment",
                "target_id": 90312,
                "release": {"id": 42, "title": "Keepers of the Tide"},
                "author": {"id": 311, "username": "tidewatcher"},
                "moderator": {"id": 7, "username": "alice"},
                "state_before": "pending",
                "state_after": "hidden",
                "reason": "Links to streams are not welcome here.",
                "held_for": ["links"],
                "operation_id": None,
                "created_at": "2026-11-14T18:41:00.000Z",
            }
        ],
    },
}
