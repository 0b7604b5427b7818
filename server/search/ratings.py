"""Average ratings by slot, as they are shown: in whole hundredths. What is compared is what people read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil, floor

from server.search import bitmaps
from server.search.columns import Column

RATINGS = tuple(f"{least}-{least + 1}" for least in range(10))
LAST = len(RATINGS)
# A bucket with more hits than this is put in order a tenth at a time.
MANY = 5_000


class Ratings(Column):
    """Two bytes a slot: its bucket, and by how many hundredths it is above the lower end of that."""

    def __init__(self) -> None:
        super().__init__(RATINGS)
        self._above = bytearray()

    @property
    def weight(self) -> int:
        """What it weighs."""
        return super().weight + len(self._above)

    def grow(self, more: int) -> None:
        """Make room for so many slots."""
        super().grow(more)
        self._above.extend(bytes(more))

    def rate(self, values: Sequence[tuple[int, int]]) -> bool:
        """The hundredths of these slots, 0 where nobody has rated; whether any of them was another."""
        changed = [(slot, value) for slot, value in values if self.hundredths(slot) != value]
        self.put([(slot, bucket(value)) for slot, value in changed])
        for slot, value in changed:
            self._above[slot] = value - 100 * (self.code(slot) - 1) if value else 0
        return bool(changed)

    @property
    def rated(self) -> int:
        """Those that somebody has rated."""
        return self.any_of(RATINGS)

    def hundredths(self, slot: int) -> int:
        """The average of a slot; 0 if nobody has rated it."""
        code = self.code(slot)
        return 100 * (code - 1) + self._above[slot] if code else 0

    def within(self, least: float | None, most: float | None) -> int:
        """Whose average is in this range; without one everybody, and with one nobody without ratings."""
        if least is None and most is None:
            return -1
        # A product of floats may be a hair beside the whole number that is meant.
        low = 1 if least is None else max(1, ceil(round(least * 100, 6)))
        high = 100 * LAST if most is None else floor(round(most * 100, 6))
        found = 0
        for code in self.present():
            first = 100 * (code - 1)
            last = first + (100 if code == LAST else 99)
            if low <= first and last <= high:
                found |= self._bitmap(code)
            elif low <= last and first <= high:
                found |= self._bitmap(code) & self._between(low - first, high - first)
        return found

    def _between(self, least: int, most: int) -> int:
        return bitmaps.where(self._above, lambda above: least <= above <= most)

    def parted(self, hits: int, *, descending: bool) -> Iterator[int]:
        """The hits in parts that are soon put in order; those without a rating count as the least."""
        tenths = range(9, -1, -1) if descending else range(10)
        for part in super().parted(hits, descending=descending):
            if part.bit_count() <= MANY or part & self._bitmap(0):
                yield part
            else:
                for tenth in tenths:
                    yield part & self._between(10 * tenth, 10 * tenth + (10 if tenth == LAST - 1 else 9))

    def ordered(self, part: int, *, descending: bool) -> Iterator[int]:
        """The slots of one of those parts by their averages; where nobody has rated there is nothing to compare."""
        if part & self._bitmap(0):
            return super().ordered(part, descending=descending)
        slots = sorted(bitmaps.slots(part), key=self._above.__getitem__)
        return reversed(slots) if descending else iter(slots)


def hundredths(rating: float | None) -> int:
    """A rating as it is shown: the database takes what it keeps to three places of these, then rounds halves up."""
    return int(round(rating * 100, 3) + 0.5) if rating else 0


def bucket(value: int) -> str | None:
    """The bucket of so many hundredths; 10 belongs to the last one."""
    return RATINGS[min(LAST - 1, value // 100)] if value else None
