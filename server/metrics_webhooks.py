"""Metrics of webhooks."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from server.events import WebhookProgress
from server.metrics import Source, counters


def of_webhooks(progress: WebhookProgress) -> Source:
    """What became of deliveries, and what waits."""

    def collect() -> Iterator[Metric]:
        attempts = [(outcome, progress.attempts[outcome]) for outcome in ("succeeded", "failed")]
        yield counters("yojohan_webhook_attempts", "Attempts by outcome.", "outcome", attempts)
        ended = [(outcome, progress.deliveries[outcome]) for outcome in ("succeeded", "failed")]
        yield counters("yojohan_webhook_deliveries", "Deliveries that have come to an end.", "outcome", ended)
        yield CounterMetricFamily(
            "yojohan_webhook_switched_off", "Webhooks switched off because they failed.", progress.switched_off
        )
        yield GaugeMetricFamily(
            "yojohan_webhook_deliveries_pending", "Deliveries that wait, counted up to 10,000.", progress.pending
        )
        yield GaugeMetricFamily(
            "yojohan_webhook_oldest_due_seconds", "For how long a delivery has been due.", progress.oldest_seconds
        )
        yield GaugeMetricFamily("yojohan_webhooks_disabled", "Webhooks that are switched off.", progress.disabled)

    return collect
