"""Reports: what is sent, what is answered."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from server.rules.moderation import LONGEST_NOTE
from server.schemas.answers import Id

Reasons = Literal["spam", "abuse", "spoiler", "other"]


class NewReport(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is wrong with it."""

    reason: Reasons
    note: (
        Annotated[
            str, Meta(max_length=LONGEST_NOTE * 10, description=f"For moderators; at most {LONGEST_NOTE} characters.")
        ]
        | None
    ) = None


class Report(Struct, frozen=True, kw_only=True):
    """Written down for the moderators."""

    type: Literal["comment", "review"]
    target_id: Id
    reason: Reasons
    created_at: Annotated[dt.datetime, Meta(tz=True)]


NEW: dict[str, Any] = {"reason": "spam", "note": "The same under every release."}
EXAMPLES: dict[Any, Any] = {
    Report: {"type": "comment", "target_id": 90312, "reason": "spam", "created_at": "2026-11-14T18:35:00.000Z"}
}
