"""Reviews: what is sent, what is answered."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from server.rules.reviews import LONGEST, SHORTEST, Sort
from server.schemas.answers import Count, Id, Page
from server.schemas.queries import Cursor, Limit, PageNumber

Rating = Annotated[int, Meta(ge=1, le=10)]
# In code points, of which a character as readers count them may have several; those are counted afterwards.
Text = Annotated[
    str,
    Meta(
        min_length=SHORTEST,
        max_length=LONGEST * 10,
        description=f"Plain text of {SHORTEST} to {LONGEST:,} characters as readers count them, kept as NFC.",
    ),
]


class NewReview(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A review to be."""

    rating: Rating
    text: Text
    spoiler: Annotated[bool, Meta(description="Whether it gives away what happens.")] = False


class ReviewPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of a review."""

    rating: Rating | UnsetType = UNSET
    text: Text | UnsetType = UNSET
    spoiler: bool | UnsetType = UNSET


class ReviewsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of a release's reviews."""

    sort: Annotated[
        Sort, Meta(description="Plain is ascending, `-` descending; `newest` is `-created`. Ties by age, likewise.")
    ] = "-helpful"
    limit: Limit = 20
    page: PageNumber = 1
    cursor: Cursor = None


class ReviewAuthor(Struct, frozen=True, kw_only=True):
    """Who wrote it."""

    id: Id
    username: str


class Review(Struct, frozen=True, kw_only=True):
    """A review. The last members are for whoever has signed in, `held_for` for its author."""

    id: Id
    release_id: Id
    author: ReviewAuthor | None
    rating: Rating
    text: Annotated[str, Meta(description="Plain text, exactly as it was written: escape it before showing it.")]
    spoiler: bool
    state: Annotated[
        Literal["visible", "pending", "hidden"],
        Meta(description="`pending`: waits for a moderator. What is not `visible` is shown to its author only."),
    ]
    helpful_count: Count
    created_at: dt.datetime
    edited_at: dt.datetime | None
    held_for: (
        Annotated[
            list[Literal["links", "flood", "repeated", "words", "reports"]], Meta(description="Why it is `pending`.")
        ]
        | UnsetType
    ) = UNSET
    is_mine: bool | UnsetType = UNSET
    is_helpful: Annotated[bool, Meta(description="Whether I said that it helps.")] | UnsetType = UNSET


class ReviewPage(Page[Review], frozen=True, kw_only=True):
    """Reviews of a release."""

    average_rating: (
        Annotated[float, Meta(ge=1, le=10, description="Of all reviews of the release; null without any.")] | None
    )


NEW: dict[str, Any] = {
    "rating": 9,
    "text": "The tide turns slowly here, and that is its strength: the keepers have time to become people, the island "
    "has time to become a place, and the last episode knows exactly what to leave unsaid.",
    "spoiler": False,
}
PATCH: dict[str, Any] = {"rating": 10}
REVIEW: dict[str, Any] = {
    "id": 731,
    "release_id": 42,
    "author": {"id": 12, "username": "mira"},
    **NEW,
    "state": "visible",
    "helpful_count": 14,
    "created_at": "2026-11-14T18:30:00.000Z",
    "edited_at": None,
}
OWN: dict[str, Any] = REVIEW | {"is_mine": True, "is_helpful": False}
EXAMPLES: dict[Any, Any] = {
    Review: REVIEW,
    ReviewPage: {"count": 1, "next": None, "previous": None, "average_rating": 9.0, "results": [REVIEW]},
}
