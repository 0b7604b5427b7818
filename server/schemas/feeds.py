"""Feeds and calendars: what is asked for, what is answered."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

from msgspec import Meta, Struct

Slug = Annotated[str, Meta(min_length=1, max_length=320)]
Zone = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$(?!\n)")]
Moment = Annotated[dt.datetime, Meta(tz=True)]


class FeedQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which releases a feed shows."""

    genre: Annotated[Slug | None, Meta(description="The slug of a genre: only its releases.", examples=["drama"])] = (
        None
    )


class CalendarQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How times are written."""

    tz: Annotated[
        Zone | None,
        Meta(
            description="An IANA time zone: times are local ones there, its rules come along. Without it: UTC.",
            examples=["Europe/Berlin"],
        ),
    ] = None


class CalendarAddress(Struct, frozen=True, kw_only=True):
    """A secret address, shown this once."""

    url: Annotated[str, Meta(description="For calendar programs. Whoever has it sees the calendar.")]
    token: str


class CalendarState(Struct, frozen=True, kw_only=True):
    """Whether there is a calendar."""

    exists: bool
    created_at: Moment | None
    last_used_at: Annotated[Moment | None, Meta(description="To the hour.")]


CALENDAR_TOKEN = "Zt1sXbN0cQ7uYw2eRk5aLh8vJm4dPf6gTi9oSx3zBnA"  # noqa: S105 - an example
ADDRESS: dict[str, Any] = {"url": f"/api/v1/feeds/calendar/{CALENDAR_TOKEN}.ics", "token": CALENDAR_TOKEN}
STATE: dict[str, Any] = {
    "exists": True,
    "created_at": "2026-11-14T18:30:00.000Z",
    "last_used_at": "2026-11-21T06:00:00.000Z",
}
