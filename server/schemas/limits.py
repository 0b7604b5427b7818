"""Rate policies as clients see them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from server.rules.limits import Limit
from server.schemas.answers import Page


class RatePolicy(Struct, frozen=True, kw_only=True):
    """How often something may be asked for. A refused request costs nothing."""

    name: Annotated[str, Meta(description="As in `RateLimit-Policy` and in `x-rate-limits` of an operation.")]
    quota: Annotated[int, Meta(ge=0, description="How many units may be spent at once; 0 where it is off.")]
    window_seconds: Annotated[
        float, Meta(ge=0, description="In how many seconds a spent quota is whole again, evenly refilled.")
    ]
    by: Annotated[
        Literal["client", "address", "account", "user"],
        Meta(
            description="Whose quota it is: the client's (its API token, else its user, else its address), the "
            "address's (IPv6: its /64), that of the account the request is about, or the user's, by whichever token."
        ),
    ]
    cost: Annotated[int, Meta(ge=1, description="The units one request takes.")]
    purpose: Annotated[str, Meta(description="What is counted.")]
    enabled: Annotated[bool, Meta(description="Whether it is in force.")]


class RatePolicyPage(Page[RatePolicy], frozen=True, kw_only=True):
    """Every rate policy, on one page."""


def policy(limit: Limit) -> RatePolicy:
    """One row of the policy table."""
    return RatePolicy(
        name=limit.name,
        quota=limit.quota,
        window_seconds=limit.window,
        by=limit.by,
        cost=limit.cost,
        purpose=limit.purpose,
        enabled=limit.quota > 0,
    )


EXAMPLES: dict[Any, Any] = {
    RatePolicyPage: {
        "count": 1,
        "next": None,
        "previous": None,
        "results": [
            {
                "name": "api",
                "quota": 100,
                "window_seconds": 60.0,
                "by": "client",
                "cost": 1,
                "purpose": "Requests below /api.",
                "enabled": True,
            }
        ],
    },
}
