"""Reading lists: MyAnimeList's XML export, and CSV with `user,anime_id,score,status,watched_episodes`; plain or gzip.

Both stream. What is unpacked is bounded too, so that a small file cannot grow into a large one.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse

from server.importing.reading import BrokenFileError, opened
from server.lists.rows import SOURCE, BadRow, ListRow, make_row

LARGEST_UNPACKED = 256 << 20
MOST_ROWS = 500_000
# MyAnimeList's names, by ours.
XML_NAMES = {
    "id": "series_animedb_id",
    "title": "series_title",
    "status": "my_status",
    "score": "my_score",
    "watched": "my_watched_episodes",
}
CSV_NAMES = {"id": "anime_id", "title": "title", "status": "status", "score": "score", "watched": "watched_episodes"}

Rows = Iterator[ListRow | BadRow]


class Bounded(io.RawIOBase):
    """A stream that ends with BrokenFileError once it has given more than `most` bytes."""

    def __init__(self, stream: IO[bytes], most: int) -> None:
        self._stream = stream
        self._left = most

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer; how many bytes there were, 0 at the end."""
        found = self._stream.read(len(buffer))
        self._left -= len(found)
        if self._left < 0:
            raise BrokenFileError("the file is too large once unpacked")
        buffer[: len(found)] = found
        return len(found)


def read_xml(stream: IO[bytes]) -> Rows:
    """The rows of a MyAnimeList export. BrokenFileError if it is no such file; entities and DTDs are refused."""
    place = 0
    try:
        root = None
        for moment, element in iterparse(stream, events=("start", "end"), forbid_dtd=True):
            if root is None:
                root = element
                if element.tag != "myanimelist":
                    raise BrokenFileError("not a MyAnimeList export")
            if moment == "end" and element.tag == "anime":
                place += 1
                yield make_row(place, SOURCE, {ours: element.findtext(name) or "" for ours, name in XML_NAMES.items()})
                # What was read is let go; the root would otherwise keep every element.
                root.clear()
    except (ParseError, DefusedXmlException, UnicodeDecodeError, LookupError, ValueError) as error:
        raise BrokenFileError(f"not well-formed XML after {place} titles") from error


def read_csv(stream: IO[bytes]) -> Rows:
    """The rows of a CSV file with a header. BrokenFileError if a column is missing or it is no text."""
    text = io.TextIOWrapper(stream, "utf-8-sig", newline="")
    try:
        rows = csv.DictReader(text)
        missing = {"anime_id", "status"} - set(rows.fieldnames or ())
        if missing:
            raise BrokenFileError(f"the header lacks {', '.join(sorted(missing))}")
        for place, row in enumerate(rows, 1):
            said = {ours: row.get(name) or "" for ours, name in CSV_NAMES.items()}
            yield make_row(place, SOURCE, said, (row.get("user") or "").strip())
    except (csv.Error, UnicodeDecodeError) as error:
        raise BrokenFileError("not a CSV file in UTF-8") from error


FORMATS: dict[str, Callable[[IO[bytes]], Rows]] = {"myanimelist": read_xml, "ratings": read_csv}


def read_list(path: Path, format_name: str = "") -> Rows:
    """The rows of a file; without a format, found out from its first bytes. Raises BrokenFileError."""
    with opened(path) as stream:
        bounded = io.BufferedReader(Bounded(stream, LARGEST_UNPACKED))
        chosen = format_name or (
            "myanimelist" if bounded.peek(64).lstrip(b"\xef\xbb\xbf \r\n\t")[:1] == b"<" else "ratings"
        )
        for count, row in enumerate(FORMATS[chosen](bounded), 1):
            if count > MOST_ROWS:
                raise BrokenFileError(f"the file has more than {MOST_ROWS:,} rows")
            yield row
