"""What recommendations show on `/metrics`."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from server.events import Recommending
from server.metrics import Source, counters


def of_recommending(progress: Recommending) -> Source:
    """What is served, and the worker."""

    def collect() -> Iterator[Metric]:
        served = sorted(progress.served.items())
        yield counters("yojohan_recommendation_answers", "Answers made, not from memory, by kind.", "kind", served)
        ends = (("well", progress.runs), ("failed", progress.failures), ("interrupted", progress.interrupted))
        yield counters("yojohan_recommendation_worker_runs", "Runs of the worker process by end.", "end", ends)
        yield CounterMetricFamily(
            "yojohan_recommendation_worker_seconds", "Time that workers started here ran.", progress.seconds
        )
        yield GaugeMetricFamily(
            "yojohan_recommendation_worker_running", "Whether a worker started here runs.", float(progress.running)
        )
        yield GaugeMetricFamily(
            "yojohan_recommendation_stale", "Rows to be worked out anew, counted to 10,000.", progress.stale
        )
        yield GaugeMetricFamily("yojohan_recommendation_model_users", "People the model is made from.", progress.users)
        yield GaugeMetricFamily(
            "yojohan_recommendation_model_releases", "Releases the model is made from.", progress.items
        )

    return collect
