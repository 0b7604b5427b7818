"""How alike releases are by what they are filed under, in a request that cannot wait for the worker. Pure.

Words are genres and tags; what they weigh and add up to is what the worker goes by. Of two equally alike releases the
more popular one comes first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import NamedTuple

from server.rules import recommending

# How many candidates a few rare words may bring along.
MOST_CARRYING = 800


class Filed(NamedTuple):
    """What a release is filed under; a genre stands as its id below zero, so that it is no tag."""

    franchise_id: int | None
    words: frozenset[int]
    popularity: float = 0.0


def words_of(genre_ids: Iterable[int], tag_ids: Iterable[int]) -> frozenset[int]:
    """Genres and tags as words."""
    return frozenset((*(-one for one in genre_ids), *tag_ids))


def rarest(frequencies: Mapping[int, int]) -> list[int]:
    """The rarest of these words, as many as bring along no more than MOST_CARRYING releases; at least one."""
    found: list[int] = []
    brought = 0
    for word in sorted(frequencies, key=lambda one: (frequencies[one], one)):
        brought += frequencies[word]
        if found and brought > MOST_CARRYING:
            break
        found.append(word)
    return found


def alike(
    seed: Filed, candidates: Mapping[int, Filed], weights: Mapping[int, float], unknown: float, most: int
) -> list[tuple[int, float]]:
    """The candidates most like the seed and how much (above 0, to 1), the most alike first.

    `unknown` is what a word weighs that is not among the weights. Of a franchise only the best take part.
    """
    own = {word: weights.get(word, unknown) for word in seed.words}
    own_weight = sum(own.values())
    found = []
    for release_id, other in candidates.items():
        shared = sum(own[word] for word in seed.words & other.words)
        theirs = sum(weights.get(word, unknown) for word in other.words)
        franchise = seed.franchise_id is not None and seed.franchise_id == other.franchise_id
        score = recommending.alike(shared, own_weight, theirs, franchise=franchise)
        if score > 0:
            found.append((round(score, 4), other.popularity, release_id))
    found.sort(reverse=True)
    return list(islice(_without_crowds(found, candidates), most))


def _without_crowds(
    found: Iterable[tuple[float, float, int]], filed: Mapping[int, Filed]
) -> Iterator[tuple[int, float]]:
    franchises: Counter[int | None] = Counter()
    for score, _, release_id in found:
        franchise = filed[release_id].franchise_id
        franchises[franchise] += franchise is not None
        if franchises[franchise] <= recommending.MOST_OF_FRANCHISE:
            yield release_id, score
