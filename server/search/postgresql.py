"""The engine that is always there: PostgreSQL finds what matches a text, the index in memory does the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from time import perf_counter
from typing import TypeVar

from server.database import Database
from server.errors import Unavailable
from server.search import ranking
from server.search.engine import MOST_VALUES, SINGLE, Facet, Filters, Found, Suggested, Wanted
from server.search.finder import PostgresqlFinder
from server.search.hits import Memory
from server.search.index import SearchIndex
from server.search.suggesting import Suggestions
from sql import release_list
from sql import search as sql
from sql.query import Connection

T = TypeVar("T")
# How long a search waits for the index after a start.
PATIENCE = 3.0
MEMORY = 2**20
# What is looked for in names without an index, while documents are missing.
MOST_PLAIN = 1_000
# Such a search reads all names: so many at a time.
PLAINLY_AT_ONCE = 2
# Seconds of counting between two turns of the loop.
TURN = 0.001


class PostgresqlEngine:
    """Searches by tsqueries, filters and counts in memory. It keeps the hits of the latest queries."""

    def __init__(self, database: Database, index: SearchIndex) -> None:
        self._database = database
        self.index = index
        self.memory = Memory(lambda: index.generation, MEMORY)
        self._suggestions = Suggestions(database, index, self.memory)
        self._plain = asyncio.Semaphore(PLAINLY_AT_ONCE)

    async def ready(self) -> SearchIndex:
        """The index, once it is loaded; Unavailable where that takes longer than a request may wait."""
        if not self.index.loaded.is_set():
            try:
                await asyncio.wait_for(self.index.loaded.wait(), PATIENCE)
            except TimeoutError:
                raise Unavailable("The search index is being loaded.", retry_after=2) from None
        return self.index

    async def find(self, wanted: Wanted) -> Found:
        """A page of what fits, with the count of all and the facets."""
        index = await self.ready()
        if wanted.filters.nothing_fits or (wanted.text and not wanted.words):
            return Found((), 0, dict.fromkeys(wanted.facets, ()), "found" if not wanted.text else "empty")
        if wanted.text and not index.complete:
            return await self._plainly(wanted)
        window = slice(wanted.offset, wanted.offset + wanted.limit)
        async with self._database.connection() as conn:
            finder = PostgresqlFinder(conn, index, self.memory)
            reading, hits = await finder.read(wanted.text) if wanted.text else (None, None)
            franchises = await _franchises(conn, index, wanted.filters)
            matched = index.visible if hits is None else hits.anywhere
            bits = matched & index.allowed(wanted.filters, franchises)
            if reading is not None and hits is not None and wanted.sort == "relevance":
                slots = await ranking.by_relevance(finder.documents, index, reading, hits, bits, window)
            else:
                sort = "-updated" if wanted.sort == "relevance" else wanted.sort
                slots = await ranking.by_column(conn, index, bits, sort, window)
        facets = await self._count(wanted, matched, bits, franchises)
        ids = [index.ids[slot] for slot in slots]
        if reading is None:
            return Found(ids, bits.bit_count(), facets, "found")
        words = (*reading.words, *(reading.corrected or "").split())
        return Found(ids, bits.bit_count(), facets, reading.outcome, reading.corrected, words)

    async def suggest(self, text: str, limit: int) -> Sequence[Suggested]:
        """Titles for a text that is being typed."""
        await self.ready()
        return await self._suggestions.suggest(text, limit)

    async def _count(
        self, wanted: Wanted, matched: int, bits: int, franchises: int | None
    ) -> dict[Facet, Sequence[tuple[str | int, int]]]:
        counted: dict[Facet, Sequence[tuple[str | int, int]]] = {}
        for facet in wanted.facets:
            hits = bits
            if facet in SINGLE and _narrows(wanted.filters, facet):
                hits = matched & self.index.allowed(wanted.filters, franchises, but=facet)
            values = await _in_turns(self.index.counts(hits, facet))
            counted[facet] = sorted(values, key=lambda pair: (-pair[1], pair[0]))[:MOST_VALUES]
            await asyncio.sleep(0)
        return counted

    async def _plainly(self, wanted: Wanted) -> Found:
        """While documents are missing: names that contain the text. Without facets, and a thousand at most."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self._plain.acquire()
        except TimeoutError:
            raise Unavailable("The search index is being built.", retry_after=2) from None
        try:
            kept = await self._named(wanted)
        finally:
            self._plain.release()
        window = slice(wanted.offset, wanted.offset + wanted.limit)
        facets: dict[Facet, Sequence[tuple[str | int, int]]] = dict.fromkeys(wanted.facets, ())
        return Found(kept[window], len(kept), facets, "found" if kept else "empty", None, wanted.words)

    async def _named(self, wanted: Wanted) -> list[int]:
        filters = wanted.filters
        async with self._database.connection() as conn:
            ids = await sql.plainly(conn, wanted.text.strip(), MOST_PLAIN)
            fitting = await release_list.among(conn, filters, ids)
            kept = [one for one in ids if one in fitting]
            if wanted.sort == "relevance" and filters.rating_from is None and filters.rating_to is None:
                return kept
            return await sql.sort_plainly(conn, kept, wanted.sort, filters.rating_from, filters.rating_to)


async def _in_turns(values: Iterator[T]) -> list[T]:
    """All of them, with turns for others in between."""
    taken: list[T] = []
    turn = perf_counter() + TURN
    for value in values:
        taken.append(value)
        if perf_counter() > turn:
            await asyncio.sleep(0)
            turn = perf_counter() + TURN
    return taken


async def _franchises(conn: Connection, index: SearchIndex, filters: Filters) -> int | None:
    choice = filters.franchises
    if not choice.wanted and not choice.unwanted:
        return None
    bits = -1
    if choice.wanted:
        bits = index.bitmap(await sql.of_franchises(conn, choice.wanted))
    if choice.unwanted:
        bits &= ~index.bitmap(await sql.of_franchises(conn, choice.unwanted))
    return bits


def _narrows(filters: Filters, facet: Facet) -> bool:
    """Whether the filters choose among the values of this facet."""
    if facet == "years":
        return filters.year_from is not None or filters.year_to is not None
    if facet == "ratings":
        return filters.rating_from is not None or filters.rating_to is not None
    choice = getattr(filters, facet)
    return bool(choice.wanted or choice.unwanted)
