"""Accounts and sessions: what clients send, what they get, and an example of each."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from server.rules.accounts import LONGEST_EMAIL
from server.schemas.answers import Id, Page

Password = Annotated[
    str,
    Meta(
        max_length=1024,
        description="8 characters to 1024 bytes; not a common one, and more than a name of the account.",
    ),
]
GivenPassword = Annotated[str, Meta(max_length=1024)]
RefreshToken = Annotated[str, Meta(min_length=1, max_length=200, description="The latest one you were given.")]
Moment = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
Uuid = Annotated[str, Meta(extra_json_schema={"format": "uuid"})]


class Registration(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A new account."""

    email: Annotated[str, Meta(max_length=LONGEST_EMAIL, description="Where mails go once it is verified.")]
    username: Annotated[
        str,
        Meta(
            max_length=200,
            description="3 to 32 letters, digits, `_`, `.` and `-`, a letter or a digit first. Everybody sees it.",
        ),
    ]
    password: Password


class Login(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who signs in."""

    email: Annotated[str, Meta(max_length=LONGEST_EMAIL, description="The e-mail address, or the username.")]
    password: GivenPassword


class Refresh(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A refresh token to trade in for the next pair."""

    refresh_token: RefreshToken


class Logout(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which session ends, where the access token does not say so."""

    refresh_token: RefreshToken | None = None


class PasswordChange(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Another password."""

    current_password: GivenPassword
    new_password: Password


class Tokens(Struct, frozen=True, kw_only=True):
    """A pair of tokens. The refresh token is good for one use and thirty days."""

    access_token: Annotated[str, Meta(description="Goes into `Authorization: Bearer`.")]
    refresh_token: str
    token_type: Literal["Bearer"]
    expires_in: Annotated[int, Meta(ge=1, description="Seconds the access token lives.")]


class Me(Struct, frozen=True, kw_only=True):
    """The account as its owner sees it, and what they signed in with: a session, or an API token with its scopes."""

    id: Id
    email: str | None
    email_verified: bool
    username: str
    name: str
    role: Literal["user", "moderator", "admin"]
    is_public: bool
    locale: str
    time_zone: str
    created_at: Moment
    session_id: Uuid | None
    token_id: Uuid | None
    scopes: list[str] | None


class Session(Struct, frozen=True, kw_only=True):
    """A device that is signed in."""

    id: Uuid
    user_agent: Annotated[str, Meta(description="What the device called itself when it signed in.")]
    network: Annotated[str, Meta(description="From where: a /24 of IPv4, a /48 of IPv6.")]
    current: Annotated[bool, Meta(description="Whether it is the one that asks.")]
    created_at: Moment
    last_used_at: Annotated[Moment, Meta(description="When it last got new tokens.")]
    expires_at: Moment


class SessionPage(Page[Session], frozen=True, kw_only=True):
    """One page of sessions, the last used first."""


_MOMENT = "2026-11-14T18:30:00.000Z"
_SESSION = "2f0c9f9e-4f55-4f0e-8a52-6b8f4b0f3f11"
ME: dict[str, Any] = {
    "id": 17,
    "email": "mira@example.org",
    "email_verified": True,
    "username": "mira",
    "name": "Mira",
    "role": "user",
    "is_public": True,
    "locale": "en",
    "time_zone": "Europe/Berlin",
    "created_at": _MOMENT,
    "session_id": _SESSION,
    "token_id": None,
    "scopes": None,
}
REGISTRATION = {"email": "mira@example.org", "username": "mira", "password": "three quiet lanterns"}
EXAMPLES: dict[Any, Any] = {
    Tokens: {
        "access_token": "eyJhbGciOiJIUzI1NiIsImtpZCI6IjlmMjEwNGM3YmRhMCJ9.e30.c2lnbmF0dXJl",
        "refresh_token": "kR3vZ0s6u3r2yV0bq1o9m8H7gWnq2S4tJx5cLd6eFfQ",
        "token_type": "Bearer",
        "expires_in": 900,
    },
    Me: ME,
    SessionPage: {
        "count": 1,
        "next": None,
        "previous": None,
        "results": [
            {
                "id": _SESSION,
                "user_agent": "Yojohan for Android 3.1",
                "network": "203.0.113.0/24",
                "current": True,
                "created_at": _MOMENT,
                "last_used_at": _MOMENT,
                "expires_at": "2026-12-14T18:30:00.000Z",
            }
        ],
    },
}
