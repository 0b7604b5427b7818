"""The `bangumi` format: a JSON array of works with titles by language, dates and ids at many sites."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from server.importing.drafts import Item, Rejection
from server.importing.planning import SourceFormat
from server.importing.reading import Notes, Position, draft_of, elements, opened, require_object, rows, whole
from server.importing.report import Report

# A series at TMDB is several releases here.
SOURCE = SourceFormat("bangumi", own_keys=True, shared_ids=frozenset({"tmdb"}))

TYPES = {"tv": "tv", "movie": "movie", "ova": "ova", "web": "web"}
# Sites that describe a work; the others only stream it, often a whole series under one id.
SITES = frozenset({"bangumi", "mal", "anidb", "anilist", "tmdb", "kitsu", "ann", "anisearch", "imdb"})
NOT_SOURCE = re.compile(r"[^a-z0-9_]+")
LANGUAGE = re.compile(r"[a-z]{2,8}(-[A-Za-z0-9]{1,8})*")
SEASONS = ("winter", "spring", "summer", "autumn")
# Dates are given in UTC and meant in Japan, where a quarter begins nine hours earlier.
JAPAN = timedelta(hours=9)
SYNONYMS_MAX = 200


def read(path: Path, report: Report, position: Position) -> Iterator[Item | Rejection]:
    """The works of a file, in its order. Raises BrokenFileError."""
    with opened(path, position) as stream:
        yield from rows(elements(stream, "item", path), path, lambda number, one: item_of(number, one, path, report))


def item_of(number: int, element: Any, path: Path, report: Report) -> Item:
    """One work. Raises InvalidRowError."""
    said = require_object(element)
    ids = ids_of(said.get("sites"))
    key = str(ids["bangumi"]) if "bangumi" in ids else None
    notes = Notes(report, path, number, key or "")
    draft = {
        "title": notes.cleaned("title", said.get("title")),
        "external_ids": ids,
        **titles_of(said, notes),
        **dates_of(said, notes),
    }
    kind = TYPES.get(str(said.get("type") or ""))
    if kind:
        draft["type"] = kind
    else:
        notes.repaired("type", "is empty or unknown: left out")
    return Item(number, key, draft_of(draft), str(path))


def ids_of(sites: Any) -> dict[str, int | str]:
    """Ids by site; those that are numbers as numbers."""
    found: dict[str, int | str] = {}
    for site in sites if isinstance(sites, list) else []:
        if not isinstance(site, dict):
            continue
        name = NOT_SOURCE.sub("_", str(site.get("site") or "").lower())
        value = site.get("id")
        if name in SITES and name not in found and isinstance(value, int | str) and value != "":
            number = whole(value)
            found[name] = value if number is None else number
    return found


def titles_of(said: dict[str, Any], notes: Notes) -> dict[str, Any]:
    """The first title of each language, and the others as synonyms."""
    titles: dict[str, str] = {}
    others: list[str] = []
    own = str(said.get("lang") or "")
    translated = said.get("titleTranslate")
    for language, names in [(own, [said.get("title")]), *(translated.items() if isinstance(translated, dict) else ())]:
        found = notes.titles(f"titleTranslate.{language}", names if isinstance(names, list) else [], SYNONYMS_MAX)
        if found and LANGUAGE.fullmatch(language) and language not in titles:
            titles[language] = found.pop(0)
        others += found
    synonyms = [one for one in dict.fromkeys(others) if one not in titles.values()][:SYNONYMS_MAX]
    return {"titles": titles} | ({"synonyms": synonyms} if synonyms else {})


def dates_of(said: dict[str, Any], notes: Notes) -> dict[str, Any]:
    """Year, season and status as its dates tell them."""
    begin, end = (moment_of(said.get(name), name, notes) for name in ("begin", "end"))
    if begin is None:
        return {"status": "announced"}
    local, now = begin + JAPAN, datetime.now(UTC)
    started = "ongoing" if end is None or end > now else "finished"
    status = "announced" if begin > now else started
    found: dict[str, Any] = {"status": status, "season": SEASONS[(local.month - 1) // 3]}
    return found | ({"year": local.year} if 1900 <= local.year <= 2100 else {})


def moment_of(value: Any, field: str, notes: Notes) -> datetime | None:
    """A time, or None where there is none."""
    if not value:
        return None
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        notes.repaired(field, "is not a time: left out")
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
