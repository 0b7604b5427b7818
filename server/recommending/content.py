"""What releases are about: weighted Jaccard over genres and tags, rare ones weighing more, by lists of carriers."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from server.recommending.interactions import Floats, Ints, Places, blocks
from server.rules.recommending import alike, rarity

Number = TypeVar("Number", np.int32, np.int64, np.float32)
# By this much at most a release gains for being popular: equally alike ones come in that order, no others.
TIE = 1e-5
# What is widened at a time, of words and of releases.
BLOCK = 20_000


class Catalogue:
    """The words, franchise and popularity of every release, in as few bytes as it takes. Releases come by their ids."""

    def __init__(self) -> None:
        self._ids = array("q")
        self._franchises = array("q")
        self._popularity = array("f")
        self._starts = array("q", [0])
        self._words = array("i")
        self._index: dict[tuple[str, int], int] = {}

    def add(
        self,
        identity: int,
        franchise_id: int | None,
        genre_ids: Iterable[int],
        tag_ids: Iterable[int],
        popularity: float,
    ) -> None:
        """One release more; its id is the highest so far."""
        self._ids.append(identity)
        self._franchises.append(franchise_id or 0)
        self._popularity.append(popularity)
        self._words.extend(self._place(word) for word in named(genre_ids, tag_ids))
        self._starts.append(len(self._words))

    def _place(self, word: tuple[str, int]) -> int:
        return self._index.setdefault(word, len(self._index))

    def done(self) -> Likeness:
        """All of it; nothing can be added any more."""
        return Likeness(
            _column(self._ids, np.int64),
            _column(self._franchises, np.int64),
            _column(self._popularity, np.float32),
            _column(self._starts, np.int64),
            _column(self._words, np.int32),
            self._index,
        )


class Likeness:
    """Compares one release at a time with all others."""

    def __init__(
        self,
        ids: Places,
        franchises: Places,
        popularity: Floats,
        starts: Places,
        words: Ints,
        index: dict[tuple[str, int], int],
    ) -> None:
        self.ids = ids
        self.franchises = franchises
        self._index = index
        carriers = _counts(words, len(index))
        self._rarities = np.array([rarity(int(one), len(ids)) for one in carriers], np.float32)
        self._firsts = np.concatenate(([0], np.cumsum(carriers)))
        self._whole = _sums(self._rarities, starts, words)
        release = np.repeat(np.arange(len(ids), dtype=np.int32), np.diff(starts))
        self._carriers = release[np.argsort(words, kind="stable")]
        del release
        order = np.argsort(np.argsort(popularity, kind="stable"), kind="stable")
        self.tie = (TIE * order / max(len(ids), 1)).astype(np.float32)
        self._members = np.argsort(franchises, kind="stable").astype(np.int32)

    def __len__(self) -> int:
        return len(self.ids)

    def place(self, identity: int) -> int | None:
        """Where a release stands here, if it does."""
        found = int(np.searchsorted(self.ids, identity))
        return found if found < len(self.ids) and self.ids[found] == identity else None

    def frequencies(self) -> Iterator[tuple[str, int, int]]:
        """(genre or tag, its id, how many releases carry it)."""
        for (kind, identity), place in self._index.items():
            yield kind, identity, int(self._firsts[place + 1] - self._firsts[place])

    def beside(self, words: Iterable[tuple[str, int]]) -> tuple[Floats, float]:
        """What each release has in common with something of these words, and what that weighs in all."""
        common = np.zeros(len(self.ids), np.float32)
        whole = 0.0
        for word in words:
            place = self._index.get(word)
            if place is not None:
                common[self._carriers[self._firsts[place] : self._firsts[place + 1]]] += self._rarities[place]
                whole += float(self._rarities[place])
        return common, whole

    def jaccard(self, common: Floats, whole: float) -> Floats:
        """How alike that makes them, 0 to 1."""
        either = self._whole + np.float32(whole)
        either -= common
        np.maximum(either, np.float32(1e-6), out=either)
        np.divide(common, either, out=either)
        return either

    def alike(self, place: int, common: float, whole: float, *, franchise: bool, audience: float) -> float:
        """The whole likeness to one release, by the rule that requests are answered with."""
        return alike(common, whole, float(self._whole[place]), franchise=franchise, audience=audience)

    def of_franchise(self, franchise_id: int | None) -> Ints:
        """Places of the releases of a franchise."""
        if not franchise_id:
            return self._members[:0]
        first = int(np.searchsorted(self.franchises, franchise_id, "left", self._members))
        last = int(np.searchsorted(self.franchises, franchise_id, "right", self._members))
        return self._members[first:last]


def _column(values: array[Any], kind: type[Number]) -> NDArray[Number]:
    """The same numbers, where they are."""
    return np.frombuffer(values, kind) if values else np.zeros(0, kind)


def _counts(words: Ints, most: int) -> Places:
    """How often each word stands there. By blocks, as each is widened while it is counted."""
    found = np.zeros(most, np.int64)
    for first, last in blocks(len(words), BLOCK):
        found += np.bincount(words[first:last], minlength=most)
    return found


def _sums(weights: Floats, starts: Places, words: Ints) -> Floats:
    """What the words of each release weigh, by blocks of releases."""
    found = np.zeros(len(starts) - 1, np.float32)
    for first, last in blocks(len(found), BLOCK):
        own = words[starts[first] : starts[last]]
        release = np.repeat(np.arange(last - first), np.diff(starts[first : last + 1]))
        found[first:last] = np.bincount(release, weights[own], minlength=last - first)
    return found


def named(genre_ids: Iterable[int], tag_ids: Iterable[int]) -> Iterator[tuple[str, int]]:
    """Words, each under its name."""
    yield from (("genre", one) for one in genre_ids)
    yield from (("tag", one) for one in tag_ids)
