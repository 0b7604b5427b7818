"""What matched a text, as sets of slots, and a short memory of it: other filters, facets and pages of a query that is
known need no search.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from sys import getsizeof
from typing import TypeVar

from server.search.engine import Reading

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Hits:
    """Slots by a whole name; sets of those by words of a name (they among them) and by words anywhere (all of them)."""

    whole: tuple[int, ...]
    named: int
    anywhere: int

    @property
    def cost(self) -> int:
        """The bytes it takes."""
        return 300 + 8 * len(self.whole) + getsizeof(self.named) + getsizeof(self.anywhere)


NOTHING = Hits((), 0, 0)
# What a reading takes, about.
READING = 2_000


class Memory:
    """Hits by reading and readings by text, of one generation of the index. Bounded in bytes; the oldest go first."""

    def __init__(self, generation: Callable[[], int], most: int) -> None:
        self._generation = generation
        self._most = most
        self._of = generation()
        self._kept: OrderedDict[Hashable, tuple[object, int]] = OrderedDict()
        self.bytes = 0

    def get(self, key: Hashable, kind: type[T]) -> T | None:
        """What is known under this key."""
        self._catch_up()
        found = self._kept.get(key)
        if found is None or not isinstance(found[0], kind):
            return None
        self._kept.move_to_end(key)
        return found[0]

    def keep(self, key: Hashable, value: Hits | Reading, began: int) -> None:
        """Remember it, unless the index has moved since `began`, when the search for it did."""
        self._catch_up()
        cost = value.cost if isinstance(value, Hits) else READING
        if began != self._of or cost > self._most // 4 or key in self._kept:
            return
        self._kept[key] = (value, cost)
        self.bytes += cost
        while self.bytes > self._most:
            _, (_, gone) = self._kept.popitem(last=False)
            self.bytes -= gone

    def _catch_up(self) -> None:
        if self._of != self._generation():
            self._of = self._generation()
            self._kept.clear()
            self.bytes = 0
