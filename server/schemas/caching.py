"""Purging the cache."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from server.schemas.answers import Count

Tag = Annotated[
    str,
    Meta(min_length=1, max_length=200, pattern=r"^[!-+\--~]+$(?!\n)", description="As in `Cache-Tag`: `release:42`."),
]


class Purge(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to drop; without tags, everything."""

    tags: Annotated[list[Tag], Meta(min_length=1, max_length=500)] | None = None


class Purged(Struct, frozen=True, kw_only=True):
    """It is dropped here. Other instances hear of it at once, a CDN within seconds."""

    dropped: Annotated[Count, Meta(description="How many answers this instance had cached under these tags.")]


PURGE: dict[str, Any] = {"tags": ["release:42", "releases"]}
EXAMPLES: dict[Any, Any] = {Purged: {"dropped": 12}}
