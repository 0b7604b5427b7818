"""Metrics of the concurrency gate."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from server.gate import Gate
from server.metrics import Source, counters, gauges
from server.rules.load import WAITING, Kind


def of_gate(gate: Gate, unlogged: Callable[[], int]) -> Source:
    """Who is at work, who waits, who was turned away, and what the limit follows."""

    def collect() -> Iterator[Metric]:
        yield GaugeMetricFamily("yojohan_gate_limit", "Requests that may be at work, as latency allows.", gate.limit)
        bounds = (("floor", gate.sizes.floor), ("ceiling", gate.sizes.ceiling), ("queue", gate.sizes.queue))
        yield gauges("yojohan_gate_bounds", "What the limit and the queue stay within.", "bound", bounds)
        yield GaugeMetricFamily("yojohan_gate_in_use", "Requests at work.", gate.in_use)
        waiting = [(kind.label, gate.waiting(kind)) for kind in WAITING]
        yield gauges("yojohan_gate_queued", "Requests waiting for their turn, by class.", "class", waiting)
        yield CounterMetricFamily("yojohan_gate_waited_seconds", "Time spent waiting for a turn.", gate.waited)
        admitted = [(kind.label, gate.admitted[kind]) for kind in Kind if kind is not Kind.RETURNING]
        yield counters("yojohan_gate_admitted", "Requests let in, by class.", "class", admitted)
        rejected = CounterMetricFamily(
            "yojohan_gate_rejected", "Requests turned away, by class and reason.", labels=("class", "reason")
        )
        for (kind, reason), count in gate.rejected.items():
            rejected.add_metric((kind.label, reason), count)
        yield rejected
        yards = [(name, yard.count) for name, yard in gate.yards.items()]
        yield gauges("yojohan_gate_outside", "Requests that wait for something else, without a slot.", "yard", yards)
        refused = [(name, yard.refused) for name, yard in gate.yards.items()]
        yield counters("yojohan_gate_outside_refused", "Requests there was no room for outside.", "yard", refused)
        yield GaugeMetricFamily(
            "yojohan_gate_inflation", "How many times slower answers are than without a queue.", gate.adaptive.inflation
        )
        yield CounterMetricFamily("yojohan_gate_unlogged", "Requests turned away without a log line.", unlogged())

    return collect
