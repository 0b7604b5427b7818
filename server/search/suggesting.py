"""Suggestions: which titles may be meant by what is being typed."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from server.database import Database
from server.rules.search_text import is_cjk
from server.rules.search_text import key as key_of
from server.rules.search_text import words as words_of
from server.search import popular, ranking
from server.search.engine import Match, Suggested
from server.search.finder import PostgresqlFinder
from server.search.hits import Memory
from server.search.index import SearchIndex
from server.search.ladder import MOST_WORDS, whole_names

# Shorter texts are looked for among the most popular alone, and are not corrected.
SHORT = 2
# How many of those that fit are looked at one by one. Of what very many names hold, the popular ones are in memory:
# beside these, any few hundred others will do.
LOOKED_AT, ENOUGH = 30, 300
# What so many times as many of the popular have as are wanted, thousands of others have: gathering them takes long, and
# the next letter tells most of them apart.
WELL_KNOWN = 2

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
        if len(key) > SHORT or is_cjk(key) or len(index.names) < popular.MOST:
            async with self._database.connection() as conn:
                finder = PostgresqlFinder(conn, index, self._memory)
                for place in await self._matching(finder, key, text, complete=not enough(best.values(), limit)):
                    best[place[2]] = min(place, best.get(place[2], place))
                if not best and len(key) > SHORT:
                    best = {place[2]: place for place in await self._corrected(finder, text, limit)}
        return [Suggested(index.ids[slot], name) for _, _, slot, name in likeliest(best.values(), limit)]

    async def _matching(self, finder: PostgresqlFinder, key: str, text: str, *, complete: bool) -> list[Place]:
        """Those that are named just so, and if `complete` those with words that begin so."""
        index = self._index
        whole, named = await finder.some(typing(key, text, complete=complete), ENOUGH)
        slots = index.popular(named & index.visible, LOOKED_AT)
        slots += [slot for slot in whole if slot not in slots and index.visible >> slot & 1]
        found = []
        for slot, keys in (await finder.documents.of(slots)).items():
            fitness, name = popular.fit(key, keys)
            found.append((fitness, index.order.rank[slot], slot, name))
        return found

    async def _corrected(self, finder: PostgresqlFinder, text: str, limit: int) -> list[Place]:
        """Nothing begins so: what a search would find."""
        index = self._index
        reading, hits = await finder.read(text)
        if reading.outcome in ("empty", "fewer"):
            return []
        slots = index.popular(hits.named & index.visible, limit)
        names = await finder.documents.of(slots)
        found = []
        for slot in slots:
            keys = names.get(slot) or [""]
            fitting, name = max((ranking.fitting(reading, [one]), one) for one in keys)
            found.append((-fitting, index.order.rank[slot], slot, name))
        return found


def enough(places: Collection[Place], limit: int) -> bool:
    """Whether these, of the popular, are all that is to be suggested, but for what is named just so."""
    begun = sum(fitness <= popular.BEGINS for fitness, *_ in places)
    return begun >= limit or len(places) >= limit * WELL_KNOWN


def likeliest(places: Collection[Place], limit: int) -> list[Place]:
    """The best of these; what strays only if there is nothing else."""
    fitting = [place for place in places if place[0] < popular.STRAYS]
    return sorted(fitting or places)[:limit]


def typing(key: str, text: str, *, complete: bool) -> Match:
    """What names are to have for a text that is being typed: if `complete` its words, the last of which may go on.

    A single letter behind them is the beginning of too many words to be looked for: it says which of the others fit.
    """
    words = words_of(text)[:MOST_WORDS] if complete else []
    over = text[-1:].isspace()
    if len(words) > 1 and not over and len(words[-1]) == 1 and words[-1].isalpha() and not is_cjk(words[-1]):
        words, over = words[:-1], True
    groups = tuple((word,) for word in words)
    return Match(groups, whole_names(key, text), prefix="never" if over else "always", named=True)
