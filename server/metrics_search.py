"""Metrics of searching."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from server.events import SearchInStep
from server.metrics import Source, counters, histogram
from server.search.misses import Misses
from server.search.searching import Search


def of_search(search: Search, misses: Misses, in_step: SearchInStep) -> Source:
    """What became of searches, and what the index holds."""

    def collect() -> Iterator[Metric]:
        told = search.counters
        yield counters(
            "yojohan_searches", "Searches that were worked out, by outcome.", "outcome", [*told.outcomes.items()]
        )
        yield histogram("yojohan_search_seconds", "Time to work out a search.", told.seconds)
        yield CounterMetricFamily("yojohan_suggestions", "Suggestions that were worked out.", told.suggestions)
        yield CounterMetricFamily(
            "yojohan_search_fallbacks", "Searches that PostgreSQL answered in place of Elasticsearch.", told.fallbacks
        )
        yield CounterMetricFamily("yojohan_search_misses", "Searches in vain that were counted.", misses.noted)
        yield GaugeMetricFamily("yojohan_search_documents", "Visible documents in the index.", search.index.documents)
        yield GaugeMetricFamily("yojohan_search_index_bytes", "What the index takes.", search.index.weight)
        yield GaugeMetricFamily(
            "yojohan_search_index_lag_seconds", "Time since the index held all that was committed.",
            monotonic() - in_step.at,
        )  # fmt: skip
        complete = search.index.loaded.is_set() and search.index.complete
        yield GaugeMetricFamily("yojohan_search_complete", "Whether every release has a document.", float(complete))

    return collect
