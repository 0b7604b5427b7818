"""Listeners of the live stream that do nothing but stay."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence

from tests.bench.measure import memory_mb
from tests.bench.processes import HOST, BenchError, Running

SETTLE = 2.0
KB_PER_MB = 1024


def hold(server: Running, tokens: Sequence[str], count: int) -> float:
    """Open `count` streams, five a token, and return by how many KB of RSS each made the server grow."""
    before = memory_mb(server.pid, "Rss")
    sockets = [_listen(server.port, tokens[number // 5]) for number in range(min(count, 5 * len(tokens)))]
    try:
        time.sleep(SETTLE)
        return (memory_mb(server.pid, "Rss") - before) * KB_PER_MB / len(sockets)
    finally:
        for each in sockets:
            each.close()


def _listen(port: int, token: str) -> socket.socket:
    connection = socket.create_connection((HOST, port), timeout=10)
    head = f"GET /api/v1/notifications/stream HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n"
    connection.sendall(head.encode())
    status = connection.recv(4096)
    if b" 200 " not in status.split(b"\r\n", 1)[0]:
        raise BenchError(f"the stream was refused: {status[:200]!r}")
    return connection
