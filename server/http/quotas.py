"""What rate policies say in headers: draft-ietf-httpapi-ratelimit-headers (revision 11), and the older X- names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

from server.rules.limits import Charge, Limit


def headers(charges: Sequence[Charge]) -> dict[str, str]:
    """The fields for an answer: every policy that was charged, the X- fields for the one with the least left.

    `t` and `X-RateLimit-Reset` are seconds until the whole quota is there again.
    """
    if len(charges) == 1:
        # Nearly every answer, and so worth a shorter way to the same words.
        (charge,) = charges
        policy, state, quota = _words(charge.limit)
        remaining, reset = str(charge.remaining), str(math.ceil(charge.reset))
        return {
            "RateLimit-Policy": policy,
            "RateLimit": f"{state}{remaining};t={reset}",
            "X-RateLimit-Limit": quota,
            "X-RateLimit-Remaining": remaining,
            "X-RateLimit-Reset": reset,
        }
    tightest = min(charges, key=lambda charge: (charge.remaining, -charge.reset))
    return {
        "RateLimit-Policy": ", ".join(
            f'"{charge.limit.name}";q={charge.limit.quota};w={math.ceil(charge.limit.window)}' for charge in charges
        ),
        "RateLimit": ", ".join(
            f'"{charge.limit.name}";r={charge.remaining};t={math.ceil(charge.reset)}' for charge in charges
        ),
        "X-RateLimit-Limit": str(tightest.limit.quota),
        "X-RateLimit-Remaining": str(tightest.remaining),
        "X-RateLimit-Reset": str(math.ceil(tightest.reset)),
    }


@lru_cache(maxsize=64)
def _words(limit: Limit) -> tuple[str, str, str]:
    """What of a policy's fields never changes."""
    return f'"{limit.name}";q={limit.quota};w={math.ceil(limit.window)}', f'"{limit.name}";r=', str(limit.quota)
