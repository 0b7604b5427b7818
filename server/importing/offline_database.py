"""The `anime-offline-database` format, as one JSON document or as lines: its metadata first, then an entry each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from server.importing.drafts import Item, Rejection
from server.importing.planning import SourceFormat
from server.importing.reading import (
    Notes,
    Position,
    decode_line,
    draft_of,
    elements,
    lines,
    opened,
    require_object,
    rows,
    whole,
)  # fmt: skip
from server.importing.report import Report

SOURCE = SourceFormat("anime-offline-database")

TYPES = {"TV": "tv", "MOVIE": "movie", "OVA": "ova", "ONA": "ona", "SPECIAL": "special"}
STATUSES = {"FINISHED": "finished", "ONGOING": "ongoing", "UPCOMING": "announced"}
SEASONS = {"WINTER": "winter", "SPRING": "spring", "SUMMER": "summer", "FALL": "autumn", "AUTUMN": "autumn"}
# Host to source, the steadiest ids first: the first one an entry has is its key.
HOSTS = {
    "myanimelist.net": "mal", "anidb.net": "anidb", "anilist.co": "anilist", "kitsu.app": "kitsu", "kitsu.io": "kitsu",
    "anime-planet.com": "anime_planet", "notify.moe": "notify_moe", "livechart.me": "livechart",
    "animecountdown.com": "animecountdown", "anisearch.com": "anisearch", "simkl.com": "simkl",
    "animenewsnetwork.com": "ann",
}  # fmt: skip
PRECEDENCE = tuple(dict.fromkeys(HOSTS.values()))
HEAD = 64 << 10
SYNONYMS_MAX, TAGS_MAX, TAG_MAX = 200, 300, 100


def read(path: Path, report: Report, position: Position) -> Iterator[Item | Rejection]:
    """The entries of a file, in its order. Raises BrokenFileError."""
    by_line = is_by_line(path)
    with opened(path, position) as stream:
        found = entries(stream) if by_line else elements(stream, "data.item", path)
        yield from rows(found, path, lambda number, one: item_of(number, one, path, report))


def is_by_line(path: Path) -> bool:
    """Whether the first line is an object of its own and not the document itself."""
    with opened(path) as stream:
        head = stream.readline(HEAD)
    try:
        first = msgspec.json.decode(head)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return False
    return isinstance(first, dict) and "data" not in first


def entries(stream: Any) -> Iterator[tuple[int, bytes | None]]:
    """The lines that may be entries: all but the metadata in the first."""
    for number, line in lines(stream):
        if number > 1 or (line is not None and b'"sources"' in line):
            yield number, line


def item_of(number: int, element: Any, path: Path, report: Report) -> Item:
    """One entry. Raises InvalidRowError."""
    if element is None or isinstance(element, bytes):
        element = decode_line(element, msgspec.json.decode)
    said = require_object(element)
    notes = Notes(report, path, number, "")
    ids = ids_of(said.get("sources"), notes)
    key = next((f"{source}:{ids[source]}" for source in PRECEDENCE if source in ids), None)
    draft = {
        "title": notes.cleaned("title", said.get("title")),
        "external_ids": ids,
        **terms_of(said, notes),
        **lists_of(said, notes),
    }
    return Item(number, key, draft_of(draft), str(path))


def ids_of(sources: Any, notes: Notes) -> dict[str, int | str]:
    """Ids by source, read from addresses."""
    found: dict[str, int | str] = {}
    for address in sources if isinstance(sources, list) else []:
        known = id_of(address) if isinstance(address, str) else None
        if known is None:
            notes.repaired("sources", f"{address!r:.200} names no entry we know: left out")
        elif known[0] in found:
            notes.repaired("sources", f"a second id at {known[0]}: left out")
        else:
            found[known[0]] = known[1]
    return found


def id_of(address: str) -> tuple[str, int | str] | None:
    """Source and id of an address such as https://anidb.net/anime/1; ann has it in the query."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    source = HOSTS.get((parts.hostname or "").removeprefix("www."))
    last = parts.query.rpartition("id=")[2].partition("&")[0] if source == "ann" else last_of_path(source, parts.path)
    if source is None or not 1 <= len(last) <= 200:
        return None
    number = whole(last)
    return source, last if number is None else number


def last_of_path(source: str | None, path: str) -> str:
    """The segment of the path that is the id; at anisearch a readable name may follow the number."""
    last = path.rstrip("/").rpartition("/")[2]
    return last.partition(",")[0] if source == "anisearch" else last


def terms_of(said: dict[str, Any], notes: Notes) -> dict[str, Any]:
    """Type, status, season, year and number of episodes; zero episodes means unknown."""
    found: dict[str, Any] = {}
    when = said.get("animeSeason")
    when = when if isinstance(when, dict) else {}
    for field, table, value in (
        ("type", TYPES, said.get("type")),
        ("status", STATUSES, said.get("status")),
        ("season", SEASONS, when.get("season")),
    ):
        if term := table.get(str(value or "").upper()):
            found[field] = term
    if (year := whole(when.get("year"))) and 1900 <= year <= 2100:
        found["year"] = year
    if (episodes := whole(said.get("episodes"))) and 0 < episodes <= 100_000:
        found["episodes_total"] = episodes
    elif said.get("episodes"):
        notes.repaired("episodes", "is not a number of episodes: left out")
    return found


def lists_of(said: dict[str, Any], notes: Notes) -> dict[str, Any]:
    """Synonyms and tags."""
    synonyms = notes.titles("synonyms", as_list(said.get("synonyms")), SYNONYMS_MAX)
    tags = [tag for tag in notes.titles("tags", as_list(said.get("tags")), TAGS_MAX) if len(tag) <= TAG_MAX]
    return {name: values for name, values in (("synonyms", synonyms), ("tags", tags)) if values}


def as_list(value: Any) -> list[Any]:
    """The value, if it is a list."""
    return value if isinstance(value, list) else []
