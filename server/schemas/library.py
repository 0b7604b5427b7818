"""What a user keeps and has watched: what is sent, what is answered."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

from msgspec import Meta, Struct

from server.schemas.answers import Count, Id, Page
from server.schemas.catalogue_answers import Episode, Release
from server.schemas.queries import Cursor, Limit, PageQuery

MOST_AT_ONCE = 500
CollectionName = Literal["planned", "watching", "completed", "postponed", "dropped"]
SentId = Annotated[int, Meta(ge=1, le=2**63 - 1)]
Moment = Annotated[dt.datetime, Meta(tz=True)]
RatingValue = Annotated[int, Meta(ge=1, le=10)]
Position = Annotated[int, Meta(ge=0, le=864_000, description="How far into the episode.")]

ReleaseIds = Annotated[list[SentId], Meta(max_length=MOST_AT_ONCE)]


class RatingGiven(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rating of the release in the address."""

    rating: RatingValue


class ReleaseRating(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rating of a release."""

    release_id: SentId
    rating: RatingValue


ReleaseRatings = Annotated[list[ReleaseRating], Meta(max_length=MOST_AT_ONCE)]


class ProgressMade(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far the episode in the address was watched."""

    position_seconds: Position
    completed: Annotated[bool, Meta(description="Whether it is through.")] = False


class EpisodeProgress(ProgressMade, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far an episode was watched."""

    episode_id: SentId


EpisodesProgress = Annotated[list[EpisodeProgress], Meta(max_length=MOST_AT_ONCE)]


class CollectionsQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of the collections."""

    collection: Annotated[CollectionName | None, Meta(description="Only this one.")] = None


class ProgressQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of the progress on episodes."""

    release_id: Annotated[SentId | None, Meta(description="Only episodes of this release.")] = None


class HistoryQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of the history."""

    limit: Limit = 20
    cursor: Cursor = None


class ContinueQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much to go on with."""

    limit: Limit = 20


class Rejected(Struct, frozen=True, kw_only=True):
    """One row of a request that could not be kept."""

    index: Annotated[int, Meta(ge=0, description="Its place in the array, from 0.")]
    detail: str


class LibraryChanged(Struct, frozen=True, kw_only=True):
    """What became of many changes at once."""

    changed: Annotated[int, Meta(ge=0, description="How many rows are different now.")]
    revision: Annotated[int, Meta(ge=0, description="The user's revision, as in `X-Revision`.")]
    rejected: list[Rejected]


class Favorite(Struct, frozen=True, kw_only=True):
    """A favourite."""

    release: Release
    added_at: Moment


class Collected(Struct, frozen=True, kw_only=True):
    """A release in a collection."""

    release: Release
    collection: CollectionName
    changed_at: Moment


class Rated(Struct, frozen=True, kw_only=True):
    """A release and the user's rating of it."""

    release: Release
    rating: RatingValue
    rated_at: Moment


class Ignored(Struct, frozen=True, kw_only=True):
    """A release the user is not interested in."""

    release: Release
    ignored_at: Moment


class EpisodeState(Struct, frozen=True, kw_only=True):
    """How far an episode was watched, and when that changed last."""

    episode_id: Id
    release_id: Id
    position_seconds: Count
    completed: bool
    changed_at: Moment


class Watched(Struct, frozen=True, kw_only=True):
    """An episode of the history."""

    release: Release
    episode: Episode
    position_seconds: Count
    completed: bool
    watched_at: Moment


class GoOn(Struct, frozen=True, kw_only=True):
    """The episode of a release to go on with."""

    release: Release
    episode: Episode
    position_seconds: Annotated[int, Meta(ge=0, description="Where to go on; 0 for the beginning.")]
    watched_at: Annotated[dt.datetime, Meta(tz=True, description="When the release was watched last.")]


class CollectionCounts(Struct, frozen=True, kw_only=True):
    """How many releases each collection holds."""

    planned: Count
    watching: Count
    completed: Count
    postponed: Count
    dropped: Count


class FavoritePage(Page[Favorite], frozen=True, kw_only=True):
    """Favourites, the newest first."""


class CollectedPage(Page[Collected], frozen=True, kw_only=True):
    """Releases in collections, the last changed first."""

    counts: CollectionCounts


class RatedPage(Page[Rated], frozen=True, kw_only=True):
    """Ratings, the newest first."""


class IgnoredPage(Page[Ignored], frozen=True, kw_only=True):
    """Releases the user is not interested in, the newest first."""


class ProgressPage(Page[EpisodeState], frozen=True, kw_only=True):
    """Progress on episodes, the last changed first."""


class HistoryPage(Page[Watched], frozen=True, kw_only=True):
    """Episodes by when they were watched last, the latest first."""


class ContinuePage(Page[GoOn], frozen=True, kw_only=True):
    """What to go on with: one episode a release, the release watched last first."""
