"""Searching, whoever answers: the engine that is preferred, and PostgreSQL whenever that one cannot."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Literal, TypeVar

from server.errors import YojohanError
from server.metrics_histogram import Histogram
from server.search.engine import Engine, Filters, Found, Suggested, Wanted
from server.search.index import SearchIndex
from server.search.misses import Misses

log = logging.getLogger("yojohan.search")
T = TypeVar("T")


@dataclass(slots=True)
class SearchCounters:
    """Searches since the start, by outcome (`found`, `layout`, …), and what the preferred engine left to the other."""

    outcomes: Counter[str] = field(default_factory=Counter)
    suggestions: int = 0
    fallbacks: int = 0
    seconds: Histogram = field(default_factory=Histogram)


class Search:
    """What handlers ask. `preferred` is asked first if there is one; `index` is what the other one counts by."""

    def __init__(self, own: Engine, index: SearchIndex, misses: Misses, preferred: Engine | None = None) -> None:
        self.index = index
        self.counters = SearchCounters()
        self._own = own
        self._preferred = preferred
        self._misses = misses

    def standing(self) -> tuple[Literal["ok", "degraded"], str]:
        """How searches are answered at the moment."""
        if not self.index.loaded.is_set():
            return "degraded", "loading: the index is being read into memory"
        if not self.index.complete:
            return "degraded", "building: until every release has a search document, names are compared as they are"
        return "ok", "full text"

    async def find(self, wanted: Wanted) -> Found:
        """A page of what fits."""
        started = perf_counter()
        found = await self._answer(lambda engine: engine.find(wanted))
        if wanted.text:
            self.counters.outcomes[found.outcome] += 1
            # While documents are missing, little is found that is there.
            if not found.count and wanted.filters == Filters() and self.index.complete:
                self._misses.note(wanted.text)
        else:
            self.counters.outcomes["browsed"] += 1
        self.counters.seconds.observe(perf_counter() - started)
        return found

    async def suggest(self, text: str, limit: int) -> Sequence[Suggested]:
        """Titles for a text that is being typed."""
        self.counters.suggestions += 1
        return await self._answer(lambda engine: engine.suggest(text, limit))

    async def _answer(self, ask: Callable[[Engine], Awaitable[T]]) -> T:
        if self._preferred is not None:
            try:
                return await ask(self._preferred)
            except (YojohanError, TimeoutError, OSError) as error:
                self.counters.fallbacks += 1
                log.debug("searching in PostgreSQL instead", extra={"reason": str(error)})
        return await ask(self._own)
