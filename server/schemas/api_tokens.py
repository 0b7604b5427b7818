"""API tokens: what machines sign in with."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from server.schemas.answers import Page
from server.schemas.catalogue import NO_CONTROLS

TokenScope = Literal["read", "write", "analytics", "admin"]


class ApiTokenDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token to make."""

    name: Annotated[str, Meta(min_length=1, max_length=100, pattern=NO_CONTROLS, description="What it is for.")]
    scopes: Annotated[
        list[TokenScope],
        Meta(min_length=1, max_length=4, description="What it may do; `analytics` and `admin` need the role `admin`."),
    ]
    expires_at: Annotated[
        Annotated[datetime, Meta(tz=True)] | None,
        Meta(description="When it ends, at most ten years from now; without it, when it is deleted."),
    ] = None


class ApiToken(Struct, frozen=True, kw_only=True):
    """A token as its owner sees it. `last_used_at` is true to the minute."""

    id: str
    name: str
    scopes: list[TokenScope]
    created_at: str
    last_used_at: str | None
    expires_at: str | None


class CreatedApiToken(ApiToken, frozen=True, kw_only=True):
    """A new token, with the token itself: shown now and never again."""

    token: str


class ApiTokenPage(Page[ApiToken], frozen=True, kw_only=True):
    """A page of tokens, the newest first."""


TOKEN: dict[str, Any] = {
    "id": "0b8f8a54-2f0d-4c0e-9a53-5d0d3d1e7b11",
    "name": "nightly backup of my lists",
    "scopes": ["read"],
    "created_at": "2026-11-14T18:30:00.000Z",
    "last_used_at": None,
    "expires_at": "2027-11-14T00:00:00.000Z",
}
DRAFT_EXAMPLE = {name: TOKEN[name] for name in ("name", "scopes", "expires_at")}
EXAMPLES: dict[Any, Any] = {
    ApiToken: TOKEN,
    CreatedApiToken: TOKEN | {"token": "yjh_WmFub3RoZXIgdGhpbmcgYWxsdG9nZXRoZXIgaGVyZS4"},
    ApiTokenPage: {"count": 1, "next": None, "previous": None, "results": [TOKEN]},
}
