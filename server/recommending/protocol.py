"""How recommendations are judged: who takes part, what is hidden of their ratings, and what counts as found."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log2
from random import Random
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from server.recommending.interactions import Collected, Interactions, Places
from server.rules.recommending import LIKED, Kept, history_of

LEAST_RATINGS, LEAST_RATED_BY = 20, 5
TRAINED_ON, SEED, SHOWN = 0.8, 42, 10


class Ratings:
    """Ratings 1 to 10 as they are read, in columns; people are numbered as they come. `left_out`: how many were not
    taken, by the reason in words."""

    def __init__(self) -> None:
        self.people = array("i")
        self.items = array("q")
        self.values = bytearray()
        self.left_out: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self.values)

    def add(self, person: int, item: int, value: int) -> None:
        """One rating more."""
        self.people.append(person)
        self.items.append(item)
        self.values.append(value)


class Judge(NamedTuple):
    """Somebody who takes part: their history, what they have rated of it, and what of the hidden part they like."""

    history: dict[int, float]
    seen: set[int]
    wanted: set[int]


@dataclass(frozen=True, slots=True)
class Split:
    """Everybody who takes part: person u has rated `items[starts[u]:starts[u + 1]]`, some of which is hidden."""

    starts: Places
    items: Places
    values: NDArray[np.uint8]
    hidden: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def judge(self, person: int) -> Judge:
        """One of them."""
        part = slice(int(self.starts[person]), int(self.starts[person + 1]))
        rated = list(
            zip(self.items[part].tolist(), self.values[part].tolist(), self.hidden[part].tolist(), strict=True)
        )
        known = [(item, Kept(rating=value)) for item, value, hidden in rated if not hidden]
        return Judge(
            history_of(known),
            {item for item, _ in known},
            {item for item, value, hidden in rated if hidden and value >= LIKED},
        )

    def judges(self) -> Iterator[Judge]:
        """One after another."""
        return (self.judge(person) for person in range(len(self)))

    def known(self) -> Interactions:
        """What the model learns from."""
        found = Collected()
        for judge in self.judges():
            found.add(judge.history)
        return found.done()

    def popular(self) -> list[int]:
        """All items, those that most people liked of what is not hidden first."""
        items, where = np.unique(self.items, return_inverse=True)
        good = (self.values >= LIKED) & ~self.hidden
        liked = np.bincount(where[good], minlength=len(items))
        return [int(one) for one in items[np.lexsort((items, -liked))]]


def split(ratings: Ratings) -> Split:
    """Hide a fifth of the ratings of everybody with at least twenty; items with fewer than five are left out.

    Both are counted in the ratings as they are. Of several ratings of one item by the same person the first counts.
    What is not taken is counted in `ratings.left_out`.
    """
    people, items = np.array(ratings.people, np.int32), np.array(ratings.items, np.int64)
    order = np.lexsort((items, people))
    people, items, values = people[order], items[order], np.frombuffer(bytes(ratings.values), np.uint8)[order]
    del order
    again = (people[1:] == people[:-1]) & (items[1:] == items[:-1])
    kept = np.concatenate(([True], ~again)) if len(items) else np.zeros(0, bool)
    ratings.left_out["rated again"] = len(kept) - int(kept.sum())
    for column, least, name in ((items, LEAST_RATED_BY, "titles"), (people, LEAST_RATINGS, "people")):
        _, where, counts = np.unique(column, return_inverse=True, return_counts=True)
        before = int(kept.sum())
        kept &= counts[where] >= least
        ratings.left_out[f"of {name} with fewer than {least} ratings"] = before - int(kept.sum())
    people, items, values = people[kept], items[kept], values[kept]
    _, firsts = np.unique(people, return_index=True)
    starts = np.append(firsts, len(people)).astype(np.int64)
    return Split(starts, items, values, _hidden(starts))


def _hidden(starts: Places) -> NDArray[np.bool_]:
    random = Random(SEED)  # noqa: S311 - the same split every time is what is wanted
    hidden = np.zeros(int(starts[-1]), bool)
    for first, last in zip(starts.tolist(), starts[1:].tolist(), strict=False):
        own = list(range(first, last))
        random.shuffle(own)
        hidden[own[int(len(own) * TRAINED_ON) :]] = True
    return hidden


class Tally:
    """Recall@10 and NDCG@10 of one way to recommend, over everybody who likes anything of what is hidden."""

    def __init__(self) -> None:
        self._people = 0
        self._recall = 0.0
        self._ndcg = 0.0

    def add(self, shown: Sequence[int], wanted: set[int]) -> None:
        """What somebody was shown, the best first."""
        if not wanted:
            return
        most = min(SHOWN, len(wanted))
        found = [item in wanted for item in shown[:SHOWN]]
        self._people += 1
        self._recall += sum(found) / most
        ideal = sum(1 / log2(place + 2) for place in range(most))
        self._ndcg += sum(hit / log2(place + 2) for place, hit in enumerate(found)) / ideal

    @property
    def people(self) -> int:
        """Over how many people."""
        return self._people

    @property
    def recall(self) -> float:
        """What was found of what could be."""
        return self._recall / max(self._people, 1)

    @property
    def ndcg(self) -> float:
        """The same, where it counts how far up it stands."""
        return self._ndcg / max(self._people, 1)
