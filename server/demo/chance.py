"""Chance that repeats itself: generators seeded by what they are for, and cheap draws from them."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate
from random import Random
from typing import Generic, TypeVar

T = TypeVar("T")


def chance(*purpose: object) -> Random:
    """A generator that gives the same numbers for the same purpose, in every process and version of Python."""
    return Random(":".join(map(str, purpose)))  # noqa: S311 - a demo keeps no secrets.


def pick(rng: Random, choices: Sequence[T], skew: float = 1.0) -> T:
    """One of them; with a `skew` above 1 rather one from the beginning."""
    return choices[int(rng.random() ** skew * len(choices))]


def several(rng: Random, choices: Sequence[T], count: int, skew: float) -> list[T]:
    """Up to `count` different ones, rather from the beginning."""
    return list(dict.fromkeys(pick(rng, choices, skew) for _ in range(count)))


class Weighted(Generic[T]):
    """Values with weights."""

    def __init__(self, weights: dict[T, float]) -> None:
        self._values = list(weights)
        self._bounds = list(accumulate(weights.values()))

    def draw(self, rng: Random) -> T:
        """One value."""
        place = bisect(self._bounds, rng.random() * self._bounds[-1])
        return self._values[min(place, len(self._values) - 1)]
