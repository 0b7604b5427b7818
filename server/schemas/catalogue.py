"""The catalogue as it is written: what imports, the CMS and the OpenAPI document share.

Field names are the public ones. `UNSET` means "not said": an import leaves such a field as it is.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

ReleaseType = Literal["tv", "movie", "ova", "ona", "special", "web", "music", "other"]
ReleaseStatus = Literal["announced", "ongoing", "finished", "paused"]
Season = Literal["winter", "spring", "summer", "autumn"]
AgeRating = Literal["0+", "6+", "12+", "16+", "18+"]

# `$` alone would also match before a last line break, hence the look-ahead.
# U+0000 cannot be stored by PostgreSQL and control characters have no place in a name.
NO_CONTROLS = r"^[^\x00-\x1f\x7f]*$(?!\n)"
# Long texts keep tab and newline.
NO_CONTROLS_BUT_LINES = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$(?!\n)"

Title = Annotated[str, Meta(min_length=1, max_length=300, pattern=NO_CONTROLS)]
Name = Annotated[str, Meta(min_length=1, max_length=100, pattern=NO_CONTROLS)]
Language = Annotated[str, Meta(min_length=2, max_length=35, pattern=r"^[a-z]{2,8}(-[A-Za-z0-9]{1,8})*$(?!\n)")]
Source = Annotated[str, Meta(min_length=1, max_length=50, pattern=r"^[a-z0-9_]+$(?!\n)")]
ExternalId = (
    Annotated[int, Meta(ge=0, le=2**53)] | Annotated[str, Meta(min_length=1, max_length=200, pattern=NO_CONTROLS)]
)
Slug = Annotated[str, Meta(min_length=1, max_length=120, pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$(?!\n)")]
Seconds = Annotated[int, Meta(ge=0, le=864_000)]


class Span(Struct, frozen=True, forbid_unknown_fields=True):
    """A stretch of an episode, in seconds from its beginning; `start` lies before `stop`."""

    start: Seconds
    stop: Seconds


class EpisodeDraft(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An episode as written inside a release."""

    # 0 to 99999 with two decimals; msgspec takes no bounds on a Decimal, `server.importing.drafts` checks them.
    ordinal: Decimal
    title: Annotated[str, Meta(max_length=300, pattern=NO_CONTROLS)] = ""
    duration_seconds: Annotated[int, Meta(ge=1, le=864_000)] | None = None
    air_at: Annotated[datetime, Meta(tz=True)] | None = None
    opening: Span | None = None
    ending: Span | None = None


class ReleaseFields(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What all bodies of releases share but the title, which some of them must have."""

    slug: Slug | UnsetType = UNSET
    titles: Annotated[dict[Language, Title], Meta(max_length=40)] | UnsetType = UNSET
    synonyms: Annotated[list[Title], Meta(max_length=200)] | UnsetType = UNSET
    synopsis: Annotated[str, Meta(max_length=20_000, pattern=NO_CONTROLS_BUT_LINES)] | UnsetType = UNSET
    type: ReleaseType | UnsetType = UNSET
    status: ReleaseStatus | UnsetType = UNSET
    season: Season | UnsetType | None = UNSET
    year: Annotated[int, Meta(ge=1900, le=2100)] | UnsetType | None = UNSET
    age_rating: AgeRating | UnsetType | None = UNSET
    episodes_total: Annotated[int, Meta(ge=0, le=100000)] | UnsetType | None = UNSET
    genres: Annotated[list[Name], Meta(max_length=60)] | UnsetType = UNSET
    tags: Annotated[list[Name], Meta(max_length=300)] | UnsetType = UNSET
    franchise: Title | UnsetType | None = UNSET
    external_ids: Annotated[dict[Source, ExternalId], Meta(max_length=40)] | UnsetType = UNSET


class ReleaseDraft(ReleaseFields, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A release as written. Only `title` is required."""

    title: Title
    popularity: Annotated[int, Meta(ge=0, le=2_000_000_000)] | UnsetType = UNSET
    episodes: Annotated[list[EpisodeDraft], Meta(max_length=5_000)] | UnsetType = UNSET


ENCODER = msgspec.json.Encoder(order="deterministic")
