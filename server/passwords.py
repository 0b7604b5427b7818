"""Passwords: argon2id on a thread of its own, one at a time, and only so many waiting.

A hash takes 19 MiB and some tens of milliseconds of a core. One thread bounds the memory; its low priority leaves the
core to the event loop whenever that has something to do; the short queue turns a storm of logins into quick refusals.
"""

from __future__ import annotations

import asyncio
import os
import threading
import unicodedata
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from time import perf_counter
from typing import TYPE_CHECKING, TypeVar

from server.errors import Overloaded
from server.metrics_histogram import Histogram

if TYPE_CHECKING:
    from argon2 import PasswordHasher

T = TypeVar("T")

# OWASP's smallest recommendation for argon2id: KiB, passes, lanes.
MEMORY, PASSES, LANES = 19_456, 2, 1
MOST_WAITING = 8
# How much nicer the thread is than the rest of the process.
NICENESS = 10
# Costs what a real one costs, and is the hash of nothing anybody could type.
NOBODYS = f"$argon2id$v=19$m={MEMORY},t={PASSES},p={LANES}${'A' * 22}${'A' * 43}"
SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Hasher:
    """Hashes and verifies. Overloaded at once, with Retry-After, when MOST_WAITING already wait for the thread."""

    def __init__(self, most_waiting: int = MOST_WAITING) -> None:
        self.most_waiting = most_waiting
        self.hashes = 0
        self.verifications = 0
        self.refused = 0
        # From being asked for until done: the wait for the thread is part of it.
        self.times = Histogram(SECONDS)
        self._inside = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="passwords", initializer=_be_nice)

    @property
    def waiting(self) -> int:
        """How many wait for the thread."""
        return max(0, self._inside - 1)

    def require_room(self) -> None:
        """Overloaded if the queue is full. Asked before a request costs anything, a storm costs next to nothing."""
        if self._inside > self.most_waiting:
            self.refused += 1
            raise Overloaded("Too many are signing in right now; try again soon.", retry_after=2)

    async def hash(self, password: str) -> str:
        """The hash to store."""
        return await self._run(lambda: self._hash(password))

    async def verify(self, stored: str | None, password: str) -> bool:
        """Whether the password is the one of this hash. None, for an account there is not, takes as long as any."""
        return await self.first_of((stored,), password) is not None

    async def first_of(self, stored: Sequence[str | None], password: str) -> int | None:
        """The place of the first hash that is of this password. None of them: all have been tried, the missing too."""
        return await self._run(lambda: self._first_of(stored, password))

    def needs_rehash(self, stored: str) -> bool:
        """Whether the hash was made with other parameters than today's."""
        return _argon2().check_needs_rehash(stored)

    def close(self) -> None:
        """Take no more; what waits is dropped, what runs ends by itself."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[], T]) -> T:
        self.require_room()
        started = perf_counter()
        try:
            job = self._thread.submit(work)
        except RuntimeError:
            raise Overloaded("The server is stopping.") from None
        self._inside += 1
        done = asyncio.wrap_future(job)
        done.add_done_callback(self._leave)
        try:
            result = await asyncio.shield(done)
        except asyncio.CancelledError:
            # Whoever asked has gone. If the work has not begun it never will; else its place is free when it ends.
            job.cancel()
            raise
        self.times.observe(perf_counter() - started)
        return result

    def _leave(self, _: asyncio.Future[T]) -> None:
        self._inside -= 1

    def _hash(self, password: str) -> str:
        self.hashes += 1
        return hash_password(password)

    def _first_of(self, stored: Sequence[str | None], password: str) -> int | None:
        for place, one in enumerate(stored):
            self.verifications += 1
            if _matches(one if one is not None else NOBODYS, password) and one is not None:
                return place
        return None


def hash_password(password: str) -> str:
    """The hash of a password, made here and now: for commands, which have no loop to keep free."""
    return _argon2().hash(_normal(password))


def _matches(stored: str, password: str) -> bool:
    from argon2.exceptions import InvalidHashError, VerificationError  # noqa: PLC0415 - only where people sign in

    try:
        return _argon2().verify(stored, _normal(password))
    except (VerificationError, InvalidHashError):
        return False


def _normal(password: str) -> str:
    # Two keyboards may compose the same letter differently (NIST SP 800-63B, 5.1.1.2).
    return unicodedata.normalize("NFKC", password)


@cache
def _argon2() -> PasswordHasher:
    from argon2 import PasswordHasher  # noqa: PLC0415 - only where people sign in

    return PasswordHasher(time_cost=PASSES, memory_cost=MEMORY, parallelism=LANES)


def _be_nice() -> None:
    # On Linux a thread has a niceness of its own.
    thread = threading.get_native_id()
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, thread, min(19, os.getpriority(os.PRIO_PROCESS, thread) + NICENESS))
