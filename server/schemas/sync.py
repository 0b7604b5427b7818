"""Synchronising devices: what they send of what was done without a connection, and what they are told."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from server.schemas import answers

MOST_EDITS = 500
LAST_ID = 2**63 - 1

Id = Annotated[int, Meta(ge=1, le=LAST_ID)]
Revision = Annotated[int, Meta(ge=0, le=LAST_ID)]
CollectionName = Literal["planned", "watching", "completed", "postponed", "dropped"]
ChangedAt = Annotated[
    datetime, Meta(tz=True, description="When it was done, by the device's clock. The future counts as now.")
]
Deleted = Annotated[bool, Meta(description="True where it was taken back.")]


class SyncQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the device has already."""

    since: Annotated[Revision, Meta(description="The `revision` of the last answer; 0 for everything.")] = 0
    base: Annotated[
        Revision | None, Meta(description="Stands in `next` while everything is being read; never made up.")
    ] = None


class SyncEntryEdit(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """A release that was made a favourite, ignored, or no longer so."""

    release_id: Id
    changed_at: ChangedAt
    deleted: Deleted = False


class SyncCollectionEdit(SyncEntryEdit, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """A release that was put into a collection, or taken out of the one it was in."""

    collection: Annotated[CollectionName | None, Meta(description="Needed unless `deleted`.")] = None

    def __post_init__(self) -> None:
        """A collection is needed to be put into it."""
        if self.collection is None and not self.deleted:
            raise ValueError("`collection` is needed unless `deleted`")


class SyncRatingEdit(SyncEntryEdit, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """A release that was rated, or whose rating was taken back."""

    rating: Annotated[Annotated[int, Meta(ge=1, le=10)] | None, Meta(description="Needed unless `deleted`.")] = None

    def __post_init__(self) -> None:
        """A rating has a value."""
        if self.rating is None and not self.deleted:
            raise ValueError("`rating` is needed unless `deleted`")


class SyncProgressEdit(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """How far an episode was watched."""

    episode_id: Id
    changed_at: ChangedAt
    position_seconds: Annotated[
        Annotated[int, Meta(ge=0, le=864_000)] | None, Meta(description="Needed unless `deleted`.")
    ] = None
    completed: bool = False
    restart: Annotated[
        bool, Meta(description="The episode was begun anew: this counts although it is less far, if it is newer.")
    ] = False
    deleted: Deleted = False

    def __post_init__(self) -> None:
        """Progress has a position."""
        if self.position_seconds is None and not self.deleted:
            raise ValueError("`position_seconds` is needed unless `deleted`")


class SyncEditLists(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was done without a connection, each kind in the order in which it was done."""

    favorites: Annotated[list[SyncEntryEdit], Meta(max_length=MOST_EDITS)] = []
    collections: Annotated[list[SyncCollectionEdit], Meta(max_length=MOST_EDITS)] = []
    ratings: Annotated[list[SyncRatingEdit], Meta(max_length=MOST_EDITS)] = []
    ignores: Annotated[list[SyncEntryEdit], Meta(max_length=MOST_EDITS)] = []
    progress: Annotated[list[SyncProgressEdit], Meta(max_length=MOST_EDITS)] = []


class SyncEdits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """SyncEditLists to be merged."""

    since: Annotated[
        Revision | None,
        Meta(description="The `revision` of the last answer: then whatever changed since comes along; 0 for all."),
    ] = None
    edits: SyncEditLists


class SyncEntry(Struct, frozen=True, kw_only=True):
    """A favourite, or a release that the user does not care for."""

    release_id: answers.Id
    deleted: bool
    changed_at: datetime


class SyncCollection(Struct, frozen=True, kw_only=True):
    """The collection of a release."""

    release_id: answers.Id
    collection: Annotated[CollectionName | None, Meta(description="Null where `deleted`.")]
    deleted: bool
    changed_at: datetime


class SyncRating(Struct, frozen=True, kw_only=True):
    """The rating of a release."""

    release_id: answers.Id
    rating: Annotated[int | None, Meta(description="1 to 10; null where `deleted`.")]
    deleted: bool
    changed_at: datetime


class SyncProgress(Struct, frozen=True, kw_only=True):
    """How far an episode was watched."""

    episode_id: answers.Id
    release_id: answers.Id
    position_seconds: Annotated[int, Meta(ge=0)]
    completed: bool
    deleted: bool
    changed_at: datetime


class SyncSubscription(Struct, frozen=True, kw_only=True):
    """Something that the user follows."""

    id: answers.Id
    subscription_type: Literal["release", "genre", "franchise"]
    target_id: answers.Id
    deleted: bool


class SyncProfile(Struct, frozen=True, kw_only=True):
    """The profile as it is now."""

    username: str
    name: str
    bio: str
    locale: str
    time_zone: str
    is_public: bool
    updated_at: datetime


class SyncRejected(Struct, frozen=True, kw_only=True):
    """An edit that cannot be kept, and why; the device drops it."""

    kind: Literal["favorites", "collections", "ratings", "ignores", "progress"]
    index: Annotated[int, Meta(ge=0, le=MOST_EDITS - 1, description="Its place in the list it was sent in, from 0.")]
    detail: str


class SyncChanges(Struct, frozen=True, kw_only=True):
    """What changed since a revision; things that are gone are `deleted`."""

    revision: Annotated[int, Meta(ge=0, description="How far this answer reaches; the next `since`.")]
    full: Annotated[bool, Meta(description="Replace what you have with this; what it does not name is gone.")]
    more: Annotated[bool, Meta(description="There is more to read, at `next`.")]
    next: Annotated[str | None, Meta(description="Where to read on; null unless `more`.")]
    favorites: list[SyncEntry]
    collections: list[SyncCollection]
    ratings: list[SyncRating]
    ignores: list[SyncEntry]
    progress: list[SyncProgress]
    subscriptions: list[SyncSubscription]
    profile: Annotated[SyncProfile | None, Meta(description="Null if it did not change.")]


class SyncMerged(SyncChanges, frozen=True, kw_only=True):
    """What changed, with the state of everything the edits were about, whichever side won."""

    rejected: list[SyncRejected]


_MOMENT = "2026-11-14T18:30:00.000Z"
_CHANGES: dict[str, Any] = {
    "revision": 118,
    "full": False,
    "more": False,
    "next": None,
    "favorites": [{"release_id": 42, "deleted": False, "changed_at": _MOMENT}],
    "collections": [{"release_id": 42, "collection": "watching", "deleted": False, "changed_at": _MOMENT}],
    "ratings": [{"release_id": 77, "rating": None, "deleted": True, "changed_at": _MOMENT}],
    "ignores": [],
    "progress": [
        {
            "episode_id": 511,
            "release_id": 42,
            "position_seconds": 840,
            "completed": False,
            "deleted": False,
            "changed_at": _MOMENT,
        }
    ],
    "subscriptions": [{"id": 9, "subscription_type": "release", "target_id": 42, "deleted": False}],
    "profile": None,
}
EXAMPLES: dict[Any, Any] = {
    SyncChanges: _CHANGES,
    SyncMerged: _CHANGES | {"rejected": [{"kind": "progress", "index": 3, "detail": "There is no such episode."}]},
}
EDITS_EXAMPLE: dict[str, Any] = {
    "since": 115,
    "edits": {
        "favorites": [{"release_id": 42, "changed_at": _MOMENT}],
        "ratings": [{"release_id": 77, "deleted": True, "changed_at": _MOMENT}],
        "progress": [{"episode_id": 511, "position_seconds": 840, "completed": False, "changed_at": _MOMENT}],
    },
}
