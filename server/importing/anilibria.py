"""The `anilibria` format: three JSON arrays side by side, `releases`, `episodes` and `franchises`, plain or gzip.

Episodes come in another order than releases, so both other files go through a look-aside on the disk first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from server.importing.anilibria_episodes import episodes_of
from server.importing.drafts import Item, Rejection
from server.importing.planning import SourceFormat
from server.importing.reading import (
    BrokenFileError,
    Notes,
    Position,
    draft_of,
    elements,
    opened,
    require_object,
    rows,
    whole,
)  # fmt: skip
from server.importing.report import Report
from server.importing.spill import Spill, spilled
from server.rules.slugs import slugify
from server.rules.titles import clean_line, clean_text

SOURCE = SourceFormat("anilibria", own_keys=True)

TYPES = {
    "тв": "tv", "фильм": "movie", "ova": "ova", "oad": "ova", "ona": "ona", "спешл": "special", "web": "web",
    "дорама": "other",
}  # fmt: skip
SEASONS = {"зима": "winter", "весна": "spring", "лето": "summer", "осень": "autumn"}
STATUSES = {
    "озвучка завершена": "finished",
    "сейчас в озвучке": "ongoing",
    "анонс": "announced",
    "приостановлено": "paused",
}
# Cyrillic letters that look like Latin ones, in lower case.
LOOK_ALIKE = str.maketrans("авекмнорстух", "abekmhopctyx")
AGE = re.compile(r"\((0|6|12|16|18)\+\)")
COUNT = re.compile(r"\(\s*(\d{1,5})\s*\)|\bиз\s+(\d{1,5})\b")


def read(path: Path, report: Report, position: Position) -> Iterator[Item | Rejection]:
    """The releases of a directory, or of its releases file. Raises BrokenFileError."""
    folder = path if path.is_dir() else path.parent
    releases = part(folder, "releases") if path.is_dir() else path
    if releases is None:
        raise BrokenFileError(f"{path}: holds neither releases.json nor releases.json.gz")
    with spilled() as aside:
        for name, keep in (("franchises", keep_franchise), ("episodes", keep_episodes)):
            if found := part(folder, name):
                keep_all(found, name, keep, aside, report)
        with opened(releases, position) as stream:
            yield from rows(
                elements(stream, "item", releases),
                releases,
                lambda number, one: item_of(number, one, releases, aside, report),
            )
        report_unknown(folder, aside, report)


def part(folder: Path, name: str) -> Path | None:
    """The file of this name, packed or not."""
    return next((found for end in (".json", ".json.gz") if (found := folder / (name + end)).is_file()), None)


def keep_all(path: Path, name: str, keep: Any, aside: Spill, report: Report) -> None:
    """Put a whole file aside; its unusable elements go to the report."""
    with opened(path) as stream:
        for number, element in elements(stream, "item", path):
            notes = Notes(report, path, number, "")
            if isinstance(element, dict):
                keep(element, number, aside, notes)
            else:
                notes.rejected("", f"an element of {name} must be an object")


def keep_franchise(element: dict[str, Any], number: int, aside: Spill, notes: Notes) -> None:
    """Remember for each release of a franchise what the franchise is called."""
    title = notes.cleaned("title", element.get("title"))[:300]
    for release in element.get("releasesIds") or [] if title else []:
        if (known := whole(release)) is not None and not aside.put("franchises", known, [title, number]):
            notes.repaired("releasesIds", f"release {known} is in another franchise already")


def keep_episodes(element: dict[str, Any], number: int, aside: Spill, notes: Notes) -> None:
    """Remember the episodes of a release."""
    release, items = whole(element.get("releaseId")), element.get("items")
    if release is None or not isinstance(items, list):
        notes.rejected("releaseId" if release is None else "items", "is missing or of the wrong kind")
    elif not aside.put("episodes", release, [items, number]):
        notes.rejected("releaseId", f"the episodes of release {release} came before")


def report_unknown(folder: Path, aside: Spill, report: Report) -> None:
    """Say which releases the other files speak of though there are none."""
    for name in ("franchises", "episodes"):
        for release, (_, number) in aside.unused(name):
            path = part(folder, name) or folder
            Notes(report, path, number, str(release)).repaired("", f"names release {release}, which is not in the file")


def item_of(number: int, element: Any, path: Path, aside: Spill, report: Report) -> Item:
    """One release. Raises InvalidRowError."""
    said = require_object(element)
    key = whole(said.get("id"))
    notes = Notes(report, path, number, str(key or ""))
    draft: dict[str, Any] = {
        "title": notes.cleaned("title", said.get("title")) or notes.cleaned("originalName", said.get("originalName")),
        "external_ids": {} if key is None else {"anilibria": key},
        **texts_of(said, notes), **terms_of(said, notes), **numbers_of(said, notes),
    }  # fmt: skip
    if key is not None:
        if franchise := aside.take("franchises", key):
            draft["franchise"] = franchise[0]
        if episodes := aside.take("episodes", key):
            draft["episodes"] = episodes_of(
                episodes[0], Notes(report, part(path.parent, "episodes") or path, episodes[1], str(key))
            )
    return Item(number, None if key is None else str(key), draft_of(draft), str(path))


def texts_of(said: dict[str, Any], notes: Notes) -> dict[str, Any]:
    """Titles, slug, synopsis and genres."""
    titles = {"ru": clean_line(str(said.get("title") or "")), "romaji": clean_line(str(said.get("originalName") or ""))}
    found: dict[str, Any] = {"titles": {language: title for language, title in titles.items() if title}}
    if slug := slugify(str(said.get("code") or "")):
        found["slug"] = slug
    if synopsis := notes.cleaned("description", said.get("description"), clean_text):
        found["synopsis"] = synopsis
    genres = [genre for one in str(said.get("genres") or "").split(",") if (genre := clean_line(one))]
    return found | ({"genres": genres} if genres else {})


def terms_of(said: dict[str, Any], notes: Notes) -> dict[str, Any]:
    """Type, status, season and age rating in our words; what is empty or unknown stays unsaid."""
    found: dict[str, Any] = {}
    if kind := type_of(said.get("type"), notes):
        found["type"] = kind
    status = STATUSES.get(clean_line(str(said.get("status") or "")).casefold())
    if said.get("isOngoing") is True or status:
        found["status"] = "ongoing" if said.get("isOngoing") is True else status
    if season := SEASONS.get(clean_line(str(said.get("season") or "")).casefold()):
        found["season"] = season
    if age := AGE.search(str(said.get("ageRating") or "")):
        found["age_rating"] = f"{age[1]}+"
    return found


def type_of(value: Any, notes: Notes) -> str | None:
    """The type in our words; letters of the wrong alphabet are seen through."""
    text = clean_line(str(value or ""))
    if not text:
        notes.repaired("type", "is empty: left out")
        return None
    if found := TYPES.get(text.casefold()):
        return found
    found = TYPES.get(text.casefold().translate(LOOK_ALIKE))
    notes.repaired(
        "type", f"{text!r} has letters of two alphabets: read as {found}" if found else f"{text!r} is unknown: left out"
    )
    return found


def numbers_of(said: dict[str, Any], notes: Notes) -> dict[str, Any]:
    """Year, number of episodes and popularity."""
    found: dict[str, Any] = {}
    if (year := whole(said.get("year"))) and 1900 <= year <= 2100:
        found["year"] = year
        if isinstance(said.get("year"), str):
            notes.repaired("year", "a text: read as a number")
    elif said.get("year") not in (None, "", 0):
        notes.repaired("year", "is not a year: left out")
    if count := COUNT.search(str(said.get("series") or "")):
        found["episodes_total"] = int(count[1] or count[2])
        notes.repaired("series", "number of episodes read from the text")
    if (popularity := whole(said.get("rating"))) is not None and 0 <= popularity <= 2_000_000_000:
        found["popularity"] = popularity
    if whole(said.get("timestamp")) == 0:
        notes.repaired("timestamp", "0 is no time: read as absent")
    return found
