"""Finding in PostgreSQL what matches a reading of a query, and the words of the vocabulary that may have been meant."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from server.rules.search_document import SHORTEST_WORD
from server.rules.search_typos import allowed, distance, probes, within
from server.search import ladder, tsqueries
from server.search.engine import Match, Reading
from server.search.hits import NOTHING, Hits, Memory
from server.search.index import SearchIndex
from sql import search as sql
from sql.query import Connection

# Of what fits, whose names are looked at to see how a word is spelt.
SPELLED = 40
# Words that are corrected, and candidates of each that are compared letter by letter: a millisecond a word at most.
CORRECTED = 8
COMPARED = 50


async def read(conn: Connection, index: SearchIndex, memory: Memory, text: str) -> tuple[Reading, Hits]:
    """How a text is to be read, and what matches it."""
    began = index.generation
    finder = PostgresqlFinder(conn, index, memory)
    reading = memory.get(text, Reading)
    if reading is None:
        reading = await ladder.read(finder, text)
        memory.keep(text, reading, began)
    return reading, NOTHING if reading.outcome == "empty" else await finder.hits(reading.match)


class PostgresqlFinder:
    """Carries out readings of one text on one connection."""

    def __init__(self, conn: Connection, index: SearchIndex, memory: Memory) -> None:
        self._conn = conn
        self._index = index
        self._memory = memory

    async def hits(self, match: Match) -> Hits:
        """What matches."""
        known = self._memory.get(match, Hits)
        if known is not None:
            return known
        began = self._index.generation
        words = tsqueries.words(match)
        stems = [one for one in tsqueries.configs(match.text) if one in self._index.configs] if words else []
        found = await sql.match(self._conn, tsqueries.whole(match), tsqueries.names(match), words, match.text, stems)
        named = self._index.bitmap(found.named)
        anywhere = named | self._index.bitmap(found.anywhere)
        hits = Hits(tuple(found.whole), named, anywhere)
        self._memory.keep(match, hits, began)
        return hits

    async def fits(self, match: Match) -> bool:
        """Whether anything at all fits."""
        if match.named and (known := self._memory.get(replace(match, named=False), Hits)) is not None:
            return bool(known.named & self._index.visible)
        return bool((await self.hits(match)).anywhere & self._index.visible)

    async def names(self, match: Match) -> Sequence[Sequence[str]]:
        """The names of some of what fits, the most popular first."""
        hits = await self.hits(match)
        slots = self._index.popular((hits.named or hits.anywhere) & self._index.visible, SPELLED)
        names = await sql.names_of(self._conn, slots)
        whole = [slot for slot in slots if slot in hits.whole]
        return [names[slot] for slot in dict.fromkeys((*whole, *slots)) if slot in names]

    async def sounding(self, sounds: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Words of the vocabulary by their sound."""
        found: dict[str, list[str]] = defaultdict(list)
        for sound, word in await sql.sounding(self._conn, sounds):
            found[sound].append(word)
        return found

    async def near(self, words: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Words of the vocabulary that are few typing errors away: the nearest first, those that begin alike, the
        commonest."""
        typed = [word for word in dict.fromkeys(words) if word.isalpha() and len(word) >= SHORTEST_WORD][:CORRECTED]
        # A word may be typed one letter short of having more errors.
        asked = [sql.Typed(word, probes(word), allowed(word + word[-1])) for word in typed]
        candidates: dict[str, list[tuple[str, int]]] = defaultdict(list)
        for word, near, frequency in await sql.near(self._conn, asked):
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
