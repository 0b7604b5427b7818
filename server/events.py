"""What parts of the server tell each other, as plain frozen values: importable by every room."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
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
class Bell:
    """Rung after a commit that wrote to the outbox; whoever reads the outbox listens. Prompt, never certain."""

    listeners: list[Callable[[], None]] = field(default_factory=list)

    def ring(self) -> None:
        """Tell all listeners; each takes no time and raises nothing."""
        for listener in self.listeners:
            listener()
