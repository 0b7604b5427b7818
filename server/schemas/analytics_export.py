"""View counts as a whole."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field
from msgspec.structs import force_setattr

from server.schemas.queries import DayOrMoment, Ids, one_form


class ExportQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which views to count, as for `/analytics/views`, but all rows at once."""

    release_ids: Annotated[Ids, Meta(description="Only these releases; none means all.")] = []
    episode_ids: Annotated[Ids, Meta(description="Only these episodes; none means all.")] = []
    group_by: Annotated[Literal["release", "episode"], Meta(description="What a row is about.")] = "release"
    from_: Annotated[
        DayOrMoment | None, Meta(description="From this day (UTC) or moment (RFC 3339) on.", examples=["2026-11-01"])
    ] = field(name="from", default=None)
    to: Annotated[
        DayOrMoment | None,
        Meta(description="To the end of this day (UTC), or before this moment (RFC 3339).", examples=["2026-11-30"]),
    ] = None
    interval: Annotated[
        Literal["hour", "day", "week", "month", "total"],
        Meta(description="How long a row's span is; weeks begin on Monday, `total` makes one row of everything."),
    ] = "day"
    format: Annotated[
        Literal["csv", "ndjson"] | None, Meta(description="Beats the Accept header; without either, NDJSON.")
    ] = None

    def __post_init__(self) -> None:
        """Writes moments in the one form that `datetime.fromisoformat` takes, whatever the address made of them."""
        force_setattr(self, "from_", one_form(self.from_))
        force_setattr(self, "to", one_form(self.to))
