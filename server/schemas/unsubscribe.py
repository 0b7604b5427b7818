"""The links that stop mails."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class UnsubscribeQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What such a link carries."""

    token: Annotated[str, Meta(description="Whose mails, and which: as the link in the mail has it.")] = ""
