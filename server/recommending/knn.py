"""Shared audiences: how alike two items are by who likes both. Cosine, shrunk where only a few do."""

from __future__ import annotations

import numpy as np

from server.recommending.interactions import Floats, Interactions, Places, strongest

# So many people have to like both before half of what their number says is believed.
SHRINKAGE = 20.0
# From this weight on somebody finished or liked it.
GOOD = 0.8


class Audiences:
    """Who likes what, both ways round; one row of likenesses is worked out at a time, and nothing is kept of it."""

    def __init__(self, data: Interactions, shrinkage: float = SHRINKAGE) -> None:
        good = data.weights >= np.float32(GOOD)
        starts = np.concatenate(([0], np.cumsum(good, dtype=np.int64)))[data.starts]
        self._data = Interactions(data.ids, starts, data.items[good], data.weights[good])
        self._starts, self._people = self._data.by_item()
        self._sizes = self._data.audience()
        self._shrinkage = shrinkage

    def beside(self, item: int) -> tuple[Places, Floats]:
        """How many people like each item too, and how alike that makes the two, 0 to 1; itself: 0."""
        people = self._people[self._starts[item] : self._starts[item + 1]]
        rows = [self._data.row(person)[0] for person in people]
        counts = np.bincount(np.concatenate(rows) if rows else np.zeros(0, np.int32), minlength=len(self._data.ids))
        counts[item] = 0
        norms = np.sqrt(float(len(people)) * self._sizes)
        likeness = np.divide(counts, norms, out=np.zeros(len(counts)), where=counts > 0)
        return counts, (likeness * (counts / np.maximum(counts + self._shrinkage, 1))).astype(np.float32)

    def row(self, item: int, width: int) -> tuple[list[int], list[float]]:
        """The items most alike and how much, the most alike first."""
        _, likeness = self.beside(item)
        near = [one for one in strongest(likeness, width) if likeness[one] > 0]
        return [self._data.ids[one] for one in near], [float(likeness[one]) for one in near]
