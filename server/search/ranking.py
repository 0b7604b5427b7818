"""The order of what was found: whole names, words of names, words anywhere. Of each part the likeliest are compared
with the query one by one, and what comes after them goes by popularity. The order is total, so pages do not overlap.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import islice

from server.rules.search_rank import exactness
from server.search import bitmaps, tsqueries
from server.search.engine import Reading, Sort
from server.search.hits import Hits
from server.search.index import SearchIndex
from server.search.names import Names
from sql import search as sql
from sql.query import Connection

# How many are compared with the query one by one: names, and then documents that have the words elsewhere.
HEAD, SECOND_HEAD = 200, 40
# So many are sorted by the database in one statement; of more, all releases are read in that order, so many at once.
SORTED, LONGEST_STEP = 20_000, 50_000
Compare = Callable[[list[int]], Awaitable[list[int]]]


async def by_relevance(
    names: Names, index: SearchIndex, reading: Reading, hits: Hits, bits: int, window: slice
) -> list[int]:
    """The slots of `bits` (those of the hits that filters left) in this window of their order."""
    whole = [slot for slot in dict.fromkeys(hits.whole) if bits >> slot & 1]
    named = bits & (hits.named | bitmaps.bitmap(whole))
    found: list[int] = []
    if window.start < (count := named.bit_count()):
        by_name = partial(_by_name, names, index, reading, frozenset(whole))
        whole.sort(key=index.order.rank.__getitem__)
        found = await _part(index, named, whole[:HEAD], HEAD, by_name, window)
    rest = bits & ~named
    if window.stop > count and rest:
        beyond = slice(max(0, window.start - count), window.stop - count)
        found += await _part(index, rest, [], SECOND_HEAD, partial(_by_place, names, index, reading), beyond)
    return found


async def _part(
    index: SearchIndex, bits: int, first: list[int], most: int, compare: Compare, window: slice
) -> list[int]:
    """A window of a part: its head, in which `first` are in any case, compared; then the others by popularity."""
    others = bits & ~bitmaps.bitmap(first)
    more = index.popular(others, most - len(first))
    head = len(first) + len(more)
    found = [*first, *more]
    if head > 1 and window.start < head:
        found = await compare(found)
    found = found[window]
    if window.stop > head and others.bit_count() > len(more):
        start = max(window.start, head) - len(first)
        found += index.popular(others, window.stop - len(first))[start:]
    return found


async def _by_name(
    names: Names, index: SearchIndex, reading: Reading, whole: frozenset[int], slots: list[int]
) -> list[int]:
    known, rank = await names.of(slots), index.order.rank
    return sorted(slots, key=lambda slot: (slot not in whole, -fitting(reading, known.get(slot, ())), rank[slot]))


async def _by_place(names: Names, index: SearchIndex, reading: Reading, slots: list[int]) -> list[int]:
    """By how much of the query stands in names, in genres, tags and franchises, in the synopsis."""
    weighed, rank = await names.weighed(slots, tsqueries.weighing(reading.match.groups)), index.order.rank
    nothing: tuple[Sequence[str], int] = ((), 0)

    def place(slot: int) -> tuple[int, int, int]:
        keys, points = weighed.get(slot, nothing)
        return -points, -fitting(reading, keys), rank[slot]

    return sorted(slots, key=place)


def fitting(reading: Reading, keys: Sequence[str]) -> int:
    """How exactly the best of these names fits, in tenths: what differs by less than that goes by popularity."""
    spellings = reading.spellings
    if spellings:
        keys = [" ".join(spellings.get(word, word) for word in key.split()) for key in keys]
    return int(20 * exactness(reading.key, reading.words, keys))


async def by_column(conn: Connection, index: SearchIndex, bits: int, sort: Sort, window: slice) -> list[int]:
    """The slots of `bits` in this window of another order."""
    name, descending = sort.removeprefix("-"), sort.startswith("-")
    if name == "popularity":
        return index.popular(bits, window.stop, least=not descending)[window]
    if name in ("updated", "title"):
        return await _by_database(conn, index, bits, sort, window)
    column = index.single["years" if name == "year" else "ratings"]
    found: list[int] = []
    skipped = 0
    for part in column.parted(bits, descending=descending):
        size, start = part.bit_count(), max(0, window.start - skipped)
        if start < size:
            found += islice(column.ordered(part, descending=descending), start, window.stop - skipped)
        skipped += size
        if skipped >= window.stop:
            break
    return found


async def _by_database(conn: Connection, index: SearchIndex, bits: int, sort: Sort, window: slice) -> list[int]:
    """Either sort those there are, or walk all releases in this order until the window is full: of few the former, and
    of many the latter, as they are met soon. Wherever they lie, there are few steps: each is twice the one before."""
    count = bits.bit_count()
    if count == 0 or window.start >= count:
        return []
    if count <= SORTED:
        ids = [index.ids[slot] for slot in bitmaps.slots(bits)]
        return list(await sql.sort_some(conn, ids, sort, window.stop - window.start, window.start))
    # What was moved between two steps may come in both.
    found: dict[int, None] = {}
    text, offset = bitmaps.digits(bits), 0
    # A little more than what should do.
    step = window.stop * index.size // count * 5 // 4 + 100
    while len(found) < window.stop and offset < index.size:
        slots = await sql.walk(conn, sort, step, offset)
        found |= dict.fromkeys(slot for slot in slots if slot < len(text) and text[slot] == "1")
        if len(slots) < step:
            break
        offset += step
        step = min(2 * step, LONGEST_STEP)
    return list(found)[window]
