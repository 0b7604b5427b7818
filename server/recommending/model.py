"""The model that is stored: of EASE's weights, for each item the few items that say the most about it.

To keep so few is no loss where there are few people: what is left out is noise for the most part. How few, and how
strongly the regression is held back, is found out anew for every set of data (`choosing`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from server.recommending.ease import solve, weights
from server.recommending.interactions import Floats, Interactions, Ints, blocks, strongest

# The commonest items that so many people like take part: the square of the items fits the memory, and the rest would
# be noise.
MOST_ITEMS, LEAST_AUDIENCE = 3000, 5
BLOCK = 256


class Choice(NamedTuple):
    """How strongly the regression is held back, and how many items speak for an item."""

    ridge: float
    depth: int


@dataclass(frozen=True, slots=True)
class Model:
    """`speakers[k, j]` is the k-th strongest item for item j, `weights` beside; items are places in `ids`."""

    ids: list[int]
    speakers: Ints
    weights: Floats

    def rows(self, width: int) -> Iterator[tuple[int, list[int], list[float]]]:
        """(item, the others it speaks for, weights), the loudest first and at most `width`: what is stored."""
        depth, size = self.speakers.shape
        others = np.tile(np.arange(size, dtype=np.int32), depth)
        said = self.weights.ravel()
        order = np.lexsort((others, -np.abs(said), self.speakers.ravel()))
        order = order[said[order] != 0]
        starts = np.searchsorted(self.speakers.ravel()[order], np.arange(size + 1))
        for item, identity in enumerate(self.ids):
            row = order[starts[item] : min(starts[item] + width, starts[item + 1])]
            if len(row):
                yield identity, [self.ids[one] for one in others[row]], [float(one) for one in said[row]]


def fit(data: Interactions, choice: Choice) -> Model:
    """The model of these people's likes."""
    size = len(data.ids)
    depth = min(choice.depth, max(size - 1, 0))
    inverse = solve(data, choice.ridge)
    speakers, said = np.zeros((depth, size), np.int32), np.zeros((depth, size), np.float32)
    for first, last in blocks(size, BLOCK):
        column = weights(inverse, first, last)
        near = strongest(np.abs(column), depth)
        speakers[:, first:last] = near
        said[:, first:last] = np.take_along_axis(column, near, axis=0)
    return Model(list(data.ids), speakers, said)
