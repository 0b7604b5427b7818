"""Metrics of Elasticsearch, where there is one."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from server.adapters.elasticsearch import Elasticsearch
from server.events import Indexing
from server.metrics import Source, counters, histogram


def of_elasticsearch(elastic: Elasticsearch, progress: Indexing) -> Source:
    """Whether it answers searches, and how it is kept in step."""

    def collect() -> Iterator[Metric]:
        searches = (("answered", elastic.answered), ("failed", elastic.failed))
        yield counters("yojohan_elasticsearch_searches", "Requests for searches, by their end.", "end", searches)
        yield GaugeMetricFamily(
            "yojohan_elasticsearch_away", "1 while searches leave it alone.", float(not elastic.usable)
        )
        yield GaugeMetricFamily(
            "yojohan_elasticsearch_ready", "1 while its index has everything there is.", float(progress.ready)
        )
        yield GaugeMetricFamily("yojohan_elasticsearch_lag_seconds", "For how long changes are missing.", progress.lag)
        yield GaugeMetricFamily(
            "yojohan_elasticsearch_filling", "1 while another index is being filled.", float(progress.filling)
        )
        yield counters(
            "yojohan_elasticsearch_documents", "Documents sent by this instance, by what became of them.", "end",
            tuple(progress.documents.items()),
        )  # fmt: skip
        yield histogram("yojohan_elasticsearch_bulk_seconds", "Time of a bulk of documents.", progress.latency)
        yield CounterMetricFamily(
            "yojohan_elasticsearch_failures", "How often the indexer had to wait and try again.", progress.failures
        )

    return collect
