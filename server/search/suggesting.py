"""Suggestions: which titles may be meant by what is being typed."""

from __future__ import annotations

from collections.abc import Sequence

from server.database import Database
from server.rules.search_text import is_cjk
from server.rules.search_text import key as key_of
from server.rules.search_text import words as words_of
from server.search import popular, ranking
from server.search.engine import Match, Suggested
from server.search.finder import PostgresqlFinder, read
from server.search.hits import Memory
from server.search.index import SearchIndex
from server.search.ladder import MOST_WORDS, whole_names
from sql import search as sql
from sql.query import Connection

# Shorter texts are looked for among the most popular alone, and are not corrected.
SHORT = 2
# How many of those that fit are looked at one by one.
LOOKED_AT = 40

Place = tuple[int, int, int, str]


class Suggestions:
    """Suggests by the index and PostgreSQL: first names that begin so, then words; popular ones first."""

    def __init__(self, database: Database, index: SearchIndex, memory: Memory) -> None:
        self._database = database
        self._index = index
        self._memory = memory

    async def suggest(self, text: str, limit: int) -> Sequence[Suggested]:
        """Up to `limit` of them, the likeliest first."""
        index, key = self._index, key_of(text)
        if not key:
            return []
        rank = index.order.rank
        best = {
            slot: (fitness, rank[slot], slot, name)
            for fitness, slot, name in index.names.beginning(key)
            if index.visible >> slot & 1
        }
        enough = sum(fitness <= popular.BEGINS for fitness, *_ in best.values()) >= limit
        if len(key) > SHORT or is_cjk(key) or len(index.names) < popular.MOST:
            async with self._database.connection() as conn:
                for place in await self._matching(conn, key, text, complete=not enough):
                    best[place[2]] = min(place, best.get(place[2], place))
                if not best and len(key) > SHORT:
                    best = {place[2]: place for place in await self._corrected(conn, text, limit)}
        return [Suggested(index.ids[slot], name) for _, _, slot, name in sorted(best.values())[:limit]]

    async def _matching(self, conn: Connection, key: str, text: str, *, complete: bool) -> list[Place]:
        """Those that are named just so, and if `complete` those with words that begin so."""
        groups = tuple((word,) for word in words_of(text)[:MOST_WORDS]) if complete else ()
        match = Match(groups, whole_names(key, text), prefix=True, named=True)
        index = self._index
        hits = await PostgresqlFinder(conn, index, self._memory).hits(match)
        slots = index.popular(hits.named & index.visible, LOOKED_AT)
        slots += [slot for slot in hits.whole if slot not in slots and index.visible >> slot & 1]
        names = await sql.names_of(conn, slots) if slots else {}
        found = []
        for slot, keys in names.items():
            fitness, name = popular.fit(key, keys)
            found.append((fitness, index.order.rank[slot], slot, name))
        return found

    async def _corrected(self, conn: Connection, text: str, limit: int) -> list[Place]:
        """Nothing begins so: what a search would find."""
        index = self._index
        reading, hits = await read(conn, index, self._memory, text)
        if reading.outcome in ("empty", "fewer"):
            return []
        slots = index.popular(hits.named & index.visible, limit)
        names = await sql.names_of(conn, slots)
        found = []
        for slot in slots:
            keys = names.get(slot) or [""]
            fitting, name = max((ranking.fitting(reading, [one]), one) for one in keys)
            found.append((-fitting, index.order.rank[slot], slot, name))
        return found
