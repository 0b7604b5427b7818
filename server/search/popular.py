"""The names of the most popular documents, in memory: what one or two letters begin is found among them at once."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from sys import getsizeof

# Their names take about a megabyte.
MOST = 2_000
# How many of each sort are more than anybody shows.
ENOUGH = 40
# How well a name fits what is being typed: it is just that, begins with it, has a word that begins with it, or neither
# but all the words; and where the last of these is a single letter, that may be nowhere the beginning of a word.
SAME, BEGINS, HOLDS, NEITHER, STRAYS = range(5)


class PopularNames:
    """Names by slot, from the most popular document on: all of them in one text, a name a line, as texts are searched
    faster than lists."""

    def __init__(self) -> None:
        self._text = ""
        # Where in the text the names of each document begin, and its slot.
        self._starts = array("I")
        self._slots = array("I")
        # The place of each slot among them.
        self._places: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._slots)

    def __contains__(self, slot: int) -> bool:
        return slot in self._places

    @property
    def weight(self) -> int:
        """The bytes it takes, about."""
        return getsizeof(self._text) + 130 * len(self._slots)

    def keys(self, slot: int) -> list[str]:
        """The names of a document; none where it is not among them."""
        place = self._places.get(slot)
        return [] if place is None else self._text[self._starts[place] + 1 : self._end(place) - 1].split("\n")

    def _end(self, place: int) -> int:
        return self._starts[place + 1] if place + 1 < len(self._starts) else len(self._text)

    def replace(self, names: Mapping[int, Sequence[str]]) -> None:
        """All of them anew, in this order."""
        self._fill({slot: _lines(keys) for slot, keys in names.items()})

    def put(self, names: Mapping[int, Sequence[str]]) -> None:
        """Some of them anew; others are added while there is room, as the least popular."""
        if not names:
            return
        known = {slot: self._text[self._starts[at] : self._end(at)] for slot, at in self._places.items()}
        for slot, keys in names.items():
            if slot in known or len(known) < MOST:
                known[slot] = _lines(keys)
        self._fill(known)

    def _fill(self, names: Mapping[int, str]) -> None:
        self._slots, self._starts = array("I", names), array("I")
        start = 0
        for lines in names.values():
            self._starts.append(start)
            start += len(lines)
        self._text = "".join(names.values())
        self._places = {slot: place for place, slot in enumerate(names)}

    def beginning(self, key: str, most: int = ENOUGH) -> list[tuple[int, int, str]]:
        """How well (SAME, BEGINS, HOLDS), the slot, the name: up to `most` of each sort, from the most popular on."""
        best: dict[int, tuple[int, int, str]] = {}
        for fitness, begin in ((SAME, f"\n{key}\n"), (BEGINS, f"\n{key}"), (HOLDS, f" {key}")):
            self._look_for(fitness, begin, most, best)
            if fitness == BEGINS and len(best) >= most:
                break
        return list(best.values())

    def _look_for(self, fitness: int, begin: str, most: int, best: dict[int, tuple[int, int, str]]) -> None:
        text, found = self._text, 0
        place = text.find(begin)
        while place >= 0 and found < most:
            document = bisect_right(self._starts, place) - 1
            slot = self._slots[document]
            if slot not in best:
                best[slot] = fitness, slot, _line_at(text, place + 1)
                found += 1
            # One name of a document is enough.
            place = text.find(begin, self._end(document))


def _lines(keys: Sequence[str]) -> str:
    return "\n" + "\n".join(keys) + "\n"


def _line_at(names: str, place: int) -> str:
    return names[names.rfind("\n", 0, place) + 1 : names.find("\n", place)]


def fit(key: str, keys: Sequence[str]) -> tuple[int, str]:
    """How well the best of a document's names fits what is being typed, and that name."""
    last = key[-1] if key[-2:-1] == " " else ""
    found = STRAYS if last else NEITHER, keys[0] if keys else ""
    for one in keys:
        if one == key:
            return SAME, one
        if one.startswith(key):
            found = min(found, (BEGINS, one))
        elif f" {key}" in one:
            found = min(found, (HOLDS, one))
        elif last and f" {last}" in f" {one}":
            found = min(found, (NEITHER, one))
    return found
