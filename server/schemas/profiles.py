"""Profiles: one's own, and those of others."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from server.schemas.answers import Page
from server.schemas.catalogue import NO_CONTROLS, NO_CONTROLS_BUT_LINES
from server.schemas.queries import Cursor, Limit, PageNumber

# RFC 5646: language, script, region, variants. Private use and extensions are of no use to anybody here.
LOCALE = r"^[A-Za-z]{2,3}(-[A-Za-z]{4})?(-([A-Za-z]{2}|[0-9]{3}))?(-([A-Za-z0-9]{5,8}|[0-9][A-Za-z0-9]{3}))*$(?!\n)"
ZONE = r"^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$(?!\n)"
MOMENT = "2026-11-14T18:30:00.000Z"


class ProfilePatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change; what is absent stays."""

    username: Annotated[str, Meta(max_length=64, pattern=NO_CONTROLS)] | UnsetType = UNSET
    name: Annotated[str, Meta(max_length=64, pattern=NO_CONTROLS)] | UnsetType = UNSET
    bio: Annotated[str, Meta(max_length=1000, pattern=NO_CONTROLS_BUT_LINES)] | UnsetType = UNSET
    locale: Annotated[str, Meta(min_length=2, max_length=35, pattern=LOCALE)] | UnsetType = UNSET
    time_zone: Annotated[str, Meta(min_length=1, max_length=64, pattern=ZONE)] | UnsetType = UNSET
    is_public: bool | UnsetType = UNSET


class Profile(Struct, frozen=True, kw_only=True):
    """One's own profile."""

    id: int
    username: str
    email: str | None
    email_verified: bool
    name: str
    bio: str
    locale: str
    time_zone: str
    is_public: bool
    role: Literal["user", "moderator", "admin"]
    created_at: str
    updated_at: str
    avatar: None = None


class User(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody, as others see them. Of who is not public there are only `id`, `username` and `is_public`."""

    id: int
    username: str
    is_public: bool
    name: str | UnsetType = UNSET
    bio: str | UnsetType = UNSET
    joined_at: str | UnsetType = UNSET
    avatar: UnsetType | None = UNSET


class UserPage(Page[User], frozen=True, kw_only=True):
    """People whose username begins as asked."""


class UsersQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom to look for."""

    q: Annotated[
        str,
        Meta(
            max_length=64,
            pattern=NO_CONTROLS,
            description="How the username begins; case does not matter. Required.",
            examples=["ali"],
        ),
    ] = ""
    limit: Limit = 20
    page: PageNumber = 1
    cursor: Cursor = None


PROFILE: dict[str, Any] = {
    "id": 7,
    "username": "alice",
    "email": "alice@example.org",
    "email_verified": True,
    "name": "Alice",
    "bio": "Lighthouses and slow series.",
    "locale": "en-GB",
    "time_zone": "Europe/London",
    "is_public": True,
    "role": "user",
    "created_at": MOMENT,
    "updated_at": MOMENT,
    "avatar": None,
}
USER: dict[str, Any] = {
    "id": 7,
    "username": "alice",
    "name": "Alice",
    "bio": "Lighthouses and slow series.",
    "joined_at": MOMENT,
    "is_public": True,
    "avatar": None,
}
PATCH_EXAMPLE = {"name": "Alice", "locale": "en-GB", "time_zone": "Europe/London"}
EXAMPLES: dict[Any, Any] = {
    Profile: PROFILE,
    User: USER,
    UserPage: {"count": 1, "next": None, "previous": None, "results": [USER]},
}
