"""What was watched, and what is watched more than usual: analytics rows, tops and trends."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from server.schemas.answers import Id, Page, Reason
from server.schemas.catalogue_answers import Release

Views = Annotated[int, Meta(ge=0, description="How many views were counted.")]
UniqueViewers = Annotated[
    int,
    Meta(ge=0, description="Different viewers. Within one day exact; over longer spans the sum of the days' numbers."),
]
WatchSeconds = Annotated[int, Meta(ge=0, description="How long was watched, all views together.")]


class ViewsRow(Struct, frozen=True, kw_only=True):
    """The views of one release or episode within one interval."""

    release_id: Id
    episode_id: Annotated[Id, Meta(description="Only with `group_by=episode`.")] | UnsetType = UNSET
    start: Annotated[
        datetime, Meta(tz=True, description="When the interval begins; with `total`, the start of the span.")
    ]
    views: Views
    unique_viewers: UniqueViewers
    watch_seconds: WatchSeconds
    average_completion: Annotated[float, Meta(ge=0, le=100, description="How much of it a view covered, in percent.")]


class ViewsPage(Page[ViewsRow], frozen=True, kw_only=True):
    """One page of view counts. They trail what was accepted by at most five seconds."""


class TopRelease(Struct, frozen=True, kw_only=True):
    """A release and how much it was watched."""

    id: Id
    slug: str
    title: str
    views: Views


class TopGenre(Struct, frozen=True, kw_only=True):
    """A genre and how much its releases were watched."""

    id: Id
    slug: str
    name: str
    views: Views


class Top(Struct, frozen=True, kw_only=True):
    """What was watched most, most views first. At most an hour old."""

    period: Literal["day", "week", "month", "all"]
    releases: Annotated[list[TopRelease], Meta(max_length=100)]
    genres: Annotated[list[TopGenre], Meta(max_length=100)]


class Recommendation(Struct, frozen=True, kw_only=True):
    """A release, how strongly it is recommended, and why."""

    release: Release
    score: Annotated[float, Meta(ge=0, description="Comparable within one answer only.")]
    reasons: list[Reason]


class Trending(Page[Recommendation], frozen=True, kw_only=True):
    """One page of what is watched right now; recent views weigh more than older ones."""

    type: Literal["trending"]
    period: Literal["day", "week", "month"]
