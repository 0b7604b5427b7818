"""Metrics of the live streams."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from server.metrics import Source
from server.streams import Streams


def of_streams(streams: Streams) -> Source:
    """How many are open, and what became of those that were."""

    def collect() -> Iterator[Metric]:
        counters = streams.counters
        yield GaugeMetricFamily("yojohan_streams", "Live streams that are open.", len(streams))
        for name, text, value in (
            ("sent", "Notifications sent over live streams.", counters.sent),
            ("resyncs", "Readers told to fetch the list anew.", counters.resyncs),
            ("dropped", "Readers dropped because they were too slow.", counters.dropped),
            ("refused", "Streams refused because too many were open.", counters.refused),
        ):
            yield CounterMetricFamily(f"yojohan_streams_{name}", text, value)

    return collect
