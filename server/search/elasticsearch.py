"""The engine where Elasticsearch is set up: it finds, filters, counts and sorts; reading a text and comparing names are
the same as for PostgreSQL, and so are the answers.

Whatever goes wrong, or takes longer than 300 ms in all, is `Unavailable`: PostgreSQL then answers that very request.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from server.adapters.elasticsearch import Elasticsearch
from server.database import Database
from server.errors import Unavailable
from server.events import Indexing
from server.rules.search_text import is_cjk
from server.rules.search_text import key as key_of
from server.search import elastic_answers as answers
from server.search import elastic_queries as queries
from server.search import ladder, popular, ranking
from server.search.elastic_answers import Answer, Hit
from server.search.elastic_finder import ElasticFinder, Sources
from server.search.elastic_queries import Matching, Page
from server.search.engine import Found, Outcome, Reading, Suggested, Wanted
from server.search.hits import Memory
from server.search.index import SearchIndex
from server.search.suggesting import LOOKED_AT, SHORT, Place, enough, likeliest, typing

# As far as Elasticsearch pages by itself.
DEEPEST = 10_000
# A suggestion by slot: its place, and the id of the release.
Best = dict[int, tuple[Place, int]]


class ElasticEngine:
    """Asks Elasticsearch while its index is whole; Unavailable at once while it is not."""

    def __init__(
        self, elastic: Elasticsearch, progress: Indexing, database: Database, index: SearchIndex, memory: Memory
    ) -> None:
        self._progress = progress
        self._index = index
        self._sources = Sources(elastic, database, index, memory, OrderedDict())

    def _finder(self) -> ElasticFinder:
        if not self._progress.ready:
            raise Unavailable("The index of Elasticsearch is not complete.")
        if not self._index.loaded.is_set():
            raise Unavailable("The search index is being loaded.")
        return ElasticFinder(self._sources, self._progress.alias)

    async def find(self, wanted: Wanted) -> Found:
        """A page of what fits, with the count of all and the facets."""
        finder = self._finder()
        if wanted.filters.nothing_fits or (wanted.text and not wanted.words):
            return _nothing(wanted)
        if wanted.offset + wanted.limit > DEEPEST:
            raise Unavailable("Elasticsearch does not page so far.")
        if not wanted.text:
            return await self._listed(finder, wanted, None, None)
        reading = await ladder.read(finder, wanted.text)
        if reading.outcome == "empty":
            return _nothing(wanted, reading)
        matching = await finder.matching(reading.match)
        if wanted.sort != "relevance":
            return await self._listed(finder, wanted, matching, reading)
        return await self._ranked(finder, wanted, matching, reading)

    async def _listed(
        self, finder: ElasticFinder, wanted: Wanted, matching: Matching | None, reading: Reading | None
    ) -> Found:
        """A page in the order that Elasticsearch gives."""
        page = queries.page(matching, wanted.filters, wanted.facets, Page(wanted.sort, wanted.offset, wanted.limit))
        return await finder.ask(page, lambda answer: _found(wanted, answer, answers.hits(answer), reading))

    async def _ranked(self, finder: ElasticFinder, wanted: Wanted, matching: Matching, reading: Reading) -> Found:
        """A page by relevance. Elasticsearch's order is by popularity, names first; the head of what was found by a
        name, and of what was not, is compared with the query one by one."""
        start, last = wanted.offset, wanted.offset + wanted.limit
        words = [group[0] for group in reading.match.groups if group and not group[0].startswith("~")]
        begin = 0 if start < ranking.HEAD else start
        page = Page("relevance", begin, max(last, ranking.HEAD) - begin, words)

        def read(answer: Answer) -> tuple[dict[int, Hit], int, Found]:
            return _placed(answer, begin), answers.named(answer), _found(wanted, answer, (), reading)

        placed, named, found = await finder.ask(queries.page(matching, wanted.filters, wanted.facets, page), read)
        heads = (
            (0, min(ranking.HEAD, named), partial(_by_name, reading)),
            (named, min(named + ranking.SECOND_HEAD, found.count), partial(_by_place, reading, len(words))),
        )
        for first, end, key in heads:
            end = min(end, DEEPEST)  # noqa: PLW2901 - as far as Elasticsearch pages
            if first >= last or start >= end:
                continue
            if any(place not in placed for place in range(first, end)):
                rest = queries.page(matching, wanted.filters, (), Page("relevance", first, end - first, words))
                placed |= await finder.ask(rest, partial(_placed, begin=first))
            head = sorted((placed[place] for place in range(first, end) if place in placed), key=key)
            placed |= dict(enumerate(head, first))
        return replace(found, ids=[placed[place].id for place in range(start, last) if place in placed])

    async def suggest(self, text: str, limit: int) -> Sequence[Suggested]:
        """Up to `limit` releases, the likeliest first: names that begin so, then words that do."""
        finder, index, key = self._finder(), self._index, key_of(text)
        if not key:
            return []
        rank = index.order.rank
        best: Best = {
            slot: ((fitness, rank[slot], slot, name), index.ids[slot])
            for fitness, slot, name in index.names.beginning(key)
            if index.visible >> slot & 1
        }
        if len(key) > SHORT or is_cjk(key) or len(index.names) < popular.MOST:
            complete = not enough([place for place, _ in best.values()], limit)
            for hit in await finder.hits(typing(key, text, complete=complete), 2 * LOOKED_AT):
                fitness, name = popular.fit(key, hit.keys)
                self._take(best, hit, fitness, name)
            if not best and len(key) > SHORT:
                best = await self._corrected(finder, text, limit)
        ids = {slot: release_id for slot, (_, release_id) in best.items()}
        return [Suggested(ids[slot], name) for _, _, slot, name in likeliest([one for one, _ in best.values()], limit)]

    async def _corrected(self, finder: ElasticFinder, text: str, limit: int) -> Best:
        """Nothing begins so: what a search would find."""
        reading = await ladder.read(finder, text)
        if reading.outcome in ("empty", "fewer"):
            return {}
        named = [hit for hit in await finder.hits(reading.match, 2 * LOOKED_AT) if hit.named]
        best: Best = {}
        for hit in sorted(named, key=self._rank)[:limit]:
            fitting, name = max((ranking.fitting(reading, [one]), one) for one in hit.keys or [""])
            self._take(best, hit, -fitting, name)
        return best

    def _take(self, best: Best, hit: Hit, fitness: int, name: str) -> None:
        place = (fitness, self._rank(hit), hit.slot, name), hit.id
        best[hit.slot] = min(place, best.get(hit.slot, place))

    def _rank(self, hit: Hit) -> int:
        """Its place by popularity; what the index in memory has not heard of comes last."""
        rank = self._index.order.rank
        return rank[hit.slot] if 0 <= hit.slot < len(rank) else len(rank)


def _placed(answer: Answer, begin: int) -> dict[int, Hit]:
    return dict(enumerate(answers.ranked(answer), begin))


def _by_name(reading: Reading, hit: Hit) -> tuple[bool, int, float, float]:
    return not hit.whole, -ranking.fitting(reading, hit.keys), *_popularity(hit)


def _by_place(reading: Reading, words: int, hit: Hit) -> tuple[int, int, float, float]:
    return -hit.points(words), -ranking.fitting(reading, hit.keys), *_popularity(hit)


def _popularity(hit: Hit) -> tuple[float, float]:
    _, popularity, release_id = hit.order
    return -popularity, release_id


def _nothing(wanted: Wanted, reading: Reading | None = None) -> Found:
    outcome: Outcome = "empty" if wanted.text else "found"
    return Found((), 0, dict.fromkeys(wanted.facets, ()), outcome, None, reading.words if reading is not None else ())


def _found(wanted: Wanted, answer: Answer, hits: Sequence[Hit], reading: Reading | None) -> Found:
    ids, count = [hit.id for hit in hits], answers.total(answer)
    facets = answers.facets(answer, wanted.facets)
    if reading is None:
        return Found(ids, count, facets, "found")
    words = (*reading.words, *(reading.corrected or "").split())
    return Found(ids, count, facets, reading.outcome, reading.corrected, words)
