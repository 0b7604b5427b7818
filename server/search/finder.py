"""Finding in PostgreSQL what matches a reading of a query, and the words of the vocabulary that may have been meant."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from server.rules.search_document import SHORTEST_WORD
from server.rules.search_typos import distance, probes, suspected, within
from server.search import ladder, tsqueries
from server.search.engine import Match, Reading
from server.search.hits import NOTHING, Hits, Memory
from server.search.index import SearchIndex
from server.search.names import Names
from sql import search as sql
from sql.query import Connection

# Of what fits, whose names are looked at to see how a word is spelt.
SPELLED = 40
# Words that are corrected, and candidates of each that are compared letter by letter: a millisecond a word at most.
CORRECTED = 8
COMPARED = 50


class PostgresqlFinder:
    """Carries out readings of one text on one connection."""

    def __init__(self, conn: Connection, index: SearchIndex, memory: Memory) -> None:
        self.documents = Names(conn, index)
        self._conn = conn
        self._index = index
        self._memory = memory

    async def read(self, text: str) -> tuple[Reading, Hits]:
        """How a text is to be read, and what matches it."""
        began = self._index.generation
        reading = self._memory.get(text, Reading)
        if reading is None:
            reading = await ladder.read(self, text)
            self._memory.keep(text, reading, began)
        return reading, NOTHING if reading.outcome == "empty" else await self.hits(reading.match)

    async def hits(self, match: Match) -> Hits:
        """What matches."""
        known = self._memory.get(match, Hits)
        if known is not None:
            return known
        began = self._index.generation
        words = tsqueries.words(match)
        stems = [one for one in tsqueries.configs(match.text) if one in self._index.configs] if words else []
        anywhere = sql.Anywhere(words, match.text, stems)
        found = await sql.match(self._conn, [tsqueries.named(match)], anywhere)
        if self._named_in_secret(match, found):
            anyway = replace(match, prefix="always")
            found = await sql.match(self._conn, [tsqueries.named(anyway)], anywhere)
        return self._keep(match, found, began)

    def _named_in_secret(self, match: Match, found: sql.Slots) -> bool:
        """Whether the last word was taken as it stands for the sake of names that nobody is shown."""
        hidden = match.prefix == "unless_whole" and found.whole
        return bool(hidden) and not self._index.bitmap(found.whole) & self._index.visible

    def _keep(self, match: Match, found: sql.Slots, began: int) -> Hits:
        named = self._index.bitmap(found.named)
        hits = Hits(tuple(found.whole), named, named | self._index.bitmap(found.anywhere))
        self._memory.keep(match, hits, began)
        return hits

    async def some(self, match: Match, most: int) -> tuple[Sequence[int], int]:
        """Slots of what has one of the whole names; and the set of what fits by its names, and no more than so many."""
        found = await sql.match(self._conn, [tsqueries.named(match)], most=most)
        return found.whole, self._index.bitmap(found.named) | self._index.bitmap(found.whole)

    async def fits(self, match: Match) -> bool:
        """Whether anything at all fits."""
        if match.named and (known := self._memory.get(replace(match, named=False), Hits)) is not None:
            return bool(known.named & self._index.visible)
        return bool((await self.hits(match)).anywhere & self._index.visible)

    async def first(self, matches: Sequence[Match]) -> Match | None:
        """The first of these, all of them of names alone, that anything fits."""
        left = list(matches)
        while left:
            began = self._index.generation
            found = await sql.match(self._conn, [tsqueries.named(match) for match in left])
            if found.reading is None:
                return None
            match = left[found.reading]
            hidden = self._named_in_secret(match, found)
            hits = await self.hits(match) if hidden else self._keep(match, found, began)
            if hits.named & self._index.visible:
                return match
            # Only what is hidden fits.
            left = left[found.reading + 1 :]
        return None

    async def names(self, match: Match) -> Sequence[Sequence[str]]:
        """The names of some of what fits, the most popular first."""
        hits = await self.hits(match)
        slots = self._index.popular((hits.named or hits.anywhere) & self._index.visible, SPELLED)
        names = await self.documents.of(slots)
        whole = [slot for slot in slots if slot in hits.whole]
        return [names[slot] for slot in dict.fromkeys((*whole, *slots)) if slot in names]

    async def sounding(self, sounds: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Words of the vocabulary by their sound."""
        if not sounds:
            return {}
        found: dict[str, list[str]] = defaultdict(list)
        for sound, word in await sql.sounding(self._conn, sounds):
            found[sound].append(word)
        return found

    async def near(self, words: Sequence[str], *, thorough: bool = False) -> Mapping[str, Sequence[str]]:
        """Words of the vocabulary that are few typing errors away: the nearest first, those that begin alike, the
        commonest."""
        typed = [word for word in dict.fromkeys(words) if word.isalpha() and len(word) >= SHORTEST_WORD][:CORRECTED]
        if not typed:
            return {}
        # Two errors leave four times as many things to look for as one does.
        errors = {word: suspected(word) if thorough else min(1, suspected(word)) for word in typed}
        asked = [sql.Typed(word, probes(word, most), most) for word, most in errors.items()]
        candidates: dict[str, list[tuple[str, int]]] = defaultdict(list)
        for word, near, frequency in await sql.near(self._conn, asked, even_known=thorough):
            candidates[word].append((near, frequency))
        found = {}
        for word, known in candidates.items():
            if ranked := _nearest(word, known):
                found[word] = ranked
            await asyncio.sleep(0)
        return found


def _nearest(word: str, candidates: Sequence[tuple[str, int]]) -> list[str]:
    """Those that are within so many errors of the word, the nearest first."""
    letters, alike = set(word), list[tuple[int, int, int, str]]()
    for near, frequency in candidates:
        # An error changes two letters at most, which is told at once for most pairs.
        others, most = len(letters.symmetric_difference(near)), within(word, near)
        if others <= 2 * most:
            alike.append((others, -frequency, most, near))
    found = []
    for _, rarity, most, near in sorted(alike)[:COMPARED]:
        errors = distance(word, near, most)
        if errors <= most:
            found.append((errors, word[0] != near[0], rarity, near))
    return [near for *_, near in sorted(found)]
