"""Which processes belong to a data directory, read from /proc: the word of a pid file alone is not enough."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

POLL = 0.01


def serves(pid: int, directory: Path) -> bool:
    """Whether this process is a living PostgreSQL on this data directory, not a stranger that got the same number."""
    try:
        # PostgreSQL works inside its data directory. So may an operator's shell, hence the look at the program.
        here = Path(f"/proc/{pid}/cwd").readlink() == directory
        return here and _program(pid).startswith("postgres") and not _is_zombie(pid)
    except OSError:
        return False


def servers_of(directory: Path) -> list[int]:
    """Every living PostgreSQL process on this data directory: the postmaster, or sessions that outlived it."""
    return [pid for pid in _all() if serves(pid, directory)]


def makers_of(directory: Path) -> list[int]:
    """Every `initdb -D directory`."""
    return [pid for pid in _all() if _makes(pid, str(directory))]


def end(pids: list[int], patience: float) -> None:
    """Wait `patience` seconds for the processes to end by themselves, then kill them."""
    deadline = time.monotonic() + patience
    left = pids
    while left := [pid for pid in left if _alive(pid)]:
        if time.monotonic() > deadline:
            _kill(left)
        time.sleep(POLL)


def _kill(pids: list[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _alive(pid: int) -> bool:
    try:
        return not _is_zombie(pid)
    except OSError:
        return False


def _all() -> Iterator[int]:
    return (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())


def _program(pid: int) -> str:
    # After an upgrade the link reads "postgres (deleted)".
    return Path(f"/proc/{pid}/exe").readlink().name


def _makes(pid: int, directory: str) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return any(word.endswith(b"/initdb") for word in words[:4]) and os.fsencode(directory) in words


def _is_zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2][:1] in (b"Z", b"X")
