"""Connections: how many there may be, what each may hold and for how long, and why some were refused or cut.

One that is slow on purpose costs a server its memory or its file descriptors. So the head of a request has to come
within seconds and within so many bytes, whoever does not read its answers is cut off, and there are bounds on how many
connections there are, together and from one address.
"""

from __future__ import annotations

import asyncio
import resource
import socket
import struct
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from server.rules.limits import address_key

# Why a connection was refused or cut.
FULL, ADDRESS, SLOW_HEAD, LARGE_HEAD, SLOW_READER = "full", "address", "slow_head", "large_head", "slow_reader"
REASONS = (FULL, ADDRESS, SLOW_HEAD, LARGE_HEAD, SLOW_READER)

MOST, FEWEST = 20_000, 256
# A quarter of the memory is for connections, at what one costs while nothing big is on its way.
SHARE = 4
COST = 20 * 1024
# File descriptors kept for the database, files on their way and log files; and how many are asked for at the start.
KEPT_FILES = 256
WANTED_FILES = 65_536
# From one address, where it is a client's own: as many as a large office needs, never so many as to shut out others.
ADDRESS_SHARE, FEWEST_OF_ADDRESS = 16, 64
# Beyond the most there is room for so many of this machine, and where everybody else is shut out its operator gets in.
# Behind a proxy of this machine all are: it must stay few.
KEPT_FOR_LOOPBACK = 16
# Kept by the kernel for a client that does not read; the kernel doubles it. Half a megabyte is 5 MB/s at 100 ms.
SEND_BUFFER = 256 * 1024
# A peer that has gone without a word: asked after a minute of silence, given up soon after; and how long what was sent
# may stay unconfirmed, in milliseconds.
IDLE, ASK_AGAIN, ASK_AT_MOST, UNCONFIRMED = 60, 15, 4, 60_000
# Where Linux's `struct tcp_info` has `tcpi_bytes_acked` (since 4.1; what it grows by is appended).
ACKNOWLEDGED, ACKNOWLEDGED_AT = struct.Struct("=Q"), 120


@dataclass(frozen=True, slots=True)
class Bounds:
    """What connections may cost. `of_address` 0: whose a connection is cannot be seen, as behind a proxy."""

    most: int = MOST
    of_address: int = 0
    # Addresses of this machine are not counted: there are proxies, tests and operators.
    counts_loopback: bool = False
    kept_for_loopback: int = KEPT_FOR_LOOPBACK
    # A head has to be complete so soon after its first byte, in seconds, and in so many bytes.
    head_patience: float = 10.0
    largest_head: int = 32_768
    # How long a reader may leave its answer, in seconds, unless it takes at least so many bytes a second of it.
    read_patience: float = 30.0
    slowest_reader: int = 1024
    # How often somebody looks.
    sweep: float = 1.0


def bounds(memory: int | None, *, proxied: bool) -> Bounds:
    """What this machine can carry: its memory, and the file descriptors this process may have."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    affordable = MOST if memory is None else memory // SHARE // COST
    most = max(FEWEST, min(MOST, affordable, (files if files > 0 else WANTED_FILES) - KEPT_FILES))
    return Bounds(most, 0 if proxied else max(FEWEST_OF_ADDRESS, most // ADDRESS_SHARE))


def raise_file_limit() -> None:
    """Ask for more file descriptors, as far as the system lets us without asking anybody: the default is 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_FILES if hard == resource.RLIM_INFINITY else min(WANTED_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        # A unit may forbid the call; then it says how many there are.
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def set_up(listening: socket.socket) -> None:
    """Options that every accepted connection inherits: peers that vanished are found, slow ones fill no memory."""
    if listening.family not in (socket.AF_INET, socket.AF_INET6):
        return
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, IDLE)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, ASK_AGAIN)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, ASK_AT_MOST)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNCONFIRMED)


def peer_address(transport: asyncio.BaseTransport) -> str:
    """The address at the other end; empty where that has none."""
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) else ""


def acknowledged(transport: asyncio.BaseTransport) -> int:
    """How many bytes the other end has confirmed since it connected; 0 where the system does not say."""
    try:
        sock = transport.get_extra_info("socket")
        found = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, ACKNOWLEDGED_AT + ACKNOWLEDGED.size)
        return int(ACKNOWLEDGED.unpack_from(found, ACKNOWLEDGED_AT)[0])
    except (OSError, AttributeError, struct.error):
        return 0


class Connections:
    """All connections of this process: who is let in, and counters since the start."""

    def __init__(self, bound: Bounds) -> None:
        self.bounds = bound
        self.open = 0
        self.refused: Counter[str] = Counter()
        # How many are in which state; who serves them says.
        self.states: Callable[[], Mapping[str, int]] = dict
        self._of_address: Counter[int] = Counter()

    @property
    def full(self) -> bool:
        """Whether there is no room for anybody from elsewhere."""
        return self.open >= self.bounds.most

    def full_for(self, address: str) -> bool:
        """Whether there is no room for somebody from there."""
        return self.open >= self.bounds.most + (self.bounds.kept_for_loopback if is_loopback(address) else 0)

    def admit(self, address: str) -> tuple[int | None, str]:
        """Count it in. What to give back to `leave`, and why it is refused: then it was not counted."""
        if self.full_for(address):
            self.refused[FULL] += 1
            return None, FULL
        key = self._key(address)
        if key is not None:
            if self._of_address[key] >= self.bounds.of_address:
                self.refused[ADDRESS] += 1
                return None, ADDRESS
            self._of_address[key] += 1
        self.open += 1
        return key, ""

    def leave(self, key: int | None) -> None:
        """Count it out."""
        self.open -= 1
        if key is None:
            return
        self._of_address[key] -= 1
        if self._of_address[key] <= 0:
            del self._of_address[key]

    def _key(self, address: str) -> int | None:
        if not self.bounds.of_address or not address:
            return None
        if not self.bounds.counts_loopback and is_loopback(address):
            return None
        return address_key(address)


def is_loopback(address: str) -> bool:
    """Whether it is of this machine, also written as IPv6."""
    return address == "::1" or address.startswith(("127.", "::ffff:127."))
