"""Rate limiters that share their counts, each as an instance of the server would have it, without the rest of one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from actors.limit_exchange import LimitExchange
from actors.system import ActorSystem
from server.adapters.redis import Redis
from server.events import Sharing
from server.meter import Meter
from server.rules.limits import Limit
from server.shared_meter import SharedMeter


@dataclass
class Instance:
    """What one instance decides by. `fatal` collects what would have ended it."""

    meter: Meter
    shared: SharedMeter
    sharing: Sharing
    redis: Redis
    fatal: list[str]


@asynccontextmanager
async def instance(url: str, *limits: Limit) -> AsyncIterator[Instance]:
    """A limiter with these policies at this Redis."""
    meter, sharing, redis, fatal = Meter({limit.name: limit for limit in limits}), Sharing(), Redis(url), list[str]()
    system = ActorSystem(lambda name, error: fatal.append(f"{name}: {error!r}"))
    exchange = system.add(partial(LimitExchange, redis, meter, sharing))
    await system.start()
    try:
        yield Instance(meter, SharedMeter(meter, exchange, redis, sharing), sharing, redis, fatal)
    finally:
        await system.stop(1.0)
