"""Who likes what, and how much: a sparse matrix of people and items, by rows and by columns."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Places = NDArray[np.int64]


class Collected:
    """What is read, one person after another, in as few bytes as it takes."""

    def __init__(self) -> None:
        self._index: dict[int, int] = {}
        self._starts = array("q", [0])
        self._items = array("i")
        self._weights = array("f")

    def __len__(self) -> int:
        return len(self._items)

    def add(self, history: dict[int, float]) -> None:
        """One person more, with what they like; nobody knows anybody's name here."""
        index = self._index
        for item, weight in history.items():
            self._items.append(index.setdefault(item, len(index)))
            self._weights.append(weight)
        self._starts.append(len(self._items))

    def done(self) -> Interactions:
        """All of it; nothing can be added any more."""
        ids = list(self._index)
        self._index.clear()
        return Interactions(
            ids,
            np.frombuffer(self._starts, np.int64),
            np.frombuffer(self._items, np.int32) if self._items else np.zeros(0, np.int32),
            np.frombuffer(self._weights, np.float32) if self._weights else np.zeros(0, np.float32),
        )


class Interactions:
    """Row u is `items[starts[u]:starts[u + 1]]` with the `weights` beside; items are places in `ids`."""

    def __init__(self, ids: Sequence[int], starts: Places, items: Ints, weights: Floats) -> None:
        self.ids = ids
        self.starts = starts
        self.items = items
        self.weights = weights

    @property
    def users(self) -> int:
        """How many people there are."""
        return len(self.starts) - 1

    def row(self, user: int) -> tuple[Ints, Floats]:
        """What one person likes."""
        part = slice(int(self.starts[user]), int(self.starts[user + 1]))
        return self.items[part], self.weights[part]

    def rows(self) -> Iterator[tuple[Ints, Floats]]:
        """What each person likes."""
        return (self.row(user) for user in range(self.users))

    def audience(self) -> Places:
        """How many people like each item."""
        return np.bincount(self.items, minlength=len(self.ids))

    def dense(self, first: int, last: int) -> Floats:
        """These people's rows, written out."""
        found = np.zeros((last - first, len(self.ids)), np.float32)
        for place, user in enumerate(range(first, last)):
            items, weights = self.row(user)
            found[place, items] = weights
        return found

    def commonest(self, most: int, least: int) -> Interactions:
        """Only the items that `least` people like, and of these the `most` commonest, the commonest first.

        People of whom nothing is left stay, with an empty row.
        """
        audience = self.audience()
        order = np.lexsort((np.asarray(self.ids, np.int64), -audience))
        chosen = order[audience[order] >= least][:most]
        place = np.full(len(self.ids), -1, np.int32)
        place[chosen] = np.arange(len(chosen), dtype=np.int32)
        items = place[self.items]
        kept = items >= 0
        starts = np.concatenate(([0], np.cumsum(kept, dtype=np.int64)))[self.starts]
        return Interactions([self.ids[one] for one in chosen], starts, items[kept], self.weights[kept])

    def by_item(self) -> tuple[Places, Ints]:
        """The same by columns: the people of item i are `people[starts[i]:starts[i + 1]]`."""
        person = np.repeat(np.arange(self.users, dtype=np.int32), np.diff(self.starts))
        starts = np.concatenate(([0], np.cumsum(self.audience())))
        return starts, person[np.argsort(self.items, kind="stable")]


def blocks(total: int, size: int) -> Iterator[tuple[int, int]]:
    """(first, last) of each block."""
    return ((first, min(first + size, total)) for first in range(0, total, size))


def strongest(values: NDArray[Any], count: int) -> NDArray[np.intp]:
    """Places of the largest along the first axis, the largest first; of equal ones the first place first."""
    count = min(count, len(values))
    if count < len(values):
        near = np.argpartition(-values, count - 1, axis=0)[:count]
        near.sort(axis=0)
    else:
        near = np.broadcast_to(np.arange(count).reshape(-1, *[1] * (values.ndim - 1)), values.shape)
    order = np.argsort(-np.take_along_axis(values, near, axis=0), axis=0, kind="stable")
    return np.take_along_axis(near, order, axis=0)
