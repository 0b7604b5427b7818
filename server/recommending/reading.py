"""Ratings from a file of lists: CSV with a header, in it `user`, `anime_id` and `score`; plain or gzip."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from server.importing.reading import BrokenFileError, opened
from server.lists.formats import Bounded
from server.recommending.protocol import Ratings

LARGEST_UNPACKED = 1 << 30
# What memory is there for; a larger set is judged by its first part, in the order of the file.
MOST_RATINGS = 1_200_000
# Columns by the names that dumps give them.
COLUMNS = (("user", "user_id", "username"), ("anime_id", "mal_id"), ("score", "rating", "my_score"))
BEST, LAST_ID = 10, 2**62


def add_file(ratings: Ratings, path: Path) -> bool:
    """Every row with a score; of several for the same title the first counts. False if it was too much to take whole.

    Rows that say nothing are counted in `ratings.left_out`. BrokenFileError if it is no such file.
    """
    people: dict[str, int] = {}
    for user, item, score in _rows(path):
        found = _rating(item, score)
        if isinstance(found, str):
            ratings.left_out[found] += 1
        elif len(ratings) == MOST_RATINGS:
            return False
        else:
            ratings.add(people.setdefault(user, len(people)), *found)
    return True


def _rows(path: Path) -> Iterator[tuple[str, str, str]]:
    """(user, title, score) as they stand there; of a row that is cut off or too long, nothing."""
    with opened(path) as stream:
        text = io.TextIOWrapper(io.BufferedReader(Bounded(stream, LARGEST_UNPACKED)), "utf-8-sig", newline="")
        try:
            rows = csv.reader(text)
            header = [name.strip() for name in next(rows, [])]
            user, item, score = (_place(header, names) for names in COLUMNS)
            for row in rows:
                if row:
                    yield (row[user], row[item], row[score]) if len(row) == len(header) else ("", "", "")
        except (csv.Error, UnicodeDecodeError) as error:
            raise BrokenFileError("not a CSV file in UTF-8") from error


def _place(header: list[str], names: tuple[str, ...]) -> int:
    found = [header.index(name) for name in names if name in header]
    if not found:
        raise BrokenFileError(f"the header lacks {names[0]}")
    return found[0]


def _rating(item: str, score: str) -> tuple[int, int] | str:
    """The title and what it was given, 1 to 10, or why it does not count. Nothing is rounded up: 6.6 is below 7."""
    try:
        number, value = int(item), float(score or 0)
    except ValueError:
        return "with no valid title or score"
    if value == 0:
        return "without a score"
    return (number, int(value)) if 0 < number < LAST_ID and 1 <= value <= BEST else "with no valid title or score"
