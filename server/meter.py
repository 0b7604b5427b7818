"""The rate limiter's memory: one number a key, decided in a plain call, bounded whatever comes.

Each policy has two generations of keys. When the younger is full it becomes the elder, and the elder is let go: no
order has to be kept, and a flood of keys under one policy makes no other policy forget anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from time import monotonic

from server.rules.limits import Charge, Limit, decide


class Generations:
    """The keys of one policy: at most `most` in memory."""

    __slots__ = ("elder", "half", "younger")

    def __init__(self, most: int) -> None:
        self.half = max(1, most // 2)
        self.younger: dict[int, float] = {}
        self.elder: dict[int, float] = {}

    def __len__(self) -> int:
        return len(self.younger) + len(self.elder)

    def get(self, key: int) -> float:
        """The theoretical arrival time of a key, 0 if it is unknown."""
        arrival = self.younger.get(key)
        return self.elder.get(key, 0.0) if arrival is None else arrival

    def put(self, key: int, arrival: float) -> None:
        """Remember it."""
        younger = self.younger
        if len(younger) >= self.half and key not in younger:
            self.elder = younger
            younger = self.younger = {}
        younger[key] = arrival

    def drop(self, keys: Iterable[int], now: float) -> int:
        """Forget those of these keys whose time has passed: they mean what an absent key means."""
        dropped = 0
        for generation in (self.younger, self.elder):
            for key in keys:
                if generation.get(key, now + 1) <= now:
                    del generation[key]
                    dropped += 1
        return dropped


class Meter:
    """Charges requests against policies in this process; `server.shared_meter` does it for several."""

    def __init__(self, limits: Mapping[str, Limit], clock: Callable[[], float] = monotonic) -> None:
        self.limits = dict(limits)
        self.refused = dict.fromkeys(self.limits, 0)
        self.allowed = dict.fromkeys(self.limits, 0)
        self.tables = {name: Generations(limit.keys) for name, limit in self.limits.items()}
        self.clock = clock

    def __len__(self) -> int:
        return sum(len(table) for table in self.tables.values())

    def charge(self, limit: Limit, key: int) -> Charge:
        """Take the limit's cost from this key's quota, or refuse and take nothing."""
        table = self.tables[limit.name]
        arrival = table.get(key)
        after, verdict = decide(limit, arrival, self.clock(), limit.cost)
        # Also when refused: who keeps coming must not be forgotten before those who left.
        table.put(key, after)
        if verdict.retry_after == 0:
            self.allowed[limit.name] += 1
        else:
            self.refused[limit.name] += 1
        return verdict

    def count(self, verdict: Charge) -> None:
        """A verdict of somebody else, for the metrics."""
        (self.allowed if verdict.retry_after == 0 else self.refused)[verdict.limit.name] += 1

    def refusal(self, limit: Limit, key: int) -> Charge | None:
        """The verdict where what is remembered refuses already; None, and nothing taken, where it does not."""
        table = self.tables[limit.name]
        arrival, verdict = decide(limit, table.get(key), self.clock(), limit.cost)
        if verdict.retry_after == 0:
            return None
        table.put(key, arrival)
        self.refused[limit.name] += 1
        return verdict

    def follow(self, limit: Limit, key: int, arrival: float) -> None:
        """Remember the theoretical arrival time that was decided elsewhere."""
        self.tables[limit.name].put(key, arrival)

    def give_back(self, limit: Limit, key: int) -> None:
        """Undo one charge: what was charged ahead turned out not to count."""
        table = self.tables[limit.name]
        table.put(key, table.get(key) - limit.cost * limit.window / limit.quota)
