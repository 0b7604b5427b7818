"""How many connections there may be, and what the system is told about each."""

from __future__ import annotations

import socket

import pytest

from server.http import connections
from server.http.connections import bounds


def test_bounds_follow_memory_and_file_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections.resource, "getrlimit", lambda _: (16_384, 16_384))
    assert bounds(435 * 2**20, proxied=True).most >= 5_000
    assert bounds(64 * 2**20, proxied=True).most < 1_000
    assert bounds(None, proxied=True).most == 16_384 - connections.KEPT_FILES
    assert (bounds(None, proxied=True).of_address, bounds(None, proxied=False).of_address > 0) == (0, True)
    monkeypatch.setattr(connections.resource, "getrlimit", lambda _: (1_024, 1_024))
    assert bounds(None, proxied=True).most == 1_024 - connections.KEPT_FILES


def test_accepted_connections_inherit_what_was_set_up() -> None:
    with socket.socket() as listening, socket.socket() as client:
        connections.set_up(listening)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        client.connect(listening.getsockname())
        with listening.accept()[0] as accepted:
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == connections.IDLE
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == connections.UNCONFIRMED
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 2 * connections.SEND_BUFFER
