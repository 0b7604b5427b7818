"""The index in memory: which documents have which value of each facet, and how popular they are, by slot.

The database finds the documents that match a text; filters, facet counts and the order by popularity are made here in
microseconds. It is a copy that the keeper (`actors/search_index.py`) keeps in step; what is exact at the moment a slice
of changes was read stays so until the next. One thread, no lock: nothing here waits.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Iterable, Iterator, Sequence

from server.search import bitmaps
from server.search.columns import Column, Values
from server.search.engine import SINGLE, Facet, Filters
from server.search.popular import PopularNames
from server.search.ratings import Ratings, hundredths
from sql.search import Row

TYPES = ("tv", "movie", "ova", "ona", "special", "web", "music", "other")
STATUSES = ("announced", "ongoing", "finished", "paused")
SEASONS = ("winter", "spring", "summer", "autumn")
AGE_RATINGS = ("0+", "6+", "12+", "16+", "18+")
YEARS = tuple(range(1900, 2101))


class Order:
    """Slots from the most popular on, and the place of each in that order. Those without one stand at the end."""

    def __init__(self) -> None:
        self.slots = array("I")
        self.rank = array("I")
        self._placed = bytearray()

    def add(self, slots: Iterable[int]) -> None:
        """The next ones, all of which there is room for; a second mention does not count."""
        order, rank, placed = self.slots, self.rank, self._placed
        for slot in slots:
            if not placed[slot]:
                placed[slot] = 1
                rank[slot] = len(order)
                order.append(slot)

    def grow(self, size: int) -> None:
        """Make room for slots below `size`."""
        more = size - len(self._placed)
        if more > 0:
            self._placed.extend(bytes(more))
            self.rank.frombytes(bytes(more * self.rank.itemsize))

    def complete(self) -> None:
        """Give a place to those that have none."""
        slot = self._placed.find(0)
        while slot >= 0:
            self.add((slot,))
            slot = self._placed.find(0, slot + 1)

    @property
    def weight(self) -> int:
        """What it weighs."""
        return 9 * len(self._placed)


class SearchIndex:
    """Everything by slot. `generation` moves with every change; `loaded` is set once all documents were seen."""

    def __init__(self) -> None:
        self.ids = array("q")
        self.order = Order()
        self.names = PopularNames()
        self.visible = 0
        self.generation = 0
        self.loaded = asyncio.Event()
        # In which configurations synopses are stemmed: no others need to be asked for.
        self.configs: set[str] = set()
        # Whether every visible release has a document.
        self.complete = False
        self.single: dict[str, Column] = {
            "types": Column(TYPES),
            "statuses": Column(STATUSES),
            "seasons": Column(SEASONS),
            "age_ratings": Column(AGE_RATINGS),
            "years": Column(YEARS),
            "ratings": (ratings := Ratings()),
        }
        self.ratings = ratings
        self.many = {"genres": Values(), "tags": Values()}

    @property
    def size(self) -> int:
        """How many slots there are, holes and hidden documents too."""
        return len(self.ids)

    @property
    def documents(self) -> int:
        """How many visible documents there are."""
        return self.visible.bit_count()

    @property
    def weight(self) -> int:
        """What it weighs, about."""
        plain = self.ids.itemsize * len(self.ids)
        facets = sum(part.weight for part in self.single.values()) + sum(part.weight for part in self.many.values())
        return plain + self.order.weight + facets + self.names.weight

    def put(self, rows: Sequence[Row]) -> None:
        """Take in a slice of rows: new ones, and others anew."""
        if not rows:
            return
        touched = bitmaps.bitmap([row.slot for row in rows if self.holds(row.slot)])
        self._make_room(max(row.slot for row in rows) + 1)
        self.configs.update(row.config for row in rows)
        shown = bitmaps.bitmap([row.slot for row in rows if row.visible])
        self.visible = (self.visible & ~touched) | shown
        for row in rows:
            self.ids[row.slot] = row.release_id
        single = self.single
        single["types"].put([(row.slot, row.type) for row in rows])
        single["statuses"].put([(row.slot, row.status) for row in rows])
        single["seasons"].put([(row.slot, row.season) for row in rows])
        single["age_ratings"].put([(row.slot, row.age_rating) for row in rows])
        single["years"].put([(row.slot, row.year) for row in rows])
        self.ratings.rate([(row.slot, hundredths(row.rating)) for row in rows])
        self.many["genres"].put(touched, [(row.slot, row.genre_ids) for row in rows])
        self.many["tags"].put(touched, [(row.slot, row.tag_ids) for row in rows])
        self.generation += 1

    def rate(self, slots: Sequence[int], averages: Sequence[float]) -> bool:
        """The average ratings of these slots; whether any is shown as another now."""
        pairs = zip(slots, map(hundredths, averages), strict=True)
        return self.ratings.rate([pair for pair in pairs if pair[0] < self.size])

    def unrate(self, rated: Sequence[int]) -> bool:
        """Nobody has rated any others than these; whether somebody had."""
        return self.ratings.rate([(slot, 0) for slot in bitmaps.slots(self.ratings.rated & ~self.bitmap(rated))])

    def holds(self, slot: int) -> bool:
        """Whether a document has this slot."""
        return slot < self.size and self.ids[slot] != 0

    def _make_room(self, size: int) -> None:
        more = size - self.size
        if more <= 0:
            return
        self.ids.frombytes(bytes(more * self.ids.itemsize))
        for column in self.single.values():
            column.grow(more)
        # Nothing is known yet of how popular the newest are.
        self.order.grow(size)
        self.order.add(range(size - more, size))

    def reorder(self, order: Order) -> None:
        """Take another order by popularity; what it does not know goes to its end."""
        order.grow(self.size)
        order.complete()
        self.order = order
        self.generation += 1

    def bitmap(self, slots: Sequence[int]) -> int:
        """The set of these slots. Those the index has not heard of yet are left out."""
        size = self.size
        if slots and max(slots) >= size:
            slots = [slot for slot in slots if slot < size]
        return bitmaps.bitmap(slots)

    def allowed(self, filters: Filters, franchises: int | None = None, *, but: Facet | None = None) -> int:
        """The visible documents that the filters let through, the choice of the facet `but` aside.

        `franchises` is the set of those whose franchise is one of the wanted, as the database knows it.
        """
        bits = self.visible if franchises is None else self.visible & franchises
        for facet in SINGLE:
            if facet != but:
                bits = self._choose(bits, facet, filters)
        for name, choice in (("genres", filters.genres), ("tags", filters.tags)):
            values = self.many[name]
            for value in choice.wanted:
                bits &= values.bitmap(value)
            for value in choice.unwanted:
                bits &= ~values.bitmap(value)
        return bits

    def _choose(self, bits: int, facet: Facet, filters: Filters) -> int:
        column = self.single[facet]
        if facet == "years":
            return bits & column.between(filters.year_from, filters.year_to)
        if facet == "ratings":
            return bits & self.ratings.within(filters.rating_from, filters.rating_to)
        choice = getattr(filters, facet)
        if choice.wanted:
            bits &= column.any_of(choice.wanted)
        return bits & ~column.any_of(choice.unwanted) if choice.unwanted else bits

    def counts(self, hits: int, facet: Facet) -> Iterator[tuple[str | int, int]]:
        """The values that some of the hits have and how many have each; genres and tags by id. In no order, and bit by
        bit: of many hits counting takes a while."""
        return self.single[facet].counts(hits) if facet in self.single else self.many[facet].counts(hits)

    def popular(self, hits: int, most: int, *, least: bool = False) -> list[int]:
        """Up to `most` slots of the set, the most popular first, or the least."""
        if most <= 0:
            return []
        count, rank = hits.bit_count(), self.order.rank
        # Either look at all of them, or walk down the order until there are enough.
        if count * count <= most * self.size:
            return sorted(bitmaps.slots(hits), key=rank.__getitem__, reverse=least)[:most]
        text, found = bitmaps.digits(hits), []
        length = len(text)
        for slot in reversed(self.order.slots) if least else self.order.slots:
            if slot < length and text[slot] == "1":
                found.append(slot)
                if len(found) == most:
                    break
        return found
