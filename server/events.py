"""What parts of the server tell each other, as plain frozen values: importable by every room."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from time import monotonic
from typing import Literal

from server.metrics_histogram import Histogram

Period = Literal["day", "week", "month"]
PERIODS: tuple[Period, ...] = ("day", "week", "month")
PERIOD_HOURS: dict[Period, int] = {"day": 24, "week": 168, "month": 720}
# Events in a batch; 5,000 is the most.
BATCH_SIZES = (1.0, 10.0, 50.0, 200.0, 1000.0, 5000.0)


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
class Bell:
    """Rung after a commit that put something into the outbox or queued an operation. Prompt, never certain."""

    listeners: list[Callable[[], None]] = field(default_factory=list)

    def ring(self) -> None:
        """Tell all listeners; each takes no time and raises nothing."""
        for listener in self.listeners:
            listener()
