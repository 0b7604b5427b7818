"""View events as clients send them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

MOST_EVENTS = 500

Id = Annotated[int, Meta(ge=1, le=2**63 - 1)]


class ViewFacts(Struct, frozen=True, forbid_unknown_fields=True, gc=False, kw_only=True):
    """What every view event says."""

    duration_seconds: Annotated[int, Meta(ge=0, le=86_400, description="How long was watched.")]
    completion_percentage: Annotated[float, Meta(ge=0, le=100, description="How much of it that covers.")]
    event_id: Annotated[UUID | None, Meta(description="Sent again within 48 hours it does not count again.")] = None
    episode_id: Id | None = None
    viewed_at: Annotated[
        Annotated[datetime, Meta(tz=True)] | None,
        Meta(description="When it was watched, at most 7 days ago and 5 minutes ahead; without it, now."),
    ] = None

    def __post_init__(self) -> None:
        """Years that no calendar of the database reaches are absurd, not merely too old."""
        if self.viewed_at is not None and not 2000 <= self.viewed_at.year <= 2200:
            raise ValueError("`viewed_at` lies outside of 7 days ago and 5 minutes ahead")


class ViewEvent(ViewFacts, frozen=True, forbid_unknown_fields=True, gc=False, kw_only=True):
    """One view of a release or of one of its episodes."""

    release_id: Id


class ReleaseViewEvent(ViewFacts, frozen=True, forbid_unknown_fields=True, gc=False, kw_only=True):
    """One view of the release in the address."""

    release_id: Annotated[
        Id | UnsetType, Meta(description="May be left out; else it must be the one in the address.")
    ] = UNSET


ViewEvents = Annotated[list[ViewEvent], Meta(max_length=MOST_EVENTS)]
