"""Where a run of the tests keeps its files: in memory where there is room.

Most tests want a database of their own, and making one copies some 760 files, which takes most disks longer than the
test that asked for it. What is kept at a time is far below ROOM, as a test that passed leaves nothing behind. Nothing
that is proved needs a disk: a process that is killed loses nothing it has written to a file, wherever that is.
`--basetemp` keeps them elsewhere.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from server.postgres import processes

SHARED_MEMORY = Path("/dev/shm")
NAME = "yojohan-tests-"
ROOM = 4 * 2**30


def room() -> Path | None:
    """A directory that is not there yet, or None where memory is short."""
    if not os.access(SHARED_MEMORY, os.W_OK):
        return None
    _clear_away()
    free = min(shutil.disk_usage(SHARED_MEMORY).free, _available())
    return SHARED_MEMORY / f"{NAME}{os.getpid()}" if free >= ROOM else None


def _available() -> int:
    """The memory that programs can still have, in bytes."""
    lines = Path("/proc/meminfo").read_text("utf-8").splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), 0)


def _clear_away() -> None:
    """Remove what runs left that were killed, their database servers first."""
    for left in SHARED_MEMORY.glob(f"{NAME}*"):
        if Path(f"/proc/{left.name.removeprefix(NAME)}").exists():
            continue
        for version in left.rglob("PG_VERSION"):
            # There is one in the data directory and one for each database.
            if (version.parent / "postgresql.conf").exists():
                processes.end(processes.servers_of(version.parent), 1)
        shutil.rmtree(left, ignore_errors=True)
