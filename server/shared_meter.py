"""The rate limiter where instances share their counts: the verdict is Redis's, within 50 ms, else the local memory's.

No request ever fails or waits for longer because of Redis. What is decided here meanwhile it is told once it is back.
"""

from __future__ import annotations

from time import perf_counter

from actors.base import ActorRef
from actors.limit_exchange import Take
from server.adapters.redis import Redis
from server.errors import Unavailable
from server.events import Sharing
from server.meter import Meter
from server.rules.limits import Charge, Limit

# Seconds after which nobody waits any longer, whatever happens. What Redis is given is in `actors.limit_exchange`: this
# much passes only where the process itself is so busy that it does not come to read the answers.
LAST_RESORT = 0.5


class SharedMeter:
    """Charges requests against policies in all instances at once."""

    def __init__(self, meter: Meter, exchange: ActorRef[Take], redis: Redis, sharing: Sharing) -> None:
        self._meter = meter
        self._exchange = exchange
        self._redis = redis
        self._sharing = sharing

    async def charge(self, limit: Limit, key: int) -> Charge:
        """Take the limit's cost from this key's quota, or refuse and take nothing."""
        meter, sharing = self._meter, self._sharing
        # What was learnt to be used up is used up everywhere, but where somebody may have given it back, or where Redis
        # has to be told.
        if limit.by != "account" and not sharing.in_doubt(meter.clock(), limit.window):
            refusal = meter.refusal(limit, key)
            if refusal is not None:
                sharing.known += 1
                return refusal
        verdict = await self._ask(Take(limit, key, perf_counter()))
        return meter.charge(limit, key) if verdict is None else verdict

    async def give_back(self, limit: Limit, key: int) -> None:
        """Undo one charge: what was charged ahead turned out not to count."""
        if await self._ask(Take(limit, key, perf_counter(), back=True)) is None:
            self._meter.give_back(limit, key)

    async def _ask(self, message: Take) -> Charge | None:
        """Redis's verdict, or None where the local memory has to do."""
        sharing = self._sharing
        if not self._redis.away:
            try:
                verdict = await self._exchange.ask(message, timeout=LAST_RESORT)
            except Unavailable:
                # Too many wait, or the server stops.
                verdict = None
            if verdict is not None:
                sharing.shared += 1
                return verdict
        sharing.fallbacks += 1
        sharing.doubted_at = self._meter.clock()
        return None
