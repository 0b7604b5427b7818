"""How long single answers take, asked one after another: where a percentile is the promise, not a rate."""

from __future__ import annotations

import http.client
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tests.bench.processes import HOST, BenchError


@dataclass
class Latencies:
    """Milliseconds of each answer, and the last one's body."""

    milliseconds: list[float] = field(default_factory=list)
    body: bytes = b""

    def percentile(self, share: float) -> float:
        """The value that so large a share of the answers does not exceed (nearest rank)."""
        ordered = sorted(self.milliseconds)
        return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def ask(port: int, paths: Iterable[str], headers: Mapping[str, str] | None = None) -> Latencies:
    """GET them in turn; BenchError for anything but 200."""
    connection, found = http.client.HTTPConnection(HOST, port, timeout=30), Latencies()
    try:
        for path in paths:
            started = time.perf_counter()
            connection.request("GET", path, headers=dict(headers or {}))
            answer = connection.getresponse()
            found.body = answer.read()
            found.milliseconds.append((time.perf_counter() - started) * 1000)
            if answer.status != 200:
                raise BenchError(f"GET {path} answered {answer.status}: {found.body[:300]!r}")
    finally:
        connection.close()
    return found
