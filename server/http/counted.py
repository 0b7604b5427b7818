"""Quotas that are promises: PostgreSQL counts somebody's own rows, and what it found is told like every other policy.

The statement that writes looks at the quota under the user's lock and answers with three values: `used`, the rows in
the window, that just written included; `frees_at`, when the oldest of the newest `quota` of them leaves the window,
which is when one more may be written; and `at`, the database's clock, so that no other clock makes a wait untrue.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NoReturn

from aiohttp import web

from server.http.guard import CHARGES, refusal
from server.keys import METER
from server.rules.limits import Charge

# What is refused is to be waited for, however little that is.
SHORTEST_WAIT = 0.001


def quota(request: web.Request, name: str) -> tuple[int, timedelta]:
    """How many within which span, for the statement that counts; 0 of them where the policy is off."""
    limit = request.app[METER].limits[name]
    return limit.quota, timedelta(seconds=limit.window)


def charged(request: web.Request, name: str, used: int, frees_at: datetime | None, at: datetime) -> None:
    """Something was written: the answer's headers say what is left. Not to be called for a replayed answer."""
    meter = request.app[METER]
    limit = meter.limits[name]
    if limit.quota == 0:
        return
    meter.allowed[name] += 1
    left = max(0, limit.quota - used)
    request.setdefault(CHARGES, []).append(Charge(limit, left, _seconds(frees_at, at), 0))


def refused(request: web.Request, name: str, frees_at: datetime | None, at: datetime) -> NoReturn:
    """Nothing was written, as the quota is used up: TooManyRequests, with the seconds until it is not."""
    meter = request.app[METER]
    limit = meter.limits[name]
    meter.refused[name] += 1
    wait = max(SHORTEST_WAIT, _seconds(frees_at, at))
    verdict = Charge(limit, 0, wait, wait)
    request.setdefault(CHARGES, []).append(verdict)
    raise refusal(verdict)


def _seconds(frees_at: datetime | None, at: datetime) -> float:
    return max(0.0, (frees_at - at).total_seconds()) if frees_at is not None else 0.0
