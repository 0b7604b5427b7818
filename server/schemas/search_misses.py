"""What was searched in vain."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

from msgspec import Meta, Struct

from server.rules.search_misses import LONGEST
from server.schemas.answers import Page
from server.schemas.queries import PageQuery

MOST_DAYS = 90
Moment = Annotated[dt.datetime, Meta(tz=True)]


class SearchMissesQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Since when, and which page."""

    days: Annotated[int, Meta(ge=1, le=MOST_DAYS, description="Of so many days, today among them.")] = 30


class SearchMiss(Struct, frozen=True, kw_only=True):
    """A query that found nothing."""

    query: Annotated[str, Meta(min_length=1, max_length=LONGEST, description="Normalised: small letters, no signs.")]
    misses: Annotated[int, Meta(ge=1, description="How often.")]
    last_at: Moment


class SearchMissPage(Page[SearchMiss], frozen=True, kw_only=True):
    """Queries that found nothing, the commonest first."""


EXAMPLES: dict[Any, Any] = {
    SearchMissPage: {
        "count": 1,
        "next": None,
        "previous": None,
        "results": [{"query": "keepers of the tides movie", "misses": 17, "last_at": "2026-11-14T18:30:00.000Z"}],
    }
}
