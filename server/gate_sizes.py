"""How large the concurrency gate is on this machine: its cores, the memory it leaves us, the pool, the settings."""

from __future__ import annotations

import os

from server.adapters import cgroup
from server.rules.load import Sizes, sizes
from server.settings import Settings

# Where nobody says how much memory there is: as on a small server.
ASSUMED_MEMORY = 2**30


def measured(settings: Settings, pool: int) -> Sizes:
    """The sizes. Cores are those this process may use, memory what its control groups or the machine have."""
    return sizes(
        len(os.sched_getaffinity(0)), cgroup.bound() or ASSUMED_MEMORY, pool, settings.max_concurrent_requests,
        settings.max_queued_requests,
    )  # fmt: skip
