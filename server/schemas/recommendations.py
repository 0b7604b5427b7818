"""What is recommended, and why: every reason is a fact that can be looked up."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from server.schemas.answers import Count, FranchiseReference, Page, ReleaseReference, WordReference
from server.schemas.catalogue_answers import Release

Code = Literal[
    "same_franchise", "shares_genres", "shares_tags", "same_audience", "first_part", "first_unseen_part",
    "because_completed", "because_rated", "because_favorited", "because_watching", "because_planned", "follows_genres",
    "trending", "top_rated", "popular", "newest",
]  # fmt: skip


class Because(Struct, frozen=True, kw_only=True):
    """Why a release is recommended. Beside the words stands what they speak of."""

    code: Annotated[Code, Meta(description="The stable name of the reason.")]
    text: Annotated[str, Meta(description="The reason in words.")]
    release: Annotated[ReleaseReference, Meta(description="The other release that it speaks of.")] | UnsetType = UNSET
    franchise: FranchiseReference | UnsetType = UNSET
    genres: Annotated[list[WordReference], Meta(max_length=20)] | UnsetType = UNSET
    tags: Annotated[list[WordReference], Meta(max_length=20)] | UnsetType = UNSET
    rating: (
        Annotated[float, Meta(ge=0, le=10, description="Your rating of the other release, or everybody's of this one.")]
        | UnsetType
    ) = UNSET
    users: Annotated[Count, Meta(description="How many people it speaks of, or at least how many.")] | UnsetType = UNSET


class Recommended(Struct, frozen=True, kw_only=True):
    """A release, how strongly it is recommended, and why."""

    release: Release
    score: Annotated[float, Meta(ge=0, description="Comparable within one answer only.")]
    reasons: Annotated[list[Because], Meta(min_length=1)]


class SimilarPage(Page[Recommended], frozen=True, kw_only=True):
    """What is like a release, the most alike first, at most thirty; of a franchise one part."""

    type: Literal["similar"]


class PersonalPage(Page[Recommended], frozen=True, kw_only=True):
    """What I may like, the best first, at most sixty. At most an hour old, and made anew when I change what I keep."""

    type: Annotated[
        Literal["personal", "cold_start"],
        Meta(description="`cold_start`: I keep nothing yet that would say what I like."),
    ]
