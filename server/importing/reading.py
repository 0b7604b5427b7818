"""Files as streams: plain or gzip, lines of bounded length, elements of a JSON array; never a whole file in memory."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, TypeVar

import ijson
import msgspec

from server.importing.drafts import InvalidRowError, Item, Rejection, invalid
from server.importing.report import Report
from server.rules.titles import clean_line
from server.schemas.catalogue import ReleaseDraft

GZIP_MAGIC = b"\x1f\x8b"
# A release of 5,000 episodes with long titles stays below it.
LINE_MAX = 8 << 20
CHUNK = 64 << 10
TITLE_MAX = 300
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

Parsed = TypeVar("Parsed")


class BrokenFileError(Exception):
    """A file cannot be read on: it is missing, cut off, or not what its format says"""


class Position:
    """How far a set of files has been read, in bytes as they lie on the disk."""

    def __init__(self) -> None:
        self.done = 0
        self.total = 0


class Counted(io.RawIOBase):
    """A binary file that tells a Position how much of it was read."""

    def __init__(self, raw: IO[bytes], position: Position) -> None:
        self._raw = raw
        self._position = position

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer; how many bytes there were, 0 at the end."""
        found = self._raw.read(len(buffer))
        buffer[: len(found)] = found
        self._position.done += len(found)
        return len(found)


@contextmanager
def opened(path: Path, position: Position | None = None) -> Iterator[IO[bytes]]:
    """The bytes of a file, unpacked where it is gzip, whatever its name. Raises BrokenFileError."""
    try:
        with path.open("rb") as raw:
            stream = io.BufferedReader(Counted(raw, position or Position()), CHUNK)
            if stream.peek(2)[:2] == GZIP_MAGIC:
                with gzip.GzipFile(fileobj=stream) as unpacked:
                    yield unpacked  # type: ignore[misc]
            else:
                yield stream
    except (EOFError, OSError, zlib.error) as error:
        raise BrokenFileError(f"{path}: {error}") from error


def lines(stream: IO[bytes]) -> Iterator[tuple[int, bytes | None]]:
    """Lines with their numbers, blank ones left out; None for a line that is too long to be one row."""
    number = 0
    while line := stream.readline(LINE_MAX + 1):
        number += 1
        if len(line) > LINE_MAX and not line.endswith(b"\n"):
            while (rest := stream.readline(CHUNK)) and not rest.endswith(b"\n"):
                pass
            yield number, None
            continue
        line = line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line
        if line.strip():
            yield number, line


def elements(stream: IO[bytes], prefix: str, path: Path) -> Iterator[tuple[int, Any]]:
    """Elements of a JSON array with their numbers from 1. Raises BrokenFileError where the JSON ends or breaks."""
    number = 0
    try:
        for element in ijson.items(stream, prefix, buf_size=CHUNK):
            number += 1
            yield number, element
    except (ijson.JSONError, UnicodeDecodeError) as error:
        raise BrokenFileError(f"{path}: not valid JSON after element {number}") from error


def decode_line(line: bytes | None, decoder: Callable[[bytes], Parsed]) -> Parsed:
    """One line as an object. Raises InvalidRowError."""
    if line is None:
        raise InvalidRowError("", f"the line is longer than {LINE_MAX >> 20} MiB")
    try:
        return decoder(line)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise invalid(error) from error


class Notes:
    """Where the repairs of one row go."""

    def __init__(self, report: Report, path: Path, line: int, key: str) -> None:
        self._report = report
        self._path = str(path)
        self._line = line
        self._key = key

    def repaired(self, field: str, reason: str) -> None:
        """A value was corrected or left out."""
        self._report.repair(self._path, self._line, field, reason, self._key)

    def rejected(self, field: str, reason: str) -> None:
        """A part of the row cannot be stored; the rest goes on without it."""
        self._report.reject(self._path, self._line, field, reason, self._key)

    def cleaned(self, field: str, text: Any, clean: Callable[[str], str] = clean_line) -> str:
        """The text without HTML, foreign line breaks and control characters; empty where there is no text."""
        if not isinstance(text, str):
            return ""
        found = clean(text)
        if found != text.strip():
            self.repaired(field, "HTML, line breaks or control characters cleaned")
        return found

    def titles(self, field: str, texts: Iterable[Any], most: int) -> list[str]:
        """Cleaned, distinct titles; blank ones, too long ones and those beyond `most` are left out."""
        found = dict.fromkeys(text for one in texts if (text := self.cleaned(field, one)))
        fitting = [text for text in found if len(text) <= TITLE_MAX]
        if len(fitting) < len(found) or len(fitting) > most:
            self.repaired(field, f"more than {most} entries or {TITLE_MAX} characters: the rest left out")
        return fitting[:most]


def require_object(element: Any) -> dict[str, Any]:
    """The element, if it is a JSON object. Raises InvalidRowError."""
    if not isinstance(element, dict):
        raise InvalidRowError("", "must be an object")
    return element


def draft_of(said: dict[str, Any]) -> ReleaseDraft:
    """A draft from plain values, held against its schema. Raises InvalidRowError."""
    try:
        return msgspec.convert(said, ReleaseDraft)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise invalid(error) from error


def rows(
    numbered: Iterable[tuple[int, Any]], path: Path, item_of: Callable[[int, Any], Item | None]
) -> Iterator[Item | Rejection]:
    """Items made of numbered elements, a Rejection in place of each that cannot be made."""
    for number, element in numbered:
        try:
            item = item_of(number, element)
        except InvalidRowError as error:
            yield Rejection(number, error.field, error.reason, str(path))
            continue
        if item:
            yield item


def whole(value: Any) -> int | None:
    """A number or a text that says a whole number, as that number."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, Decimal) and value.is_finite() and value == int(value):
        return int(value)
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16 else None
