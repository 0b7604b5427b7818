"""The catalogue as it is read: releases, episodes, the words they are filed under, and the week's schedule.

PostgreSQL builds most of this JSON itself (`build_release_documents`, `release_json`); these types say what it builds.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

from msgspec import Meta, Struct

from server.schemas.answers import FranchiseReference, Id, Page, ReleaseReference, Span, WordReference
from server.schemas.catalogue import AgeRating, ReleaseStatus, ReleaseType, Season

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
SlugText = Annotated[str, Meta(description="The name in addresses; an old one keeps answering, with 301.")]
ReleaseCount = Annotated[int, Meta(ge=0, description="How many releases carry it.")]


class PosterFormats(Struct, frozen=True, kw_only=True):
    """The addresses of one size of a poster, by format."""

    avif: str
    webp: str
    jpg: str


class PosterSizes(Struct, frozen=True, kw_only=True):
    """The addresses of a poster in every size."""

    thumbnail: PosterFormats
    small: PosterFormats
    medium: PosterFormats
    large: PosterFormats


class Poster(Struct, frozen=True, kw_only=True):
    """A poster, and what to show until it has loaded."""

    hash: Annotated[str, Meta(description="Names the picture's content; the files behind it never change.")]
    width: Annotated[int, Meta(ge=1, description="Of the original, in pixels.")]
    height: Annotated[int, Meta(ge=1, description="Of the original, in pixels.")]
    color: Annotated[str, Meta(pattern="^#[0-9a-f]{6}$", description="The picture's leading colour.")]
    palette: Annotated[list[str], Meta(description="Its main colours, the most frequent first.")]
    placeholder: Annotated[str, Meta(description="A tiny blurred version as a `data:` address.")]
    sizes: PosterSizes


class Rating(Struct, frozen=True, kw_only=True):
    """What users gave, from 1 to 10."""

    average: Annotated[float, Meta(ge=0, le=10, description="Rounded to two places; 0 without ratings.")]
    count: Annotated[int, Meta(ge=0)]


class Counters(Struct, frozen=True, kw_only=True):
    """Numbers that move all the time; they may be 60 seconds old."""

    views: Annotated[int, Meta(ge=0)]
    favorites: Annotated[int, Meta(ge=0)]


class Release(Struct, frozen=True, kw_only=True):
    """A series, a film, or anything else that is released under one title."""

    id: Id
    slug: SlugText
    title: Annotated[str, Meta(description="The main title.")]
    titles: Annotated[
        dict[str, str], Meta(description="The title by language (BCP 47), and `romaji` for the transcription.")
    ]
    synonyms: Annotated[list[str], Meta(description="Other names it goes by.")]
    synopsis: Annotated[str, Meta(description="May be empty.")]
    type: ReleaseType
    status: ReleaseStatus
    season: Annotated[Season | None, Meta(description="The season in which it began.")]
    year: Annotated[Annotated[int, Meta(ge=1900, le=2100)] | None, Meta(description="The year in which it began.")]
    age_rating: AgeRating | None
    episodes_total: Annotated[
        Annotated[int, Meta(ge=0)] | None, Meta(description="How many episodes it has or will have.")
    ]
    genres: list[WordReference]
    tags: list[WordReference]
    franchise: FranchiseReference | None
    poster: Poster | None
    external_ids: Annotated[dict[str, int | str], Meta(description="Its ids in other catalogues, by their name.")]
    created_at: Annotated[dt.datetime, Meta(tz=True)]
    updated_at: Annotated[dt.datetime, Meta(tz=True)]
    rating: Rating
    counters: Counters


class ReleasePage(Page[Release], frozen=True, kw_only=True):
    """One page of a list of releases."""


class Episode(Struct, frozen=True, kw_only=True):
    """One episode of a release."""

    id: Id
    release_id: Id
    ordinal: Annotated[float, Meta(ge=0, description="Its number; a special between 5 and 6 may be 5.5.")]
    title: Annotated[str, Meta(description="May be empty.")]
    duration_seconds: Annotated[int, Meta(ge=1)] | None
    air_at: Annotated[Annotated[dt.datetime, Meta(tz=True)] | None, Meta(description="When it airs or aired.")]
    opening: Annotated[Span | None, Meta(description="Where its opening is.")]
    ending: Annotated[Span | None, Meta(description="Where its ending is.")]


class EpisodePage(Page[Episode], frozen=True, kw_only=True):
    """One page of a release's episodes, by `ordinal`."""


class Word(Struct, frozen=True, kw_only=True):
    """A genre or a tag."""

    id: Id
    name: str
    slug: SlugText
    releases: ReleaseCount


class WordPage(Page[Word], frozen=True, kw_only=True):
    """One page of the genres or of the tags."""


class Franchise(Struct, frozen=True, kw_only=True):
    """Releases that tell one story or share one world."""

    id: Id
    slug: SlugText
    name: str
    releases: Annotated[int, Meta(ge=0, description="How many releases belong to it.")]
    first_year: Annotated[int | None, Meta(description="The year of its earliest release.")]
    last_year: Annotated[int | None, Meta(description="The year of its latest release.")]
    episodes_total: Annotated[int, Meta(ge=0, description="The episodes of all its releases, as far as known.")]


class FranchisePage(Page[Franchise], frozen=True, kw_only=True):
    """One page of the franchises."""


class FranchiseDetail(Franchise, frozen=True, kw_only=True):
    """A franchise with its releases in the order in which they came out."""

    entries: Annotated[
        list[Release],
        Meta(max_length=100, description="The first hundred; `GET /api/v1/releases?franchise=` pages through all."),
    ]


class ScheduleItem(Struct, frozen=True, kw_only=True):
    """One episode that airs, with the release it belongs to."""

    release: ReleaseReference
    episode: Episode


class ScheduleDay(Struct, frozen=True, kw_only=True):
    """What airs on one day."""

    date: dt.date
    weekday: Weekday
    items: Annotated[list[ScheduleItem], Meta(description="By `air_at`; empty when nothing airs.")]


class Schedule(Struct, frozen=True, kw_only=True):
    """What airs in one week, Monday to Sunday. Days begin at midnight of `tz`; times stay in UTC."""

    first_day: Annotated[dt.date, Meta(description="The week's Monday.")]
    last_day: Annotated[dt.date, Meta(description="The week's Sunday.")]
    tz: Annotated[str, Meta(description="The IANA time zone whose midnights part the days.")]
    count: Annotated[int, Meta(ge=0, description="How many episodes air in the week.")]
    days: Annotated[list[ScheduleDay], Meta(min_length=7, max_length=7)]
