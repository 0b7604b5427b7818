"""Finding in Elasticsearch what matches a reading of a query. The vocabulary stays in PostgreSQL: a text is corrected
alike whoever answers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import TypeVar

from server.adapters.elasticsearch import SEARCH, Elasticsearch
from server.database import Database
from server.errors import Unavailable
from server.rules.elastic_index import SEARCH_PARAMETERS
from server.search import elastic_answers as answers
from server.search import elastic_queries as queries
from server.search import tsqueries
from server.search.elastic_answers import Answer, Hit
from server.search.elastic_queries import Body, Matching
from server.search.engine import Match
from server.search.finder import SPELLED, PostgresqlFinder
from server.search.hits import Memory
from server.search.index import SearchIndex
from sql import search_indexing as sql

# Texts whose stems are remembered, about 300 KB.
KNOWN_STEMS = 500
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sources:
    """Whom an answer is made from."""

    elastic: Elasticsearch
    database: Database
    index: SearchIndex
    memory: Memory
    stems: OrderedDict[str, list[list[str]]] = field(default_factory=OrderedDict)


class ElasticFinder:
    """Carries out the readings of one text, within 300 ms in all; Unavailable where that does not do."""

    def __init__(self, sources: Sources, alias: str) -> None:
        self._sources = sources
        self._path = f"/{alias}/_search"
        self._end = monotonic() + SEARCH
        # The first hit of each reading that was tried.
        self._best: dict[Match, Hit | None] = {}

    async def ask(self, body: Body, read: Callable[[Answer], T]) -> T:
        """What is read of the answer to a search. One that cannot be read is none, and tells of a stranger there."""
        left = self._end - monotonic()
        if left <= 0:
            raise Unavailable("Elasticsearch takes too long.")
        answer = await self._sources.elastic.search(self._path, SEARCH_PARAMETERS, body, left)
        try:
            return read(answer)
        except answers.UNREADABLE as error:
            self._sources.elastic.dismiss(f"an answer that cannot be read: {type(error).__name__}")
            raise Unavailable("Elasticsearch answers something else.") from error

    async def matching(self, match: Match) -> Matching:
        """The clauses of a reading."""
        if match.prefix == "unless_whole":
            named_so = bool(match.whole) and await self.fits(Match((), match.whole, named=True))
            match = replace(match, prefix="never" if named_so else "always")
        stems = await self._stems(match.text) if match.text and not match.named else []
        return queries.matching(match, stems)

    async def fits(self, match: Match) -> bool:
        """Whether anything at all fits."""
        match = replace(match, beside=())
        plain = replace(match, named=False) if match.named else match
        if plain in self._best:
            best = self._best[plain]
            return best is not None and (best.named or not match.named)
        found = await self.ask(queries.anything(await self.matching(match)), answers.hits)
        self._best[match] = found[0] if found else None
        return bool(found)

    async def first(self, matches: Sequence[Match]) -> Match | None:
        """The first of these that anything fits."""
        for match in matches:
            if await self.fits(match):
                return match
        return None

    async def hits(self, match: Match, most: int, *, whole_first: bool = True) -> list[Hit]:
        """What matches: of whole names first (if so wished), then by its names, then anywhere; the popular first."""
        body = queries.names(await self.matching(match), most, whole_first=whole_first)
        return await self.ask(body, answers.hits)

    async def names(self, match: Match) -> Sequence[Sequence[str]]:
        """The names of some of what fits, the most popular first; of what only stands elsewhere where no name fits."""
        found = await self.hits(match, SPELLED, whole_first=False)
        named = [hit for hit in found if hit.named] or found
        return [hit.keys for hit in sorted(named, key=lambda hit: not hit.whole)]

    async def sounding(self, sounds: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Words of the vocabulary by their sound."""
        if not sounds:
            return {}
        async with self._sources.database.connection() as conn:
            return await PostgresqlFinder(conn, self._sources.index, self._sources.memory).sounding(sounds)

    async def near(self, words: Sequence[str], *, thorough: bool = False) -> Mapping[str, Sequence[str]]:
        """Words of the vocabulary that are few typing errors away."""
        if not words:
            return {}
        async with self._sources.database.connection() as conn:
            finder = PostgresqlFinder(conn, self._sources.index, self._sources.memory)
            return await finder.near(words, thorough=thorough)

    async def _stems(self, text: str) -> list[list[str]]:
        """The stems of a text by the dictionaries that may know it: PostgreSQL's, as in the documents."""
        known = self._sources.stems
        if text not in known:
            configs = tsqueries.configs(text)
            if not configs:
                return []
            async with self._sources.database.connection() as conn:
                known[text] = await sql.stems(conn, configs, text)
            if len(known) > KNOWN_STEMS:
                known.popitem(last=False)
        return known[text]
