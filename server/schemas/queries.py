"""Query parameters, one structure an endpoint: a field is a parameter, a list may be repeated.

Lists also take several values at once, parted by commas. Ranges and patterns are part of the types.
Patterns end in `$(?!\\n)`, since a bare `$` lets a line break through.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, Any, Literal, get_args

from msgspec import Meta, Struct, field
from msgspec.structs import force_setattr

from server.schemas.catalogue import ReleaseStatus, ReleaseType, Season

ReleaseSort = Literal[
    "updated", "-updated", "year", "-year", "rating", "-rating", "popularity", "-popularity", "title", "-title"
]
Period = Literal["day", "week", "month"]
TopPeriod = Literal["day", "week", "month", "all"]
Format = Literal["json", "csv"]

Year = Annotated[int, Meta(ge=1900, le=2100)]
Limit = Annotated[int, Meta(ge=1, le=100, description="How many rows a page holds.")]
PageNumber = Annotated[int, Meta(ge=1, le=10_000, description="Which page, from 1; `page × limit` is at most 10,000.")]
Cursor = Annotated[
    Annotated[str, Meta(min_length=1, max_length=500)] | None,
    Meta(description="Where to go on; taken from `next`, never made up."),
]

# An age rating's plus sign means a space in an address, so `16`, `16+` and `16 ` all stand for 16+.
AGE_RATING = r"^!?(0|6|12|16|18)[+ ]?$(?!\n)"
DAY_OR_MOMENT = r"^\d{4}-\d{2}-\d{2}([Tt ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?([Zz]|[+ -]\d{2}:\d{2}))?$(?!\n)"


def one_of(words: Any) -> str:
    """The pattern of a value of this Literal, negated or not."""
    return f"^!?({'|'.join(re.escape(word) for word in get_args(words))})$(?!\n)"


def one_form(text: str | None) -> str | None:
    """A day as it is; a moment with its T, and with the plus that an address turns into a space."""
    if text is None or len(text) == len("2026-01-01"):
        return text
    return f"{text[:10]}T{text[11:].replace(' ', '+').upper()}"


Names = Annotated[list[Annotated[str, Meta(min_length=1, max_length=320)]], Meta(max_length=50)]
NEGATES = "A leading `!` leaves out what has it."


class ReleaseFilters(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which releases. Different parameters all have to hold."""

    genre: Annotated[
        Names,
        Meta(description=f"Slug, name or id of a genre; several all have to be there. {NEGATES}", examples=[["drama"]]),
    ] = []
    tag: Annotated[Names, Meta(description=f"Slug, name or id of a tag; several all have to be there. {NEGATES}")] = []
    type: Annotated[
        list[Annotated[str, Meta(pattern=one_of(ReleaseType))]],
        Meta(
            max_length=20, description=f"tv, movie, ova, ona, special, web, music or other; any of several. {NEGATES}"
        ),
    ] = []
    status: Annotated[
        list[Annotated[str, Meta(pattern=one_of(ReleaseStatus))]],
        Meta(max_length=20, description=f"announced, ongoing, finished or paused; any of several. {NEGATES}"),
    ] = []
    season: Annotated[
        list[Annotated[str, Meta(pattern=one_of(Season))]],
        Meta(max_length=20, description=f"winter, spring, summer or autumn; any of several. {NEGATES}"),
    ] = []
    age_rating: Annotated[
        list[Annotated[str, Meta(pattern=AGE_RATING)]],
        Meta(
            max_length=20, description=f"0+, 6+, 12+, 16+ or 18+ (the plus may be left out); any of several. {NEGATES}"
        ),
    ] = []
    franchise: Annotated[Names, Meta(description=f"Slug, name or id of a franchise; any of several. {NEGATES}")] = []
    year_from: Annotated[Year | None, Meta(description="Began in this year or later.")] = None
    year_to: Annotated[Year | None, Meta(description="Began in this year or earlier.")] = None

    def __post_init__(self) -> None:
        """Gives every age rating its plus back."""
        force_setattr(self, "age_rating", [f"{value.rstrip('+ ')}+" for value in self.age_rating])


class ReleasesQuery(ReleaseFilters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A list of releases."""

    sort: Annotated[ReleaseSort, Meta(description="Plain is ascending, `-` descending.")] = "-updated"
    limit: Limit = 20
    page: PageNumber = 1
    cursor: Cursor = None


class RandomQuery(ReleaseFilters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Releases drawn at random."""

    limit: Annotated[int, Meta(ge=1, le=100, description="How many to draw; no release comes twice.")] = 1


class LatestQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The newest releases."""

    limit: Limit = 20


class PageQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A list without filters."""

    limit: Limit = 20
    page: PageNumber = 1
    cursor: Cursor = None


class ScheduleQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which week, and whose midnights."""

    date: Annotated[
        dt.date | None, Meta(description="Any day of the wanted week (YYYY-MM-DD); without it, today in `tz`.")
    ] = None
    tz: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=64,
            pattern=r"^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$(?!\n)",
            description="The IANA time zone whose midnights part the days.",
            examples=["Asia/Tokyo"],
        ),
    ] = "UTC"


Ids = Annotated[list[Annotated[int, Meta(ge=1, le=2**63 - 1)]], Meta(max_length=100)]
DayOrMoment = Annotated[str, Meta(max_length=40, pattern=DAY_OR_MOMENT)]


class ViewsAsked(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which views to count, and how to lay them out."""

    release_ids: Annotated[Ids, Meta(description="Only these releases; none means all.")] = []
    episode_ids: Annotated[Ids, Meta(description="Only these episodes; none means all.")] = []
    group_by: Annotated[Literal["release", "episode"], Meta(description="What a row is about.")] = "release"
    from_: Annotated[
        DayOrMoment | None, Meta(description="From this day (UTC) or moment (RFC 3339) on.", examples=["2026-11-01"])
    ] = field(name="from", default=None)
    to: Annotated[
        DayOrMoment | None,
        Meta(description="To the end of this day (UTC), or before this moment (RFC 3339).", examples=["2026-11-30"]),
    ] = None
    interval: Annotated[
        Literal["hour", "day", "week", "month", "total"],
        Meta(description="How long a row's span is; weeks begin on Monday, `total` makes one row of everything."),
    ] = "day"

    def __post_init__(self) -> None:
        """Writes moments in the one form that `datetime.fromisoformat` takes, whatever the address made of them."""
        force_setattr(self, "from_", one_form(self.from_))
        force_setattr(self, "to", one_form(self.to))


class AnalyticsQuery(ViewsAsked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which views to count, and how to lay them out. Without `from` and `to`: the last 30 days and today."""

    format: Annotated[Format | None, Meta(description="Beats the Accept header.")] = None
    limit: Limit = 20
    page: PageNumber = 1


class TopQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was watched most, and when."""

    period: Annotated[TopPeriod, Meta(description="The last day, 7 days or 30 days, or all time.")] = "week"
    limit: Annotated[int, Meta(ge=1, le=100, description="How many releases and how many genres.")] = 20
    format: Annotated[Format | None, Meta(description="Beats the Accept header.")] = None


class TrendingQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is watched right now."""

    period: Annotated[Period, Meta(description="How far back views count.")] = "week"
    genre: Annotated[
        Names, Meta(description=f"Slug, name or id of a genre; several all have to be there. {NEGATES}")
    ] = []
    limit: Limit = 20
    page: PageNumber = 1
