"""The list of rate policies: fixed from the start of the process to its end."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from server.rules.limits import Limit
from server.schemas.limits import RatePolicyPage, policy


def page(limits: Iterable[Limit]) -> bytes:
    """All of them on one page, in the order of their table."""
    rows = [policy(limit) for limit in limits]
    return msgspec.json.encode(RatePolicyPage(count=len(rows), next=None, previous=None, results=rows))
