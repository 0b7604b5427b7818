"""What the pool, the cache, the actors, the views and the trends show on `/metrics`."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from actors.system import ActorSystem
from server.cache import ResponseCache
from server.database import Database
from server.events import (
    MailCounters,
    NotificationProgress,
    OperatorGauges,
    OutboxProgress,
    RecommendationCounters,
    SearchBuilding,
    Trends,
    ViewCounters,
)
from server.logs import RequestLog
from server.meter import Meter
from server.metrics import Source, counters, gauges, histogram
from server.passwords import Hasher

GAUGES = {
    "users": "Accounts.",
    "users_active_24h": "Accounts seen within 24 hours.",
    "releases": "Releases that are visible.",
    "episodes": "Episodes.",
    "views": "Single views that are kept.",
    "subscriptions": "Active subscriptions.",
    "moderation_waiting": "Comments and reviews that wait for a moderator.",
}


def of_database(database: Database) -> Source:
    """The connection pool."""

    def collect() -> Iterator[Metric]:
        states = (
            ("in_use", database.in_use),
            ("idle", database.idle),
            ("waiting", database.waiting),
            ("limit", database.size),
        )
        yield gauges(
            "yojohan_db_pool_connections", "Connections by state; waiting are requests for one.", "state", states
        )
        yield CounterMetricFamily(
            "yojohan_db_pool_wait_seconds", "Time spent waiting for a connection.", database.waited
        )
        yield CounterMetricFamily("yojohan_db_pool_acquired", "Connections handed out.", database.acquired)

    return collect


def of_cache(cache: ResponseCache) -> Source:
    """The response cache."""

    def collect() -> Iterator[Metric]:
        stats = cache.stats
        outcomes = (("hit", stats.hits), ("miss", stats.misses), ("joined", stats.joined), ("stale", stats.stale))
        yield counters("yojohan_cache_lookups", "Look-ups by outcome.", "outcome", outcomes)
        yield GaugeMetricFamily("yojohan_cache_bytes", "Bytes held.", cache.bytes)
        yield GaugeMetricFamily("yojohan_cache_entries", "Entries held.", len(cache))
        yield CounterMetricFamily("yojohan_cache_evictions", "Entries that had to make room.", stats.evictions)
        yield CounterMetricFamily("yojohan_cache_invalidations", "Drops by tag.", stats.invalidations)

    return collect


def of_logs(request_log: RequestLog) -> Source:
    """The log's writer."""

    def collect() -> Iterator[Metric]:
        yield CounterMetricFamily("yojohan_log_lines_dropped", "Log lines there was no room for.", request_log.dropped)

    return collect


def of_meter(meter: Meter) -> Source:
    """The rate limiter's verdicts and memory."""

    def collect() -> Iterator[Metric]:
        verdicts = CounterMetricFamily(
            "yojohan_rate_limit_charges", "Verdicts by policy.", labels=("policy", "outcome")
        )
        for outcome, counts in (("allowed", meter.allowed), ("refused", meter.refused)):
            for name, count in counts.items():
                verdicts.add_metric((name, outcome), count)
        yield verdicts
        keys = [(name, len(table)) for name, table in meter.tables.items()]
        yield gauges("yojohan_rate_limit_keys", "Keys remembered, by policy.", "policy", keys)

    return collect


def of_gauges(shown: OperatorGauges) -> Source:
    """What the actor of the gauges found last; until it has looked, only the machine's part."""

    def collect() -> Iterator[Metric]:
        for name, count in shown.counts.items():
            yield GaugeMetricFamily(f"yojohan_{name}", GAUGES[name], count)
        load = list(zip(("1", "5", "15"), shown.load, strict=True))
        yield gauges("yojohan_load_average", "Load average of the machine.", "minutes", load)
        yield GaugeMetricFamily("yojohan_uptime_seconds", "Time since the start.", shown.uptime)

    return collect


def of_actors(system: ActorSystem) -> Source:
    """Every actor, and the jobs they start."""

    def collect() -> Iterator[Metric]:
        messages = CounterMetricFamily(
            "yojohan_actor_messages", "Messages by type and outcome.", labels=("actor", "type", "outcome")
        )
        for one in system:
            for (kind, outcome), count in one.stats.messages.items():
                messages.add_metric((one.name, kind, outcome), count)
        yield messages
        now = perf_counter()
        all_of = list(system)
        yield gauges(
            "yojohan_actor_mailbox_depth", "Units waiting.", "actor", [(a.name, a.mailbox.depth) for a in all_of]
        )
        yield gauges(
            "yojohan_actor_mailbox_bytes", "Bytes waiting.", "actor", [(a.name, a.mailbox.bytes) for a in all_of]
        )
        yield gauges(
            "yojohan_actor_mailbox_capacity",
            "Units there is room for.",
            "actor",
            [(a.name, a.mailbox.capacity) for a in all_of],
        )
        yield counters(
            "yojohan_actor_refused",
            "Messages there was no room for.",
            "actor",
            [(a.name, a.stats.refused) for a in all_of],
        )
        yield counters(
            "yojohan_actor_handled", "Messages handled.", "actor", [(a.name, a.stats.handled) for a in all_of]
        )
        yield counters(
            "yojohan_actor_waiting_seconds",
            "Time messages waited.",
            "actor",
            [(a.name, a.stats.waiting_seconds) for a in all_of],
        )
        yield counters(
            "yojohan_actor_handling_seconds",
            "Time spent handling.",
            "actor",
            [(a.name, a.stats.handling_seconds) for a in all_of],
        )
        yield counters(
            "yojohan_actor_restarts", "Restarts after a crash.", "actor", [(a.name, a.stats.restarts) for a in all_of]
        )
        ticking = [(a.name, now - a.stats.last_tick) for a in all_of if a.actor.interval is not None]
        yield gauges("yojohan_actor_seconds_since_tick", "Time since the last tick.", "actor", ticking)
        yield gauges(
            "yojohan_actor_paused",
            "Whether it waits for pressure to go.",
            "actor",
            [(a.name, a.stats.paused) for a in all_of if a.actor.yields_to_pressure],
        )
        jobs = system.jobs
        outcomes = (("started", jobs.started), ("failed", jobs.failed), ("refused", jobs.refused))
        yield counters("yojohan_jobs", "Jobs by outcome.", "outcome", outcomes)
        yield GaugeMetricFamily("yojohan_jobs_active", "Jobs at work.", jobs.active)

    return collect


def of_views(views: ViewCounters) -> Source:
    """View events on their way from a request to the rollups."""

    def collect() -> Iterator[Metric]:
        outcomes = (
            ("accepted", views.accepted),
            ("duplicate", views.duplicates),
            ("rejected", views.rejected),
            ("filtered", views.filtered),
        )
        yield counters("yojohan_views_events", "Events by outcome.", "outcome", outcomes)
        yield CounterMetricFamily("yojohan_views_committed", "Events committed.", views.committed)
        yield CounterMetricFamily("yojohan_views_rolled_up", "Events taken into the rollups.", views.rolled_up)
        yield CounterMetricFamily("yojohan_views_batches", "Batches committed.", views.batches)
        yield CounterMetricFamily("yojohan_views_batch_retries", "Batches sent again.", views.retries)
        yield histogram("yojohan_views_batch_size", "Events in a batch.", views.batch_sizes)
        yield histogram("yojohan_views_flush_duration_seconds", "Time to commit a batch.", views.flush_times)
        yield CounterMetricFamily(
            "yojohan_views_rollup_passes", "Rollup passes that found something.", views.rollup_passes
        )
        yield CounterMetricFamily("yojohan_views_rollup_seconds", "Time spent rolling up.", views.rollup_seconds)

    return collect


def of_trends(trends: Trends) -> Source:
    """The trending calculator's passes."""

    def collect() -> Iterator[Metric]:
        yield CounterMetricFamily("yojohan_trending_passes", "Passes since the start.", trends.passes)
        yield GaugeMetricFamily("yojohan_trending_pass_seconds", "Time of the last pass.", trends.pass_seconds)
        yield GaugeMetricFamily(
            "yojohan_trending_pass_wal_bytes", "Write-ahead log during the last pass.", trends.pass_wal_bytes
        )

    return collect


def of_passwords(hasher: Hasher) -> Source:
    """The thread that hashes passwords."""

    def collect() -> Iterator[Metric]:
        outcomes = (("hash", hasher.hashes), ("verify", hasher.verifications), ("refused", hasher.refused))
        yield counters("yojohan_passwords", "Hashes made, hashes verified, requests refused.", "outcome", outcomes)
        yield GaugeMetricFamily("yojohan_passwords_waiting", "Requests waiting for the thread.", hasher.waiting)
        yield GaugeMetricFamily("yojohan_passwords_most_waiting", "Most that may wait.", hasher.most_waiting)
        yield histogram("yojohan_passwords_duration_seconds", "From asking to being done.", hasher.times)

    return collect


def of_notification_mails(sent: MailCounters) -> Source:
    """Mails about notifications."""

    def collect() -> Iterator[Metric]:
        outcomes = [
            (name, getattr(sent, name)) for name in ("sent", "dropped", "refused", "deferred", "waited", "given_up")
        ]
        yield counters("yojohan_notification_mails", "Mails about notifications by outcome.", "outcome", outcomes)
        yield GaugeMetricFamily(
            "yojohan_notification_mails_oldest_seconds", "How long the oldest that is due has waited.", sent.oldest_due
        )

    return collect


def of_recommendations(daily: RecommendationCounters) -> Source:
    """The daily recommendations."""

    def collect() -> Iterator[Metric]:
        yield CounterMetricFamily("yojohan_recommendation_users", "Users looked at.", daily.looked_at)
        yield CounterMetricFamily("yojohan_recommendations", "Releases recommended.", daily.recommended)
        yield CounterMetricFamily("yojohan_recommendation_rounds", "Days that were finished here.", daily.rounds)

    return collect


def of_search_building(building: SearchBuilding) -> Source:
    """What the builder of search documents did here."""

    def collect() -> Iterator[Metric]:
        yield CounterMetricFamily("yojohan_search_documents_built", "Documents the builder wrote.", building.written)
        yield CounterMetricFamily("yojohan_search_words_counted", "Words of titles that were counted.", building.words)
        yield CounterMetricFamily("yojohan_search_words_dropped", "Words that no title had.", building.words_dropped)

    return collect


def of_outbox(progress: OutboxProgress) -> Source:
    """The consumers of the outbox."""

    def collect() -> Iterator[Metric]:
        consumers = progress.by_consumer.items()
        events = CounterMetricFamily(
            "yojohan_outbox_events", "Events handled; attempts that failed, that were repeated, that were the last.",
            labels=("consumer", "outcome"),
        )  # fmt: skip
        rows = GaugeMetricFamily(
            "yojohan_outbox_rows", "Events waiting, parked and given up, counted up to 10,000.",
            labels=("consumer", "state"),
        )  # fmt: skip
        for name, one in consumers:
            for outcome, count in (
                ("handled", one.handled), ("failed", one.failed), ("retried", one.retried), ("given_up", one.given_up)
            ):  # fmt: skip
                events.add_metric((name, outcome), count)
            for state, count in (("waiting", one.waiting), ("parked", one.parked), ("dead", one.dead)):
                rows.add_metric((name, state), count)
        yield events
        yield rows
        lag = [(name, one.lag_seconds) for name, one in consumers]
        yield gauges("yojohan_outbox_lag_seconds", "Age of the oldest event waiting.", "consumer", lag)

    return collect


def of_notifications(progress: NotificationProgress) -> Source:
    """The dispatcher."""

    def collect() -> Iterator[Metric]:
        told = CounterMetricFamily(
            "yojohan_notifications", "Notifications by type: delivered, or held until the hour turns.",
            labels=("type", "outcome"),
        )  # fmt: skip
        for outcome, counts in (("delivered", progress.delivered), ("held", progress.held)):
            for name, count in counts.items():
                told.add_metric((name, outcome), count)
        yield told
        yield counters(
            "yojohan_notifications_released", "Held ones that arrived: in a digest, or by themselves.", "outcome",
            (("collapsed", progress.collapsed), ("alone", progress.released)),
        )  # fmt: skip
        yield CounterMetricFamily("yojohan_notification_slices", "Slices of the fan-out.", progress.slices)
        yield CounterMetricFamily("yojohan_notification_seconds", "Time spent in slices.", progress.seconds)
        yield CounterMetricFamily("yojohan_notification_failures", "Slices that failed by a fault.", progress.failed)
        yield GaugeMetricFamily(
            "yojohan_notification_events_open", "Events not told to everybody yet, counted up to 10,000.", progress.open
        )
        yield GaugeMetricFamily(
            "yojohan_notification_events_oldest_seconds", "Age of the oldest of them.", progress.oldest_seconds
        )

    return collect
