"""Bodies of the CMS, by noun and action.

In a patch `UNSET` leaves a field as it is; in a create and a replacement it stands for the field's default.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from server.schemas.catalogue import (
    NO_CONTROLS,
    Name,
    ReleaseFields,
    Slug,
    Span,
    Title,
)

Moment = Annotated[datetime, Meta(tz=True)]
Id = Annotated[int, Meta(ge=1, le=2**63 - 1)]
# Two decimals at most, which `server.cms.episodes` checks: no float is a multiple of a hundredth.
Ordinal = Annotated[float, Meta(ge=0, le=99_999)]
EpisodeTitle = Annotated[str, Meta(max_length=300, pattern=NO_CONTROLS)]
Duration = Annotated[int, Meta(ge=1, le=864_000)]


class ReleaseEdit(ReleaseFields, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What editors say of a release, beyond what imports do."""

    is_published: bool | UnsetType = UNSET
    # Still to come: a draft until then.
    publish_at: Moment | UnsetType | None = UNSET


class ReleaseWrite(ReleaseEdit, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A release as a whole. Only `title` is required; it is published unless `is_published` is false."""

    title: Title


ReleaseReplace = ReleaseWrite


class ReleasePatch(ReleaseEdit, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Some fields of a release; the others stay as they are."""

    title: Title | UnsetType = UNSET


class EpisodeFields(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an episode that is written as a whole has."""

    ordinal: Ordinal
    title: EpisodeTitle = ""
    duration_seconds: Duration | None = None
    air_at: Moment | None = None
    opening: Span | None = None
    ending: Span | None = None


class EpisodeWrite(EpisodeFields, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An episode of a release. Its ordinal has at most two decimals."""

    release_id: Id


class EpisodeReplace(EpisodeFields, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An episode as a whole. `release_id` may be there, if it is the one it has: an episode does not move."""

    release_id: Id | UnsetType = UNSET


class EpisodePatch(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Some fields of an episode; the others stay as they are."""

    release_id: Id | UnsetType = UNSET
    ordinal: Ordinal | UnsetType = UNSET
    title: EpisodeTitle | UnsetType = UNSET
    duration_seconds: Duration | UnsetType | None = UNSET
    air_at: Moment | UnsetType | None = UNSET
    opening: Span | UnsetType | None = UNSET
    ending: Span | UnsetType | None = UNSET


class WordWrite(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A genre or a tag. A new one without `slug` gets it from its name, one that has a slug keeps it."""

    name: Name
    slug: Slug | UnsetType = UNSET


class WordPatch(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Another name or slug for a genre or a tag."""

    name: Name | UnsetType = UNSET
    slug: Slug | UnsetType = UNSET


class FranchiseWrite(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A franchise. A new one without `slug` gets it from its name, one that has a slug keeps it."""

    name: Title
    slug: Slug | UnsetType = UNSET


class FranchisePatch(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Another name or slug for a franchise."""

    name: Title | UnsetType = UNSET
    slug: Slug | UnsetType = UNSET


# By noun and action; the other two actions have no body.
TYPES: dict[tuple[str, str], Any] = {
    ("release", "create"): ReleaseWrite,
    ("release", "replace"): ReleaseReplace,
    ("release", "update"): ReleasePatch,
    ("episode", "create"): EpisodeWrite,
    ("episode", "replace"): EpisodeReplace,
    ("episode", "update"): EpisodePatch,
    ("genre", "create"): WordWrite,
    ("genre", "replace"): WordWrite,
    ("genre", "update"): WordPatch,
    ("tag", "create"): WordWrite,
    ("tag", "replace"): WordWrite,
    ("tag", "update"): WordPatch,
    ("franchise", "create"): FranchiseWrite,
    ("franchise", "replace"): FranchiseWrite,
    ("franchise", "update"): FranchisePatch,
}
