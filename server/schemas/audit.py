"""Who changed what."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import Meta, Struct, field
from msgspec.structs import force_setattr

from server.schemas.answers import Id, Page
from server.schemas.queries import Cursor, DayOrMoment, Limit, one_form

Moment = Annotated[dt.datetime, Meta(tz=True)]
Nouns = Literal["release", "episode", "genre", "tag", "franchise", "user", "webhook"]
Actions = Literal["created", "updated", "deleted", "restored", "published"]
Origins = Literal["cms", "import", "undo", "schedule"]
AskedId = Annotated[int, Meta(ge=1, le=2**63 - 1)]


class AuditQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which revisions."""

    noun: Annotated[Nouns | None, Meta(description="What kind of thing was changed.")] = None
    entity_id: Annotated[AskedId | None, Meta(description="Which thing; with `noun`.")] = None
    actor_id: Annotated[AskedId | None, Meta(description="Whose changes.")] = None
    action: Annotated[Actions | None, Meta(description="What was done.")] = None
    origin: Annotated[Origins | None, Meta(description="By which way.")] = None
    operation_id: Annotated[UUID | None, Meta(description="What this operation changed.")] = None
    from_: Annotated[DayOrMoment | None, Meta(description="From this day (UTC) or moment (RFC 3339) on.")] = field(
        name="from", default=None
    )
    to: Annotated[
        DayOrMoment | None, Meta(description="To the end of this day (UTC), or before this moment (RFC 3339).")
    ] = None
    limit: Limit = 20
    cursor: Cursor = None

    def __post_init__(self) -> None:
        """Writes moments in the one form that `datetime.fromisoformat` takes, whatever the address made of them."""
        force_setattr(self, "from_", one_form(self.from_))
        force_setattr(self, "to", one_form(self.to))


class Actor(Struct, frozen=True, kw_only=True):
    """Who did it."""

    id: Id
    username: str


class Revision(Struct, frozen=True, kw_only=True):
    """A change of one thing."""

    id: Id
    noun: Nouns
    entity_id: Id
    title: Annotated[str | None, Meta(description="What the thing is called now; null if it is no more.")]
    action: Actions
    origin: Origins
    actor: Annotated[
        Actor | None, Meta(description="Null where nobody in person did it, or somebody whose account was erased.")
    ]
    operation_id: UUID | None
    diff: Annotated[
        dict[str, Any],
        Meta(description="`{field: [before, after]}`; empty where a thing was made, deleted or restored."),
    ]
    undoes: Annotated[Id | None, Meta(description="The revision that this one took back.")]
    undone_by: Annotated[Id | None, Meta(description="The revision that took this one back.")]
    created_at: Moment


class RevisionPage(Page[Revision], frozen=True, kw_only=True):
    """Revisions, the newest first. `count` is exact up to 10,000."""


REVISION: dict[str, Any] = {
    "id": 9127,
    "noun": "release",
    "entity_id": 42,
    "title": "Keepers of the Tide",
    "action": "updated",
    "origin": "cms",
    "actor": {"id": 7, "username": "alice"},
    "operation_id": "3f0c2b9e-54a7-4c53-8f0e-0d8a3c6f9b21",
    "diff": {"status": ["announced", "ongoing"]},
    "undoes": None,
    "undone_by": None,
    "created_at": "2026-11-14T18:30:00.000Z",
}
EXAMPLES: dict[Any, Any] = {
    RevisionPage: {
        "count": 1204,
        "next": "/api/v1/admin/audit?limit=1&cursor=WyJhdWRpdCIsIiIsOTEyN10",
        "previous": None,
        "results": [REVISION],
    }
}
