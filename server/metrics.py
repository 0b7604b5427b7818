"""What `/metrics` shows. Numbers are kept in plain Python where they arise; Prometheus' types are made at a scrape.

A counter of the client library with labels costs a microsecond an increment; a slot of an object a tenth of that.
Label values are bounded: route templates and query names, never paths.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from server.metrics_histogram import Histogram

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SCRAPE_SHARED = 1.0


class RouteStats:
    """One route's requests, by status, and their time."""

    __slots__ = ("latency", "method", "route", "secret", "statuses")

    def __init__(self, method: str, route: str) -> None:
        self.method = method
        self.route = route
        # Whether its paths are secrets, which no log may hold.
        self.secret = "{token}" in route
        self.statuses: dict[int, int] = {}
        self.latency = Histogram()

    def observe(self, status: int, seconds: float) -> None:
        """Count one request."""
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.latency.observe(seconds)


class QueryStats:
    """One named query's calls and their time."""

    __slots__ = ("failures", "latency", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.failures = 0
        self.latency = Histogram()


class Source(Protocol):
    """Something that has metrics to show."""

    def __call__(self) -> Iterator[Metric]: ...


class Metrics:
    """All of it. Others add what they show with `add`; the edge and the queries write into their own slots."""

    def __init__(self, slow_query: Callable[[str, float], None], slow_query_seconds: float) -> None:
        self.in_flight = 0
        self.parse_errors = 0
        self.loop_lag = 0.0
        self.loop_lag_max = 0.0
        # Averaged over about a second, for who decides by it.
        self.loop_lag_mean = 0.0
        self._slow_query = slow_query
        self._slow_seconds = slow_query_seconds
        self._routes: list[RouteStats] = []
        self._queries: dict[str, QueryStats] = {}
        self._sources: list[Source] = [self._http, self._database, self._process]
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._scraped_at = 0.0
        self._scrape = b""

    def route(self, method: str, template: str) -> RouteStats:
        """The slot of a route, made when the route is."""
        stats = RouteStats(method, template)
        self._routes.append(stats)
        return stats

    def observe_query(self, name: str, seconds: float, failed: bool) -> None:
        """Count one query; log it if it was slow."""
        stats = self._queries.get(name)
        if stats is None:
            stats = self._queries[name] = QueryStats(name)
        stats.latency.observe(seconds)
        if failed:
            stats.failures += 1
        if seconds > self._slow_seconds > 0:
            self._slow_query(name, seconds)

    def add(self, source: Source) -> None:
        """Show what `source` yields, too."""
        self._sources.append(source)

    def collect(self) -> Iterator[Metric]:
        """For the registry."""
        for source in self._sources:
            yield from source()

    def exposition(self) -> bytes:
        """The text of a scrape; scrapes within a second of each other share it."""
        now = time.monotonic()
        if now - self._scraped_at > SCRAPE_SHARED or not self._scrape:
            self._scrape = generate_latest(self._registry)
            self._scraped_at = now
        return self._scrape

    def _http(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "yojohan_http_requests", "Requests by route and status.", labels=("route", "method", "status")
        )
        latency = HistogramMetricFamily(
            "yojohan_http_request_duration_seconds", "Time to answer, by route.", labels=("route", "method")
        )
        for stats in self._routes:
            for status, count in stats.statuses.items():
                requests.add_metric((stats.route, stats.method, str(status)), count)
            if stats.statuses:
                latency.add_metric((stats.route, stats.method), stats.latency.buckets(), stats.latency.sum)
        yield requests
        yield latency
        yield GaugeMetricFamily("yojohan_http_requests_in_flight", "Requests being answered.", self.in_flight)
        yield CounterMetricFamily("yojohan_http_parse_errors", "Requests the HTTP parser refused.", self.parse_errors)

    def _database(self) -> Iterator[Metric]:
        latency = HistogramMetricFamily(
            "yojohan_db_query_duration_seconds", "Time of a query, by name.", labels=("query",)
        )
        failures = CounterMetricFamily("yojohan_db_query_failures", "Queries that failed, by name.", labels=("query",))
        for stats in self._queries.values():
            latency.add_metric((stats.name,), stats.latency.buckets(), stats.latency.sum)
            failures.add_metric((stats.name,), stats.failures)
        yield latency
        yield failures

    def _process(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "yojohan_event_loop_lag_seconds", "How late the last timer of the loop was.", self.loop_lag
        )
        yield GaugeMetricFamily(
            "yojohan_event_loop_lag_max_seconds", "The latest timer since the last scrape.", self.loop_lag_max
        )
        self.loop_lag_max = self.loop_lag
        usage = os.times()
        yield CounterMetricFamily("process_cpu_seconds", "Processor time used.", usage.user + usage.system)
        yield GaugeMetricFamily("process_resident_memory_bytes", "Resident memory.", resident_bytes())
        yield GaugeMetricFamily(
            "process_open_fds", "Open file descriptors.", sum(1 for _ in Path("/proc/self/fd").iterdir())
        )
        collections = CounterMetricFamily("python_gc_collections", "Garbage collections.", labels=("generation",))
        for generation, stats in enumerate(gc.get_stats()):
            collections.add_metric((str(generation),), stats["collections"])
        yield collections


def resident_bytes() -> int:
    """The resident set of this process."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def gauges(prefix: str, help_text: str, label: str, values: Sequence[tuple[str, float]]) -> GaugeMetricFamily:
    """A gauge with one label."""
    family = GaugeMetricFamily(prefix, help_text, labels=(label,))
    for name, value in values:
        family.add_metric((name,), value)
    return family


def counters(name: str, help_text: str, label: str, values: Sequence[tuple[str, float]]) -> CounterMetricFamily:
    """A counter with one label."""
    family = CounterMetricFamily(name, help_text, labels=(label,))
    for value_name, value in values:
        family.add_metric((value_name,), value)
    return family


def histogram(name: str, help_text: str, observed: Histogram) -> HistogramMetricFamily:
    """A histogram without labels."""
    return HistogramMetricFamily(name, help_text, buckets=observed.buckets(), sum_value=observed.sum)
