"""Metrics of the rate limits that instances share."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from server.adapters.redis import Redis
from server.events import Sharing
from server.metrics import Source, counters, histogram


def of_sharing(sharing: Sharing, redis: Redis) -> Source:
    """Who decided, how long Redis took, and whether it is there."""

    def collect() -> Iterator[Metric]:
        decisions = (("redis", sharing.shared), ("known", sharing.known), ("local", sharing.fallbacks))
        yield counters(
            "yojohan_limiter_decisions",
            "Verdicts by who gave them: Redis; known: used up, as learnt from it before; local: it was not there.",
            "by",
            decisions,
        )
        yield histogram("yojohan_limiter_question_seconds", "Time of a question to Redis.", sharing.latency)
        yield CounterMetricFamily(
            "yojohan_limiter_questions", "Questions to Redis that were answered.", sharing.questions
        )
        yield CounterMetricFamily("yojohan_limiter_failures", "Questions and searches that failed.", sharing.failures)
        yield GaugeMetricFamily("yojohan_limiter_redis_away", "1 while Redis is left alone.", int(redis.away))
        yield CounterMetricFamily("yojohan_limiter_redis_lost", "How often Redis went away.", redis.lost)

    return collect
