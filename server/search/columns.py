"""The values of a facet by slot: a byte a slot where a release has one value at most, sets where it has many."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import compress
from sys import getsizeof

from server.search import bitmaps

# A value of fewer documents than this keeps a list of them (4 bytes each, ascending); beyond, a set of bits.
SPARSE = 1_000
# So many slots are looked for in each list one by one.
FEW = 4


class Column:
    """One value a slot at most, out of a fixed few. Sets of bits are made when first asked for, then kept in step."""

    def __init__(self, values: Sequence[str | int]) -> None:
        self._values = tuple(values)
        # 0 stands for none.
        self._codes: dict[str | int | None, int] = {value: code for code, value in enumerate(values, 1)}
        self._column = bytearray()
        self._bitmaps: dict[int, int] = {}
        # How many slots have each code.
        self._used = [0] * (len(self._values) + 1)

    @property
    def weight(self) -> int:
        """What it weighs."""
        return len(self._column) + sum(map(getsizeof, self._bitmaps.values()))

    def grow(self, more: int) -> None:
        """Make room for so many slots."""
        self._column.extend(bytes(more))
        self._used[0] += more
        # The new ones have no value, which the set of those without one does not know yet.
        self._bitmaps.pop(0, None)

    def put(self, values: Sequence[tuple[int, str | int | None]]) -> None:
        """The values of these slots, which there is room for."""
        column, codes = self._column, self._codes
        moved: dict[int, list[int]] = {}
        for slot, value in values:
            code, before = codes.get(value, 0), column[slot]
            if code != before:
                column[slot] = code
                self._used[before] -= 1
                self._used[code] += 1
                moved.setdefault(before, []).append(slot)
                moved.setdefault(code, []).append(slot)
        for code in moved.keys() & self._bitmaps.keys():
            self._bitmaps[code] ^= bitmaps.bitmap(moved[code])

    def code(self, slot: int) -> int:
        """The number of a slot's value, in the order of the values; 0 for none."""
        return self._column[slot]

    def bitmap(self, value: str | int) -> int:
        """Who has this value."""
        return self._bitmap(self._codes.get(value, 0)) if value in self._codes else 0

    def _bitmap(self, code: int) -> int:
        found = self._bitmaps.get(code)
        if found is None:
            found = self._bitmaps[code] = bitmaps.where(self._column, code.__eq__)
        return found

    def warm(self) -> Iterator[None]:
        """Make the sets of all values that some slot has, one at a step."""
        for code in self.present():
            self._bitmap(code)
            yield

    def any_of(self, values: Sequence[str | int]) -> int:
        """Who has one of these values."""
        found = 0
        for value in values:
            found |= self.bitmap(value)
        return found

    def between(self, least: int | None, most: int | None) -> int:
        """Who has a value in this range; without one everybody, and with one nobody who has no value."""
        if least is None and most is None:
            return -1
        first = 1 if least is None else max(1, least - int(self._values[0]) + 1)
        last = len(self._values) if most is None else min(len(self._values), most - int(self._values[0]) + 1)
        return bitmaps.where(self._column, lambda code: first <= code <= last)

    def present(self) -> list[int]:
        """The codes that some slot has, ascending."""
        return [code for code in range(1, len(self._used)) if self._used[code]]

    def counts(self, hits: int) -> Iterator[tuple[str | int, int]]:
        """How many of the hits have each value; those that none has are left out."""
        for code in self.present():
            if count := (hits & self._bitmap(code)).bit_count():
                yield self._values[code - 1], count

    def parted(self, hits: int, *, descending: bool) -> Iterator[int]:
        """The hits value by value, in the order of the values; those without one count as the least."""
        codes = [0, *self.present()]
        for code in reversed(codes) if descending else codes:
            yield hits & self._bitmap(code)

    def ordered(self, part: int, *, descending: bool) -> Iterator[int]:
        """The slots of one of those parts, lazily: the smallest of them first, or last."""
        return bitmaps.slots(part, descending=descending)


class Values:
    """Any number of values a slot, by the id of the value."""

    def __init__(self) -> None:
        self._dense: dict[int, int] = {}
        self._sparse: dict[int, array[int]] = {}

    @property
    def weight(self) -> int:
        """What it weighs."""
        return sum(map(getsizeof, (*self._dense.values(), *self._sparse.values())))

    def put(self, touched: int, values: Sequence[tuple[int, Sequence[int]]]) -> None:
        """The values of these slots; those in `touched` may have had others before."""
        if touched:
            self._forget(touched)
        added: dict[int, list[int]] = {}
        for slot, ids in values:
            for value in ids:
                added.setdefault(value, []).append(slot)
        for value, slots in added.items():
            if value in self._dense:
                self._dense[value] |= bitmaps.bitmap(slots)
                continue
            known = self._sparse.setdefault(value, array("I"))
            slots.sort()
            behind = not known or known[-1] < slots[0]
            known.extend(slots)
            if not behind:
                self._sparse[value] = known = array("I", sorted(known))
            if len(known) > SPARSE:
                self._dense[value] = bitmaps.bitmap(self._sparse.pop(value))

    def _forget(self, touched: int) -> None:
        for value, bits in self._dense.items():
            if bits & touched:
                self._dense[value] = bits & ~touched
        gone = list(bitmaps.slots(touched))
        if len(gone) <= FEW:
            for slots in self._sparse.values():
                _remove(slots, gone)
            return
        # Slots that change together mostly lie together: only what a list has between them is looked at.
        least, most = gone[0], gone[-1]
        one_of_them = bitmaps.digits(touched).encode().replace(b"0", b"\0").__getitem__
        for slots in self._sparse.values():
            part = slots[bisect_left(slots, least) : bisect_right(slots, most)]
            if any(map(one_of_them, part)):
                _remove(slots, list(compress(part, map(one_of_them, part))))

    def bitmap(self, value: int) -> int:
        """Who has this value."""
        found = self._dense.get(value)
        return bitmaps.bitmap(self._sparse.get(value, ())) if found is None else found

    def counts(self, hits: int) -> Iterator[tuple[int, int]]:
        """How many of the hits have each value; those that none has are left out. Values that come or go while this is
        under way do no harm."""
        sparse = dict(self._sparse)
        for value, bits in list(self._dense.items()):
            if count := (hits & bits).bit_count():
                yield value, count
        for value, count in zip(sparse, bitmaps.count_each(hits, sparse.values()), strict=True):
            if count:
                yield value, count


def _remove(slots: array[int], gone: Sequence[int]) -> None:
    """Take those of these slots out of an ascending list that are in it."""
    for slot in gone:
        place = bisect_left(slots, slot)
        if place < len(slots) and slots[place] == slot:
            del slots[place]
