"""Rate policies and the arithmetic that decides them (GCRA): pure, no clock, no memory.

The generic cell rate algorithm (ITU-T I.371, appendix; as a virtual scheduler) keeps one number a key, the theoretical
arrival time. `quota` requests may come at once, and then one every `window / quota` seconds; a refused request costs
nothing.
"""

from __future__ import annotations

import ipaddress
import math
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Literal

By = Literal["client", "address", "account", "user"]
# The policy before every request of the API.
API_LIMIT = "api"
# How early, in steps, a request may come: over the additions of a large quota floating point loses that much, and the
# quota has to be met exactly.
EARLY = 0.01


@dataclass(frozen=True, slots=True)
class Limit:
    """One row of the policy table: `quota` units per `window` seconds, each request costing `cost` of them.

    `by` names whose they are: the client (its user or API token, else its address), the address alone, the account
    the request is about, or the user, whichever of their tokens they come with. `quota` 0 switches it off. `keys`
    bounds how many keys are remembered. `counted`: rows in the database are counted, in a window that slides, and the
    guard charges nothing.
    """

    name: str
    quota: int
    window: float
    by: By
    purpose: str
    cost: int = 1
    keys: int = 16_384
    counted: bool = False


class Charge:
    """What became of a request: whether it may pass, what is left, and in how many seconds what changes."""

    __slots__ = ("limit", "remaining", "reset", "retry_after")

    def __init__(self, limit: Limit, remaining: int, reset: float, retry_after: float) -> None:
        self.limit = limit
        self.remaining = remaining
        # Seconds until the whole quota is there again.
        self.reset = reset
        # 0 if it may pass, else the seconds after which it would have.
        self.retry_after = retry_after

    @property
    def allowed(self) -> bool:
        """Whether it may pass."""
        return self.retry_after == 0

    @property
    def wait(self) -> int:
        """Whole seconds for `Retry-After`: having waited them, the same request passes."""
        return max(1, math.ceil(self.retry_after))


def decide(limit: Limit, arrival: float, now: float, cost: int) -> tuple[float, Charge]:
    """The new theoretical arrival time (the old one if refused) and the verdict. Times in seconds of one clock."""
    step = limit.window / limit.quota
    after = max(arrival, now) + cost * step
    late = after - limit.window - now
    if late > step * EARLY:
        return arrival, Charge(limit, _left(limit, arrival, now, step), arrival - now, late)
    return after, Charge(limit, _left(limit, after, now, step), after - now, 0)


def told(limit: Limit, debt: float, late: float) -> Charge:
    """The verdict of somebody else: the seconds until the quota is whole again, and by how many it came too early."""
    return Charge(limit, _left(limit, debt, 0.0, limit.window / limit.quota), debt, late)


def _left(limit: Limit, arrival: float, now: float, step: float) -> int:
    return max(0, int((limit.window - arrival + now) / step + EARLY))


@lru_cache(maxsize=8192)
def address_key(address: str) -> int:
    """A number for an address: IPv4 as it is, IPv6 by its /64, which is what one household or host has."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return 1
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is None:
            return (int(parsed) >> 64) << 2 | 2
        parsed = parsed.ipv4_mapped
    return int(parsed) << 2 | 1


def user_key(user_id: int) -> int:
    """A number for a user, different from any address."""
    return user_id << 2


def token_key(token: bytes) -> int:
    """A number for an API token's id, different from any user and address."""
    return int.from_bytes(token[:8]) << 2 | 3


def account_key(name: str) -> int:
    """A number for what somebody typed as the name of an account, whether there is one or not."""
    return int.from_bytes(blake2b(name.encode("utf-8", "replace"), digest_size=8).digest()) << 2 | 3
