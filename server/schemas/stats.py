"""The statistics of a user."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

from msgspec import Meta, Struct

from server.schemas.answers import Count, Id

MOMENT = "2026-11-14T18:30:00.000Z"


class Collections(Struct, frozen=True, kw_only=True):
    """How many releases each collection holds."""

    planned: Count
    watching: Count
    completed: Count
    postponed: Count
    dropped: Count


class FavoriteGenre(Struct, frozen=True, kw_only=True):
    """A genre somebody likes."""

    id: Id
    name: str
    weight: Annotated[float, Meta(ge=0, le=1, description="Beside the genre they like best, which is 1.")]


class UserStatistics(Struct, frozen=True, kw_only=True):
    """What somebody has watched and keeps. What they did themselves is in it at once."""

    episodes_watched: Annotated[int, Meta(ge=0, description="Episodes watched to the end.")]
    releases_completed: Annotated[int, Meta(ge=0, description="Releases in the collection `completed`.")]
    watch_seconds: Annotated[
        int, Meta(ge=0, description="The length of each finished episode, and how far the others were watched.")
    ]
    favorites_count: Count
    collections_count: Annotated[int, Meta(ge=0, description="Releases in any of the five collections.")]
    collections: Collections
    reviews_count: Count
    comments_count: Count
    mean_rating: Annotated[float, Meta(ge=1, le=10, description="Of all their ratings; null without any.")] | None
    favorite_genres: Annotated[
        list[FavoriteGenre],
        Meta(
            max_length=10,
            description="The genres of what they keep, the best liked first: a favourite weighs 3, a completed release "
            "2, one being watched 1, a dropped one -1, a rating (rating - 5.5) / 1.5.",
        ),
    ]
    joined_at: dt.datetime
    last_activity_at: Annotated[dt.datetime, Meta(description="When they last kept, watched or said something.")] | None


EXAMPLES: dict[Any, Any] = {
    UserStatistics: {
        "episodes_watched": 1204,
        "releases_completed": 73,
        "watch_seconds": 1_690_412,
        "favorites_count": 18,
        "collections_count": 131,
        "collections": {"planned": 40, "watching": 9, "completed": 73, "postponed": 4, "dropped": 5},
        "reviews_count": 6,
        "comments_count": 148,
        "mean_rating": 7.84,
        "favorite_genres": [
            {"id": 3, "name": "Drama", "weight": 1.0},
            {"id": 12, "name": "Mystery", "weight": 0.61},
        ],
        "joined_at": "2025-02-03T09:12:45.120Z",
        "last_activity_at": MOMENT,
    }
}
