"""Charging from a handler, where a policy's key is in the body: in all instances if they share their counts."""

from __future__ import annotations

from aiohttp import web

from server.keys import METER, SHARED_METER
from server.rules.limits import Charge


async def take(request: web.Request, name: str, key: int) -> Charge:
    """Take the policy's cost from the key's quota, or refuse and take nothing. It stands in no header by itself."""
    meter, shared = request.app[METER], request.app.get(SHARED_METER)
    limit = meter.limits[name]
    return meter.charge(limit, key) if shared is None else await shared.charge(limit, key)


async def give_back(request: web.Request, name: str, key: int) -> None:
    """Undo one charge: what was charged ahead turned out not to count."""
    meter, shared = request.app[METER], request.app.get(SHARED_METER)
    if shared is None:
        meter.give_back(meter.limits[name], key)
    else:
        await shared.give_back(meter.limits[name], key)
