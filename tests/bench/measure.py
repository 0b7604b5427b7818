"""Reads what processes weigh, and describes the machine."""

from __future__ import annotations

import os
import platform
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from server.postgres.cluster import Cluster

KIB_PER_MB = 1024
SAMPLE_SECONDS = 0.5


def memory_mb(pid: int, field: str) -> float:
    """Return `Rss` or `Pss` of a process in MB (1024 KiB) from smaps_rollup; OSError when it is gone or not ours."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name == field:
            return int(rest.split()[0]) / KIB_PER_MB
    raise OSError(f"smaps_rollup of {pid} has no {field}")


def postgres_pids(data_dir: Path) -> list[int]:
    """Return the processes of the embedded PostgreSQL over `data_dir`, the postmaster first; empty when none runs."""
    postmaster = Cluster(data_dir).postmaster()
    return [postmaster, *_descendants(postmaster)] if postmaster else []


def stack_pids(server_pid: int, data_dir: Path) -> list[int]:
    """Return every process of a server: itself, its children, and its PostgreSQL wherever that was adopted."""
    return list(dict.fromkeys([server_pid, *_descendants(server_pid), *postgres_pids(data_dir)]))


def _descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # Processes end while we read.
            # The name in parentheses may hold blanks; the parent is the second field after it.
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(folder.name))
    found = list(children.get(pid, ()))
    for each in found:
        found.extend(children.get(each, ()))
    return found


def total_pss_mb(pids: Iterable[int]) -> float:
    """Return the proportional set size of processes together, in MB: pages they share count once."""
    total = 0.0
    for pid in pids:
        try:
            total += memory_mb(pid, "Pss")
        except FileNotFoundError:
            continue  # A backend may end between the listing and the reading.
    return total


class PeakRss:
    """Watches the RSS of a process during a block; `peak` is the highest sample in MB."""

    def __init__(self, pid: int) -> None:
        self._pid, self._stop = pid, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.peak = 0.0

    def __enter__(self) -> Self:
        self._sample()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(SAMPLE_SECONDS):
            self._sample()

    def _sample(self) -> None:
        try:
            self.peak = max(self.peak, memory_mb(self._pid, "Rss"))
        except OSError:
            self._stop.set()  # The server is gone; whoever talks to it will say so.


def machine() -> str:
    """Return the machine in one line: cores, CPU model, Python."""
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores, {_cpu_model()}, Python {platform.python_version()}"


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
