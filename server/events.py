"""What parts of the server tell each other, as plain frozen values: importable by every room."""

from __future__ import annotations

import asyncio
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from time import monotonic
from typing import Literal
from uuid import UUID

from server.metrics_histogram import Histogram

Period = Literal["day", "week", "month"]
PERIODS: tuple[Period, ...] = ("day", "week", "month")
PERIOD_HOURS: dict[Period, int] = {"day": 24, "week": 168, "month": 720}
# Events in a batch; 5,000 is the most.
BATCH_SIZES = (1.0, 10.0, 50.0, 200.0, 1000.0, 5000.0)
SHARING = (0.0005, 0.001, 0.0025, 0.005, 0.02, 0.05)


@dataclass(slots=True)
class ViewCounters:
    """What became of view events since the start. Written by the actors, read by the metrics; one thread, no lock."""

    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    filtered: int = 0
    committed: int = 0
    rolled_up: int = 0
    batches: int = 0
    batch_sizes: Histogram = field(default_factory=lambda: Histogram(BATCH_SIZES))
    flush_times: Histogram = field(default_factory=Histogram)
    retries: int = 0
    rollup_passes: int = 0
    rollup_seconds: float = 0.0


@dataclass(slots=True)
class ViewerSalts:
    """The salts of today and tomorrow (UTC), by day; only in memory and in the database, gone when the day is over."""

    by_day: dict[date, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Trend:
    """The top of one period: release ids from first to last, their scores, and when that was so."""

    period: Period
    computed_at: datetime
    release_ids: Sequence[int] = field(default_factory=lambda: array("q"))
    scores: Sequence[float] = field(default_factory=lambda: array("d"))


@dataclass(slots=True)
class Trends:
    """The latest top of each period, and how the last pass went."""

    by_period: dict[Period, Trend] = field(default_factory=dict)
    passes: int = 0
    pass_seconds: float = 0.0
    pass_wal_bytes: int = 0


@dataclass(slots=True)
class OperatorGauges:
    """What an actor counts once a minute: rows by noun, the machine's load, how long the process has been up."""

    started: float = field(default_factory=monotonic)
    counts: dict[str, int] = field(default_factory=dict)
    load: tuple[float, float, float] = (0.0, 0.0, 0.0)
    uptime: float = 0.0


@dataclass(slots=True)
class ConsumerProgress:
    """How one consumer of the outbox gets on: counters since the start, then what the upkeep found last."""

    handled: int = 0
    failed: int = 0
    retried: int = 0
    given_up: int = 0
    waiting: int = 0
    lag_seconds: float = 0.0
    parked: int = 0
    dead: int = 0


@dataclass(slots=True)
class OutboxProgress:
    """How all consumers of the outbox get on, by name."""

    by_consumer: dict[str, ConsumerProgress] = field(default_factory=dict)


@dataclass(slots=True)
class Sharing:
    """How rate limits are shared between instances: counters since the start.

    `doubted_at`, on the meter's clock: when Redis last may have known less than the local memory.
    """

    shared: int = 0
    # refused by what had been learnt from Redis before
    known: int = 0
    # decided by the local memory alone
    fallbacks: int = 0
    questions: int = 0
    failures: int = 0
    latency: Histogram = field(default_factory=lambda: Histogram(SHARING))
    doubted_at: float = float("-inf")

    def in_doubt(self, now: float, window: float) -> bool:
        """Whether there may be something to tell Redis of a policy with this window."""
        return now < self.doubted_at + window


@dataclass(slots=True)
class Indexing:
    """How Elasticsearch is kept in step: what this instance saw last, and counters since the start.

    `filled`: there is an index of our shape; `ready`: nothing is missing in it for long; `lag`: seconds since when
    something is; `documents` by what became of them.
    """

    alias: str = ""
    filled: bool = False
    ready: bool = False
    filling: bool = False
    leading: bool = False
    lag: float = 0.0
    failures: int = 0
    documents: Counter[str] = field(default_factory=Counter)
    latency: Histogram = field(default_factory=Histogram)


@dataclass(slots=True)
class MailCounters:
    """What became of mails about notifications since the start, and for how many seconds the oldest due has waited."""

    sent: int = 0
    # to nobody who could or would get it
    dropped: int = 0
    refused: int = 0
    deferred: int = 0
    waited: int = 0
    given_up: int = 0
    oldest_due: float = 0.0


@dataclass(slots=True)
class RecommendationCounters:
    """How the daily recommendations get on: users looked at and releases recommended since the start."""

    looked_at: int = 0
    recommended: int = 0
    rounds: int = 0


@dataclass(slots=True)
class SearchBuilding:
    """How search documents get on: whether every release has one (None: nobody has looked yet), and counters since the
    start of what the builder wrote and looked at."""

    complete: bool | None = None
    written: int = 0
    words: int = 0
    words_dropped: int = 0


@dataclass(slots=True)
class SearchInStep:
    """When (`monotonic`) the search index here last held all that was committed; at first, when the server started."""

    at: float = field(default_factory=monotonic)


@dataclass(slots=True)
class Recommending:
    """What is recommended, by kind, since the start, and how the worker process gets on that works out neighbours.

    `stale` rows wait to be worked out anew; `users` and `items` the model was made from.
    """

    served: Counter[str] = field(default_factory=Counter)
    # who looked at theirs, not written down yet
    viewers: set[int] = field(default_factory=set)
    running: bool = False
    runs: int = 0
    failures: int = 0
    # stopped from outside
    interrupted: int = 0
    seconds: float = 0.0
    stale: int = 0
    users: int = 0
    items: int = 0


@dataclass(slots=True)
class WebhookProgress:
    """What became of deliveries to webhooks: counters since the start, then what was measured last."""

    attempts: Counter[str] = field(default_factory=Counter)
    deliveries: Counter[str] = field(default_factory=Counter)
    switched_off: int = 0
    pending: int = 0
    oldest_seconds: float = 0.0
    disabled: int = 0


@dataclass(slots=True)
class NotificationProgress:
    """What the dispatcher has done since the start, by type, and what it found open last."""

    delivered: Counter[str] = field(default_factory=Counter)
    held: Counter[str] = field(default_factory=Counter)
    # held ones that arrived in a digest, and by themselves
    collapsed: int = 0
    released: int = 0
    slices: int = 0
    seconds: float = 0.0
    failed: int = 0
    open: int = 0
    oldest_seconds: float = 0.0


@dataclass(slots=True)
class Bell:
    """Rung after a commit that put something into the outbox or queued an operation. Prompt, never certain."""

    listeners: list[Callable[[], None]] = field(default_factory=list)

    def ring(self) -> None:
        """Tell all listeners; each takes no time and raises nothing."""
        for listener in self.listeners:
            listener()


# Ends that nobody waited for yet and somebody may ask about.
ENDS_REMEMBERED = 1000


@dataclass(slots=True)
class Endings:
    """Operations that ended in this process: whoever waits for one is woken. Prompt, never certain."""

    waiting: dict[UUID, list[asyncio.Event]] = field(default_factory=dict)
    recent: dict[UUID, None] = field(default_factory=dict)

    @contextmanager
    def watch(self, operation_id: UUID) -> Iterator[asyncio.Event]:
        """An event that is set once it has ended."""
        event = asyncio.Event()
        if operation_id in self.recent:
            event.set()
        watchers = self.waiting.setdefault(operation_id, [])
        watchers.append(event)
        try:
            yield event
        finally:
            watchers.remove(event)
            if not watchers:
                self.waiting.pop(operation_id, None)

    def tell(self, operation_id: UUID) -> None:
        """It has ended, and that is committed."""
        for event in self.waiting.get(operation_id, ()):
            event.set()
        self.recent[operation_id] = None
        if len(self.recent) > ENDS_REMEMBERED:
            del self.recent[next(iter(self.recent))]
