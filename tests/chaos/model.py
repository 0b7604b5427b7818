"""What a library can be, for all its owner knows: what was acknowledged, and perhaps what was cut off since."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.chaos.process import EPISODES

# Favorites, ratings or watching, and of which release.
Key = tuple[str, int]
State = Hashable
Change = Callable[[State], State]
# Position, and whether it was watched to the end.
Step = tuple[int, bool]


class Watching(NamedTuple):
    """The collection a release is in and how far its episodes were watched: they depend on one another."""

    collection: str | None = None
    steps: tuple[Step | None, ...] = (None,) * EPISODES

    def collected(self, collection: str | None) -> Watching:
        """Put into a collection, or taken out of any."""
        return self._replace(collection=collection)

    def without(self, collection: str) -> Watching:
        """Taken out of this collection, if that is where it is."""
        return self.collected(None) if self.collection == collection else self

    def watched(self, place: int, step: Step | None) -> Watching:
        """An episode is as far as this now. With its last one a release is completed, unless it was put aside."""
        before = self.steps[place]
        after = self._replace(steps=(*self.steps[:place], step, *self.steps[place + 1 :]))
        newly = step is not None and step[1] and not (before is not None and before[1])
        completes = newly and place == EPISODES - 1 and self.collection in (None, "planned", "watching")
        return after.collected("completed") if completes else after

    def furthest(self, place: int, step: Step) -> Watching:
        """An episode was watched this far on a device that may have known less."""
        before = self.steps[place]
        if before is not None and (before[1], before[0]) >= (step[1], step[0]):
            return self
        return self.watched(place, step)


NOTHING: dict[str, State] = {"favorites": False, "ratings": None, "watching": Watching()}


class Deed(NamedTuple):
    """A request and what it does to which key."""

    method: str
    path: str
    body: object
    changes: list[tuple[Key, Change]]


@dataclass
class Library:
    """All that each key may be now. Keys that nobody touched hold nothing."""

    possible: dict[Key, frozenset[State]] = field(default_factory=dict)

    def of(self, key: Key) -> frozenset[State]:
        """What this key may be."""
        return self.possible.get(key, frozenset([NOTHING[key[0]]]))

    def acknowledged(self, deed: Deed) -> None:
        """The deed is done, whatever became of those before it."""
        for key, change in deed.changes:
            self.possible[key] = frozenset(change(state) for state in self.of(key))

    def cut_off(self, deed: Deed) -> None:
        """The deed may be done or not."""
        for key, change in deed.changes:
            before = self.of(key)
            self.possible[key] = before.union(change(state) for state in before)
