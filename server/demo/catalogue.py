"""The releases of the demo, one after another: release `number` is the same whatever comes after it.

Numbers go in blocks of ten, a block falls into works of one to four parts (a franchise from two on). What the parts
share comes from the work's own generator, the rest from the part's: nothing depends on how many are asked for, except
that catalogues above 10,000 have shorter works.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

from server.demo.chance import Weighted, chance, pick, several
from server.demo.episodes import SEASONS, WEEK, episodes, how_many, premiere, season_of
from server.demo.titles import Name, invented_name, invented_titles, some_titles, synonyms, synopsis, titles_of_part
from server.demo.words import GENRES, TAGS
from server.importing.pipeline import Item
from server.schemas.catalogue import AgeRating, EpisodeDraft, ReleaseDraft, ReleaseStatus, ReleaseType, Season

BLOCK = 10
FIRST_YEAR, LAST_YEAR = 1985, 2026
MANY = 10_000
# Today's broadcasts are among the first releases; a larger catalogue has a longer past.
RECENT_BLOCKS = 200

LENGTHS = Weighted({1: 60, 2: 18, 3: 14, 4: 8})
TYPES: Weighted[ReleaseType] = Weighted(
    {"tv": 44, "movie": 15, "ona": 13, "ova": 11, "special": 8, "music": 4, "web": 3, "other": 2}
)
AGES: Weighted[AgeRating] = Weighted({"0+": 6, "6+": 12, "12+": 34, "16+": 36, "18+": 12})
PART_NAMES = ("first", "second", "movie", "third")
PART_TYPES: dict[str, ReleaseType] = {"second": "tv", "third": "tv", "movie": "movie", "ova": "ova"}
CURRENT: Weighted[ReleaseStatus] = Weighted({"ongoing": 70, "announced": 22, "paused": 8})


@dataclass(frozen=True, slots=True)
class Work:
    """What the parts of a franchise, or a work that stands alone, have in common."""

    number: int
    parts: int
    name: Name
    titles: dict[str, str]
    genres: list[str]
    tags: list[str]
    age_rating: AgeRating
    year: int
    fame: float
    # The state of its last part; the others are finished.
    status: ReleaseStatus


@dataclass(frozen=True, slots=True)
class Calendar:
    """Now as the demo sees it: the day, and the Monday of its week."""

    today: datetime
    monday: datetime

    @classmethod
    def of(cls, now: datetime) -> Calendar:
        """The calendar of the day of `now`."""
        today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return cls(today, today - timedelta(days=today.weekday()))


def items(releases: int, seed: int, now: datetime) -> Iterator[Item]:
    """The first `releases` of the catalogue of `seed`, ready for the import."""
    calendar = Calendar.of(now)
    for first in range(1, releases + 1, BLOCK):
        for work in works(seed, first):
            for part in range(min(work.parts, releases - work.number + 1)):
                draft = release(work, part, seed, calendar, shorter=releases > MANY)
                yield Item(work.number + part, str(work.number + part), draft)


def works(seed: int, first: int) -> Iterator[Work]:
    """The works of the block that begins with release `first`."""
    rng = chance(seed, "block", first)
    number, end = first, first + BLOCK
    while number < end:
        parts = min(LENGTHS.draw(rng), end - number)
        yield work(chance(seed, "work", number), number, parts)
        number += parts


def work(rng: Random, number: int, parts: int) -> Work:
    """The work whose first part is release `number`."""
    name = invented_name(rng)
    return Work(
        number=number,
        parts=parts,
        name=name,
        titles=invented_titles(rng, name),
        genres=several(rng, GENRES, 1 + int(rng.random() * 5), 2.2),
        tags=several(rng, TAGS, int(rng.random() * 9), 1.8),
        age_rating=AGES.draw(rng),
        year=LAST_YEAR - int((LAST_YEAR - FIRST_YEAR + 1) * rng.random() ** 1.4),
        fame=rng.random() ** 8,
        status=last_status(rng, number),
    )


def last_status(rng: Random, number: int) -> ReleaseStatus:
    """How far the last part of a work has come; the very first work is always on air."""
    current, drawn = CURRENT.draw(rng), rng.random()
    if number == 1:
        return "ongoing"
    return current if drawn < (0.18 if number <= RECENT_BLOCKS * BLOCK else 0.006) else "finished"


def release(work: Work, part: int, seed: int, calendar: Calendar, *, shorter: bool) -> ReleaseDraft:
    """One part of a work as an import would say it."""
    rng = chance(seed, "release", work.number + part)
    name = part_name(rng, part)
    titles = titles_of_part(work.titles, name)
    title, known = some_titles(rng, titles)
    status: ReleaseStatus = work.status if part == work.parts - 1 else "finished"
    kind = kind_of(rng, work, name, status)
    count = how_many(rng, kind, shorter=shorter)
    first, drafts = broadcast(rng, kind, count, status, work.year + part, calendar)
    # One of the four words; the function's own type is plain text.
    season: Season = season_of(first)  # type: ignore[assignment]
    return ReleaseDraft(
        title=title,
        titles=known,
        synonyms=synonyms(rng, work.name, titles),
        synopsis=synopsis(rng, work.name),
        type=kind,
        status=status,
        season=season,
        year=first.year,
        age_rating=work.age_rating,
        episodes_total=None if status == "announced" else max(count, len(drafts)),
        genres=work.genres,
        tags=list(dict.fromkeys([*work.tags, *several(rng, TAGS, 2, 1.8)])),
        franchise=work.titles["romaji"] if work.parts > 1 else None,
        external_ids={"demo": work.number + part},
        popularity=int((3_000_000 * work.fame + 40 * rng.random()) * (0.4 + 0.6 * rng.random()) / (1 + part)),
        episodes=drafts,
    )


def part_name(rng: Random, part: int) -> str:
    """Which kind of part it is; between two seasons stands a film or an OVA."""
    name = PART_NAMES[part]
    return "ova" if name == "movie" and rng.random() < 0.35 else name


def kind_of(rng: Random, work: Work, name: str, status: ReleaseStatus) -> ReleaseType:
    """Its type; what is on air or paused is a series, so is what others continue."""
    drawn = TYPES.draw(rng)
    if status in ("ongoing", "paused") or work.parts > 1:
        return PART_TYPES.get(name, "tv") if status == "finished" else "tv"
    return drawn


def broadcast(
    rng: Random, kind: ReleaseType, count: int, status: ReleaseStatus, year: int, calendar: Calendar
) -> tuple[datetime, list[EpisodeDraft]]:
    """When it begins, and the episodes known so far."""
    begin = premiere(rng, min(year, calendar.today.year - 1), pick(rng, SEASONS))
    if status == "announced":
        return begin.replace(year=calendar.today.year + 1), []
    if status == "finished":
        return begin, episodes(rng, kind, count, begin, special=count > 6 and rng.random() < 0.06)
    # Counted from the Monday of the week, so that a second run on another day of it says the same.
    this_week = calendar.monday + timedelta(days=int(rng.random() * 7), minutes=30 * int(rng.random() * 48))
    aired = 1 + int(rng.random() * 12)
    first = this_week - (aired - 1) * WEEK
    if status == "paused":
        return first - 8 * WEEK, episodes(rng, kind, aired, first - 8 * WEEK, special=False)
    return first, episodes(rng, kind, aired + 2, first, special=False)
