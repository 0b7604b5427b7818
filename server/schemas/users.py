"""Accounts as administrators see them."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from server.schemas.answers import Count, Id, Page
from server.schemas.catalogue import NO_CONTROLS
from server.schemas.queries import Cursor, Limit, PageNumber

Role = Literal["user", "moderator", "admin"]
Moment = Annotated[dt.datetime, Meta(tz=True)]


class AccountsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which accounts."""

    q: Annotated[
        str,
        Meta(max_length=254, pattern=NO_CONTROLS, description="How the username or the e-mail address begins."),
    ] = ""
    role: Annotated[Role | None, Meta(description="Only who has this role.")] = None
    limit: Limit = 20
    page: PageNumber = 1
    cursor: Cursor = None


class AccountPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change; what is absent stays."""

    role: Role | UnsetType = UNSET
    name: Annotated[str, Meta(max_length=64, pattern=NO_CONTROLS)] | UnsetType = UNSET
    is_public: bool | UnsetType = UNSET


class Account(Struct, frozen=True, kw_only=True):
    """An account. Only administrators see this."""

    id: Id
    username: str
    name: str
    email: str | None
    email_verified: bool
    role: Role
    is_public: bool
    created_at: Moment
    updated_at: Moment
    last_active_at: Annotated[Moment | None, Meta(description="When it was last seen, to the minute.")]


class AccountDetail(Account, frozen=True, kw_only=True):
    """An account, and how it is signed in."""

    sessions: Annotated[Count, Meta(description="On how many devices it is signed in.")]
    tokens: Annotated[Count, Meta(description="How many API tokens it has.")]


class AccountPage(Page[Account], frozen=True, kw_only=True):
    """Accounts, the newest first. `count` is exact up to 10,000."""


class SessionsEnded(Struct, frozen=True, kw_only=True):
    """The account is signed out everywhere."""

    ended: Annotated[Count, Meta(description="How many sessions have ended.")]


ACCOUNT: dict[str, Any] = {
    "id": 7,
    "username": "alice",
    "name": "Alice",
    "email": "alice@example.org",
    "email_verified": True,
    "role": "moderator",
    "is_public": True,
    "created_at": "2026-05-04T12:00:00.000Z",
    "updated_at": "2026-11-14T18:30:00.000Z",
    "last_active_at": "2026-11-14T18:30:00.000Z",
}
EXAMPLES: dict[Any, Any] = {
    AccountDetail: ACCOUNT | {"sessions": 2, "tokens": 1},
    AccountPage: {"count": 1, "next": None, "previous": None, "results": [ACCOUNT]},
    SessionsEnded: {"ended": 2},
}
