"""The live stream: what is asked for, what is answered."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct


class StreamTicket(Struct, frozen=True, kw_only=True):
    """What opens one stream."""

    ticket: Annotated[str, Meta(description="For `?ticket=` of the stream; good once.")]
    expires_in: Annotated[int, Meta(description="Seconds.")]


Place = Annotated[int, Meta(ge=0, le=2**63 - 1)]
LAST = "The last notification that has arrived: newer ones are sent first. As does `Last-Event-ID`."


class StreamQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a stream is opened."""

    ticket: Annotated[str, Meta(max_length=200, description="A ticket, where no access token can be sent.")] = ""
    last_event_id: Annotated[Place | None, Meta(description=LAST)] = None


TICKET: dict[str, Any] = {"ticket": "vQ2nS8Zl0tW1xM5kR7yB3cJ6hD9fG4aE0uPiOoLsTqA", "expires_in": 30}
