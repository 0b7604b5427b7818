"""What `/metrics` shows of pressure and of connections."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from server.http.connections import REASONS, Connections
from server.metrics import Source, counters, gauges
from server.pressure import Pressure


def of_pressure(pressure: Pressure) -> Source:
    """How tight things are, and how often they were."""

    def collect() -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "yojohan_pressure_level", "0 calm, 1 caches shrink, 2 background waits, 3 visitors wait.", pressure.level
        )
        entered = [(str(level), pressure.entered[level]) for level in (1, 2, 3)]
        yield counters("yojohan_pressure_entered", "How often a level was entered.", "level", entered)
        reading = pressure.reading
        if reading.limit is not None:
            yield GaugeMetricFamily("yojohan_memory_limit_bytes", "The tightest limit of memory.", reading.limit)
        yield GaugeMetricFamily("yojohan_memory_used_bytes", "What is used of it, child processes too.", reading.used)

    return collect


def of_connections(connections: Connections) -> Source:
    """How many connections there are by state, how many there may be, and why some had to go."""

    def collect() -> Iterator[Metric]:
        states = connections.states()
        found = [(state, states.get(state, 0)) for state in ("idle", "busy", "head", "stuck")]
        yield gauges("yojohan_http_connections", "Open connections by what they do.", "state", found)
        yield GaugeMetricFamily("yojohan_http_connections_most", "How many there may be.", connections.bounds.most)
        refused = [(reason, connections.refused[reason]) for reason in REASONS]
        yield counters("yojohan_http_connections_refused", "Connections refused or cut.", "reason", refused)

    return collect
