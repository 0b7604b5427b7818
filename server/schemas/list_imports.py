"""Bringing a list along, and the rows of it that wait for their release."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from server.schemas.queries import Limit, PageNumber


class ImportQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the file is; found out from its first bytes unless it is said."""

    format: Annotated[Literal["myanimelist", "ratings"] | None, Meta(description="The format of the file.")] = None


class UnmatchedQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which page."""

    limit: Limit = 20
    page: PageNumber = 1


class UnmatchedEntry(Struct, frozen=True):
    """A row of an imported list for which there is no release yet."""

    source: str
    external_id: str
    title: str
    entry: dict[str, Any]
    reason: str
    created_at: datetime


class UnmatchedPage(Struct, frozen=True):
    """A page of them."""

    count: int
    next: str | None
    previous: str | None
    results: list[UnmatchedEntry]


UNMATCHED: dict[str, Any] = {
    "source": "mal",
    "external_id": "90210",
    "title": "The Ferry Does Not Stop",
    "entry": {"collection": "watching", "score": 8, "watched_episodes": 4},
    "reason": "The catalogue has no release with this id.",
    "created_at": "2026-11-14T18:30:00.000Z",
}
EXAMPLES: dict[Any, Any] = {
    UnmatchedEntry: UNMATCHED,
    UnmatchedPage: {"count": 1, "next": None, "previous": None, "results": [UNMATCHED]},
}
