"""A circuit breaker: what has failed several times in a row is left alone for a while."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from server.errors import Unavailable

FAILURES = 3
# How long it stays open, in seconds. Then one attempt tells whether it opens again.
REST = 30.0


class Breaker:
    """Counts failures in a row. `failing` says that the last attempt failed, `check` refuses while it is open."""

    def __init__(self, name: str, clock: Callable[[], float] = monotonic) -> None:
        self.name = name
        # When the last attempt ended; None before the first.
        self.tried_at: float | None = None
        self.failures = 0
        self._clock = clock
        self._opened_at: float | None = None

    @property
    def failing(self) -> bool:
        """Whether the last attempt failed."""
        return self.failures > 0

    @property
    def open(self) -> bool:
        """Whether attempts are refused."""
        return self._opened_at is not None and self._clock() - self._opened_at < REST

    def stale(self, seconds: float) -> bool:
        """Whether the last attempt is so long ago that it tells nothing any more."""
        return self.tried_at is None or self._clock() - self.tried_at >= seconds

    def check(self) -> None:
        """Unavailable, with the seconds to wait, while it is open."""
        if self._opened_at is None:
            return
        left = REST - (self._clock() - self._opened_at)
        if left > 0:
            raise Unavailable(f"{self.name} is away; try again later.", retry_after=int(left) + 1)
        # Whoever comes first tries it; the others wait for what comes of that.
        self._opened_at = self._clock()

    def succeeded(self) -> None:
        """It works."""
        self.tried_at = self._clock()
        self.failures = 0
        self._opened_at = None

    def failed(self) -> None:
        """It does not; after FAILURES in a row it is open."""
        self.tried_at = self._clock()
        self.failures += 1
        if self.failures >= FAILURES:
            self._opened_at = self.tried_at
