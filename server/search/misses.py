"""Searches that found nothing, counted in memory until somebody writes them down."""

from __future__ import annotations

from collections import Counter

from server.rules.search_misses import to_write_down


class Misses:
    """Counts by query. What is personal is not kept; `noted` and `passed_over` are counters."""

    # Different queries that may wait.
    room = 2_000

    def __init__(self) -> None:
        self.noted = 0
        self.passed_over = 0
        self._counts: Counter[str] = Counter()

    def note(self, query: str) -> None:
        """Nothing was found for this query, as it was typed."""
        said = to_write_down(query)
        if said is None or (said not in self._counts and len(self._counts) >= self.room):
            self.passed_over += 1
            return
        self._counts[said] += 1
        self.noted += 1

    def take(self, most: int) -> dict[str, int]:
        """Some of what waits, the commonest first; it waits no longer."""
        taken = dict(self._counts.most_common(most))
        for query in taken:
            del self._counts[query]
        return taken

    def keep(self, counts: dict[str, int]) -> None:
        """What could not be written down waits again."""
        for query, misses in counts.items():
            if query in self._counts or len(self._counts) < self.room:
                self._counts[query] += misses
