"""What rate policies say in headers: draft-ietf-httpapi-ratelimit-headers (revision 11), and the older X- names."""

from __future__ import annotations

import math
from collections.abc import Sequence

from server.rules.limits import Charge


def headers(charges: Sequence[Charge]) -> dict[str, str]:
    """The fields for an answer: every policy that was charged, the X- fields for the one with the least left.

    `t` and `X-RateLimit-Reset` are seconds until the whole quota is there again.
    """
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
