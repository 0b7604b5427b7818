"""The toll: what each request of the API is charged by the general limit (RATE_LIMIT_MAX), on both ways of the edge."""

from __future__ import annotations

from collections.abc import Awaitable

from aiohttp import web

from server.http.client import ClientAddress
from server.http.guard import ADDRESS, CHARGES, charge, charge_shared, client_key
from server.identity import Principal
from server.meter import Meter
from server.rules.limits import Charge, Limit, address_key, user_key
from server.shared_meter import SharedMeter

# Health, metrics and pages are for operators: no limit ever stands before them.
LIMITED = "/api/"
# Whether a request may pass, or what finds it out where instances share their counts.
Passing = bool | Awaitable[bool]


class Toll:
    """`shared` is set where instances share their counts."""

    def __init__(self, meter: Meter, general: Limit, clients: ClientAddress) -> None:
        self.shared: SharedMeter | None = None
        self._meter = meter
        # None where RATE_LIMIT_MAX=0 switched it off.
        self._general = general if general.quota else None
        self._clients = clients

    def charge(self, request: web.Request, who: Principal | None, path: str) -> Passing:
        """On the short way: whether it passes. What was charged is noted where the answer is to tell of it."""
        if self._general is None or not path.startswith(LIMITED):
            return True
        if who is None:
            address = request[ADDRESS] = self._clients.of(request)
            key = address_key(address)
        else:
            key = user_key(who.user_id) if who.token_id is None else client_key(request)
        if self.shared is not None:
            return self._charge_shared(request, who, self.shared.charge(self._general, key))
        return _note(request, who, self._meter.charge(self._general, key))

    async def _charge_shared(self, request: web.Request, who: Principal | None, decided: Awaitable[Charge]) -> bool:
        return _note(request, who, await decided)

    async def take(self, request: web.Request, path: str) -> None:
        """On the long way, where it is known who asks: TooManyRequests if it does not pass."""
        if self._general is None or not path.startswith(LIMITED):
            return
        if self.shared is None:
            charge(request, self._meter, self._general, client_key(request))
        else:
            await charge_shared(request, self.shared, self._general, client_key(request))


def _note(request: web.Request, who: Principal | None, verdict: Charge) -> bool:
    if who is not None or not verdict.allowed:
        # Only an answer that anybody may keep goes without it.
        request[CHARGES] = [verdict]
    return verdict.allowed
