"""Watching a server from outside while others load it: what it weighs, how fast it says that it lives."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.bench.measure import memory_mb, stack_pids, total_pss_mb
from tests.chaos.bounds import percentile
from tests.chaos.wire import HOST, request

WEIGH = 0.5
PROBE = 0.05
PATIENCE = 5.0


@dataclass
class Watched:
    """The highest PSS of the server and of the whole stack in MB, and the times /live took in seconds."""

    server_mb: float = 0.0
    stack_mb: float = 0.0
    live: list[float] = field(default_factory=list)
    live_failed: int = 0

    @property
    def live_p99_ms(self) -> float:
        """The 99th percentile of /live, in ms."""
        return percentile(sorted(self.live), 0.99) * 1000


class Watch:
    """Two threads that look every now and then during a block: blocking calls, so that nobody's event loop is in it."""

    def __init__(self, pid: int, port: int, data_dir: Path) -> None:
        self._pid, self._port, self._data_dir = pid, port, data_dir
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=act, daemon=True) for act in (self._weigh, self._probe)]
        self.watched = Watched()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _weigh(self) -> None:
        number = 0
        while not self._stop.wait(WEIGH):
            with suppress(OSError):  # It is gone; whoever asks it something will say so.
                self.watched.server_mb = max(self.watched.server_mb, memory_mb(self._pid, "Pss"))
                # The processes of PostgreSQL are many, and reading their maps takes time of the same cores.
                if number % 8 == 0:
                    weight = total_pss_mb(stack_pids(self._pid, self._data_dir))
                    self.watched.stack_mb = max(self.watched.stack_mb, weight)
                number += 1

    def _probe(self) -> None:
        """Every other time on a connection of its own, as a load balancer does."""
        kept: socket.socket | None = None
        asked = request("GET", "/live", self._port)
        number = 0
        while not self._stop.wait(PROBE):
            number += 1
            started = time.perf_counter()
            try:
                if number % 2:
                    with socket.create_connection((HOST, self._port), PATIENCE) as one:
                        _ask(one, asked)
                else:
                    kept = kept or socket.create_connection((HOST, self._port), PATIENCE)
                    _ask(kept, asked)
            except OSError:
                self.watched.live_failed += 1
                if kept is not None:
                    kept.close()
                kept = None
            self.watched.live.append(time.perf_counter() - started)
        if kept is not None:
            kept.close()


def _ask(connection: socket.socket, asked: bytes) -> None:
    connection.sendall(asked)
    if not connection.recv(4096).startswith(b"HTTP/1.1 200"):
        raise ConnectionError
