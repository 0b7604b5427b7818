"""The memory of this process: what it may use and uses, and giving back to the system what nobody needs."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable

from server.adapters.cgroup import Cgroup, machine
from server.metrics import Metrics, resident_bytes
from server.rules.pressure import Reading


def looker(metrics: Metrics) -> Callable[[], Reading]:
    """What the governor looks through: of control group and machine the tighter one, and the lag of the loop.

    Both count what child processes use, an embedded PostgreSQL above all: it is under the same limit.
    """
    group = Cgroup()

    def look() -> Reading:
        usages = [usage for usage in (group.tightest(), machine()) if usage is not None]
        tightest = min(usages, key=lambda usage: usage.room, default=None)
        if tightest is None:
            return Reading(None, resident_bytes(), metrics.loop_lag_mean)
        return Reading(tightest.limit, tightest.used, metrics.loop_lag_mean)

    return look


def tidy() -> None:
    """Collect cycles, and give free pages back."""
    gc.collect()
    give_back()


def give_back() -> None:
    """Have the allocator give free pages back: it keeps them otherwise. A few milliseconds."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    # Only glibc has it.
    if trim is not None:
        trim(0)
