"""EASE: the linear item-item model in closed form, a ridge regression of every item on all the others.

H. Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019. With P the inverse of X'X + λI the weight of
item i for item j is -P[i, j] / P[j, j]. Where there are far fewer people than items P is never formed: by Woodbury's
identity P = (I - X'(XX' + λI)⁻¹X) / λ, and the inverse is as small as there are people.

All is done in place and in blocks: what is held at once is one square of the smaller side, in single precision.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from server.recommending.interactions import Floats, Interactions, blocks

# Rows of a step of the inversion, and of an update.
STEP = 256


class Inverse(Protocol):
    """P, by columns."""

    def columns(self, first: int, last: int) -> Floats:
        """These columns of P, at most a block of them."""
        ...


def invert(matrix: Floats) -> None:
    """Replace a symmetric positive definite matrix by its inverse: Gauss-Jordan in blocks.

    Such a matrix needs no pivoting, and numpy's own inversion would hold three more of its size.
    """
    size = len(matrix)
    for first, last in blocks(size, STEP):
        step = slice(first, last)
        pivot = np.linalg.inv(matrix[step, step].astype(np.float64)).astype(np.float32)
        row = pivot @ matrix[step]
        row[:, step] = pivot
        column = matrix[:, step].copy()
        matrix[:, step] = 0
        for start, end in blocks(size, STEP):
            if start != first:
                matrix[start:end] -= column[start:end] @ row
        matrix[step] = row


class Primal:
    """P itself: a square of the items."""

    def __init__(self, data: Interactions, ridge: float) -> None:
        size = len(data.ids)
        self._inverse = np.zeros((size, size), np.float32)
        for items, weights in data.rows():
            self._inverse[items[:, None], items] += np.outer(weights, weights)
        self._inverse[np.arange(size), np.arange(size)] += ridge
        invert(self._inverse)

    def columns(self, first: int, last: int) -> Floats:
        """These columns of P."""
        return self._inverse[:, first:last]


class Dual:
    """P by way of a square of the people."""

    def __init__(self, data: Interactions, ridge: float) -> None:
        self._ridge = ridge
        self._rows = data.dense(0, data.users)
        self._inverse: Floats = self._rows @ self._rows.T
        self._inverse[np.arange(data.users), np.arange(data.users)] += ridge
        invert(self._inverse)

    def columns(self, first: int, last: int) -> Floats:
        """These columns of P."""
        found: Floats = self._rows.T @ (self._inverse @ self._rows[:, first:last])
        np.negative(found, out=found)
        found[np.arange(first, last), np.arange(last - first)] += 1
        found /= np.float32(self._ridge)
        return found


def solve(data: Interactions, ridge: float) -> Inverse:
    """P, whichever way takes less."""
    return Dual(data, ridge) if 2 * data.users < len(data.ids) else Primal(data, ridge)


def weights(inverse: Inverse, first: int, last: int) -> Floats:
    """The weights of all items for these ones; an item says nothing for itself."""
    found = inverse.columns(first, last).copy()
    own = np.arange(first, last), np.arange(last - first)
    found /= -found[own]
    found[own] = 0
    return found
