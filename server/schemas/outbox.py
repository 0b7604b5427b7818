"""What administrators see of the outbox."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

from msgspec import Meta, Struct

from server.schemas.answers import Id, Page
from server.schemas.queries import Cursor, Limit


class DeadQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of dead events."""

    limit: Limit = 20
    cursor: Cursor = None


class DeadEvent(Struct, frozen=True, kw_only=True):
    """An event that a consumer could not handle at any attempt."""

    id: Id
    consumer: Annotated[str, Meta(description="Who could not handle it.")]
    topic: Annotated[str, Meta(description="What kind of event it is.")]
    entity: Annotated[str, Meta(description="What it is about.")]
    attempts: Annotated[int, Meta(ge=1, description="How often it was tried.")]
    error: Annotated[str, Meta(description="The class of the last error, and what it said where that is safe to show.")]
    payload: Annotated[dict[str, Any], Meta(description="What the event says; its form depends on the topic.")]
    created_at: Annotated[dt.datetime, Meta(tz=True)]
    dead_at: Annotated[dt.datetime, Meta(tz=True, description="When it was given up. Kept for 30 days from then.")]


class DeadPage(Page[DeadEvent], frozen=True, kw_only=True):
    """Dead events, the latest first."""


class Replayed(Struct, frozen=True, kw_only=True):
    """The event is tried again, as if for the first time."""

    id: Id


EXAMPLES: dict[Any, Any] = {
    DeadPage: {
        "count": 1,
        "next": None,
        "previous": None,
        "results": [
            {
                "id": 88,
                "consumer": "mailer",
                "topic": "mail",
                "entity": "user:311",
                "attempts": 12,
                "error": "TimeoutError",
                "payload": {"kind": "verify"},
                "created_at": "2026-11-14T18:30:00.000Z",
                "dead_at": "2026-11-14T18:51:07.412Z",
            }
        ],
    },
    Replayed: {"id": 88},
}
