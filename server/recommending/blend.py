"""The neighbours of a release: by its words, its franchise and its audience together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from server.recommending.content import Likeness, named
from server.recommending.interactions import Interactions, Places, strongest
from server.recommending.knn import Audiences
from server.rules.recommending import MOST_NEIGHBOURS, MOST_OF_FRANCHISE

# What differs by less than sums of the same weights in another order do is equally alike.
DIGITS = 6
# Looked at of each sort before the three are weighed together.
CANDIDATES = 120
# Fewer people than that are not counted aloud, and others by the step: one of them, or one more, might stand out.
LEAST_SHARED, STEP = 10, 5


class Release(NamedTuple):
    """A release whose neighbours are wanted, as it is now."""

    id: int
    franchise_id: int | None
    genre_ids: Sequence[int]
    tag_ids: Sequence[int]


class Neighbours(NamedTuple):
    """Of one release, the most alike first; `shared`: at least how many people like both; 0: few."""

    id: int
    neighbours: list[int]
    scores: list[float]
    shared: list[int]


class Blend:
    """Weighs together what is known of one release after another."""

    def __init__(self, likeness: Likeness, data: Interactions) -> None:
        self._likeness = likeness
        self._audiences = Audiences(data)
        self._items = {identity: place for place, identity in enumerate(data.ids)}
        # Where each item of the audience stands in the catalogue; -1: nowhere (any more).
        places = (likeness.place(identity) for identity in data.ids)
        self._places = np.array([-1 if place is None else place for place in places], np.int64)
        # A guess: what the last release's best neighbours were like tells how far down to look.
        self._floor = np.float32(0)

    def neighbours(self, release: Release) -> Neighbours:
        """The neighbours of this release."""
        likeness = self._likeness
        common, whole = likeness.beside(named(release.genre_ids, release.tag_ids))
        words = likeness.jaccard(common, whole)
        words += likeness.tie
        audience = self._audience(release.id)
        family = likeness.of_franchise(release.franchise_id)
        candidates = {*self._nearest(words), *(int(one) for one in family[:CANDIDATES]), *audience}
        candidates.discard(-1 if (own := likeness.place(release.id)) is None else own)
        scored = []
        for place in candidates:
            alike, shared = audience.get(place, (0.0, 0))
            franchise = bool(release.franchise_id) and int(likeness.franchises[place]) == release.franchise_id
            value = likeness.alike(place, float(common[place]), whole, franchise=franchise, audience=alike)
            if value > 0:
                scored.append((-round(value, DIGITS), -float(likeness.tie[place]), place, shared))
        scored.sort()
        return self._chosen(release.id, scored)

    def _nearest(self, words: np.ndarray[tuple[int], np.dtype[np.float32]]) -> list[int]:
        """Places with the most words in common; those with none are left out."""
        near = np.flatnonzero(words > self._floor)
        if len(near) < CANDIDATES:
            near = np.flatnonzero(words > np.float32(1e-4))
        near = near[strongest(words[near], CANDIDATES)]
        self._floor = words[near[-1]] * np.float32(0.8) if len(near) == CANDIDATES else np.float32(1e-4)
        return [int(one) for one in near]

    def _audience(self, identity: int) -> dict[int, tuple[float, int]]:
        """By place: how alike the audiences are, and how many people like both."""
        item = self._items.get(identity)
        if item is None:
            return {}
        counts, likeness = self._audiences.beside(item)
        near: Places = strongest(likeness, CANDIDATES)
        return {
            int(self._places[one]): (float(likeness[one]), int(counts[one]))
            for one in near
            if likeness[one] > 0 and self._places[one] >= 0
        }

    def _chosen(self, identity: int, scored: list[tuple[float, float, int, int]]) -> Neighbours:
        found = Neighbours(identity, [], [], [])
        franchises: Counter[int] = Counter()
        for value, _, place, shared in scored:
            franchise = int(self._likeness.franchises[place])
            if franchise and franchises[franchise] >= MOST_OF_FRANCHISE:
                continue
            franchises[franchise] += 1
            found.neighbours.append(int(self._likeness.ids[place]))
            found.scores.append(-value)
            found.shared.append(shared - shared % STEP if shared >= LEAST_SHARED else 0)
            if len(found.neighbours) == MOST_NEIGHBOURS:
                break
        return found
