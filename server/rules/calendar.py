"""Calendars (RFC 5545), written as text. What is written depends on the episodes alone, so its hash may name it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from server.rules import time_zones
from server.rules.letters import language_of
from server.rules.markup import clean, line

CONTENT_TYPE = "text/calendar; charset=utf-8"
# What an episode takes if nobody has said.
USUAL_SECONDS = 24 * 60
LONGEST_LINE = 75
# Entries written at a time.
PORTION = 100
ESCAPES = str.maketrans({"\\": "\\\\", ";": "\\;", ",": "\\,", "\n": "\\n"})
NAMES = {"en": ("What I follow", "episode"), "ru": ("Что я смотрю", "серия")}


@dataclass(frozen=True, slots=True)
class Airing:
    """An episode at its time. `sequence` counts how often it was moved, `modified` is when that was last."""

    episode_id: int
    release_id: int
    release_title: str
    ordinal: str
    title: str
    air_at: datetime
    duration_seconds: int | None
    sequence: int
    modified: datetime
    cancelled: bool


@dataclass(frozen=True, slots=True)
class Style:
    """Whose calendar it is: `authority` gives the names, `releases` is an absolute address or empty, `home` the
    owner's time zone; with `zone` times are local ones there."""

    authority: str
    releases: str
    locale: str
    home: str
    zone: ZoneInfo | None = None


def write(airings: Sequence[Airing], style: Style) -> bytes:
    """The document."""
    return b"".join(portions(airings, style))


def portions(airings: Sequence[Airing], style: Style) -> Iterator[bytes]:
    """The document, so many entries at a time: whoever writes it may look after something else in between."""
    yield _finished(_head(airings, style))
    _, word = NAMES[language_of(style.locale)]
    for first in range(0, len(airings), PORTION):
        yield _finished(text for airing in airings[first : first + PORTION] for text in _event(airing, style, word))
    yield b"END:VCALENDAR\r\n"


def _finished(lines: Iterable[str]) -> bytes:
    return "".join([f"{folded(text)}\r\n" for text in lines]).encode()


def _head(airings: Sequence[Airing], style: Style) -> Iterator[str]:
    name, _ = NAMES[language_of(style.locale)]
    yield "BEGIN:VCALENDAR"
    yield "VERSION:2.0"
    yield "PRODID:-//Yojohan//Calendar//EN"
    yield "CALSCALE:GREGORIAN"
    yield "METHOD:PUBLISH"
    yield f"X-WR-CALNAME:{escaped(name)}"
    yield f"X-WR-TIMEZONE:{escaped(line(style.home if style.zone is None else style.zone.key))}"
    yield "REFRESH-INTERVAL;VALUE=DURATION:PT1H"
    yield "X-PUBLISHED-TTL:PT1H"
    if style.zone is not None and airings:
        moments = [airing.air_at for airing in airings]
        yield from time_zones.lines(style.zone, min(moments), max(moments))


def _event(airing: Airing, style: Style, word: str) -> tuple[str, ...]:
    modified = _utc(airing.modified)
    return (
        "BEGIN:VEVENT",
        f"UID:episode-{airing.episode_id}@{style.authority}",
        # The moment of the last change, as for everything that is published and not sent to somebody.
        f"DTSTAMP:{modified}",
        f"LAST-MODIFIED:{modified}",
        f"SEQUENCE:{airing.sequence}",
        f"DTSTART{_start(airing.air_at, style.zone)}",
        f"DURATION:{duration(airing.duration_seconds or USUAL_SECONDS)}",
        f"SUMMARY:{escaped(summary(airing, word))}",
        f"STATUS:{'CANCELLED' if airing.cancelled else 'CONFIRMED'}",
        "TRANSP:TRANSPARENT",
        *((f"URL:{style.releases}/{airing.release_id}",) if style.releases else ()),
        "END:VEVENT",
    )


def summary(airing: Airing, word: str) -> str:
    """What the entry is called."""
    title = line(airing.title)
    return f"{line(airing.release_title)} — {word} {airing.ordinal}" + (f": {title}" if title else "")


def _start(moment: datetime, zone: ZoneInfo | None) -> str:
    if zone is None:
        return f":{_utc(moment)}"
    local = moment.astimezone(zone)
    # The time that the clock shows for the second time in a night cannot be said as a local one.
    return f":{_utc(moment)}" if local.fold else f";TZID={zone.key}:{_digits(local)}"


def _utc(moment: datetime) -> str:
    return f"{_digits(moment if moment.tzinfo is UTC else moment.astimezone(UTC))}Z"


def _digits(moment: datetime) -> str:
    # A third of what strftime takes.
    return moment.isoformat(timespec="seconds")[:19].replace("-", "").replace(":", "")


def duration(seconds: int) -> str:
    """So many seconds as a calendar says them."""
    minutes, rest = divmod(max(0, seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{value}{unit}" for value, unit in ((hours, "H"), (minutes, "M"), (rest, "S")) if value]
    # Units must not have gaps: hours and seconds need the minutes between them.
    if hours and rest and not minutes:
        parts.insert(1, "0M")
    return "PT" + ("".join(parts) or "0S")


def escaped(text: str) -> str:
    """The text as a value."""
    return clean(text).translate(ESCAPES)


def folded(text: str) -> str:
    """The line, cut where it is longer than 75 octets; never inside of a letter."""
    if len(text) <= LONGEST_LINE and (text.isascii() or len(text.encode()) <= LONGEST_LINE):
        return text
    octets, parts, room = text.encode(), [], LONGEST_LINE
    while len(octets) > room:
        cut = room
        while octets[cut] & 0xC0 == 0x80:
            cut -= 1
        parts.append(octets[:cut].decode())
        octets = octets[cut:]
        # The blank that says "continued" counts.
        room = LONGEST_LINE - 1
    return "\r\n ".join((*parts, octets.decode()))
