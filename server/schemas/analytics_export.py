"""View counts as a whole."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from server.schemas.queries import ViewsAsked


class ExportQuery(ViewsAsked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which views to count, as for `/analytics/views`, but all rows at once."""

    format: Annotated[
        Literal["csv", "ndjson"] | None, Meta(description="Beats the Accept header; without either, NDJSON.")
    ] = None
