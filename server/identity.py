"""Who is asking: access tokens made and checked, API tokens looked up, both remembered until they end or are revoked.

Checking a signature costs ten times what a whole hot request may, so a token that was found good is remembered by its
SHA-256. What revokes it is looked at on every request: three lookups in memory, no query.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b, sha256
from typing import Any, Literal
from uuid import UUID

import jwt

from server.errors import Unauthenticated

Role = Literal["user", "moderator", "admin"]
ROLES: tuple[Role, ...] = ("user", "moderator", "admin")
ISSUER = "yojohan"
AUDIENCE = "yojohan-api"
ALGORITHM = "HS256"
# Seconds an access token lives.
ACCESS_LIFETIME = 900
# API tokens are looked up anew after this many seconds.
TOKEN_MEMORY = 30.0
MOST_REMEMBERED = 8192
LONGEST_HEADER = 2048
API_TOKEN_PREFIX = "yjh_"  # noqa: S105 - what tokens begin with, not one of them
BEARER = re.compile(r"^[Bb]earer +([A-Za-z0-9._~+/=-]+) *$")
CLAIMS = ["exp", "iat", "iss", "aud", "sub", "sid", "role", "ver"]


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a request comes from. `scopes` is None for a session: it may do whatever its role may."""

    user_id: int
    role: Role
    version: int
    expires: float
    session_id: UUID | None = None
    token_id: UUID | None = None
    scopes: frozenset[str] | None = None

    def holds(self, role: Role) -> bool:
        """Whether the role is at least this one."""
        return ROLES.index(self.role) >= ROLES.index(role)


@dataclass(slots=True)
class Revocations:
    """What no longer counts although it has not expired: sessions and API tokens by id, users' tokens by version."""

    sessions: set[UUID] = field(default_factory=set)
    tokens: set[UUID] = field(default_factory=set)
    versions: dict[int, int] = field(default_factory=dict)

    def cover(self, principal: Principal) -> bool:
        """Whether this principal's token has been revoked."""
        return (
            principal.session_id in self.sessions
            or principal.token_id in self.tokens
            or principal.version < self.versions.get(principal.user_id, 0)
        )


class AccessTokens:
    """Makes and checks access tokens (JWT, RFC 7519). The first key signs, all of them verify."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = {key_id(key): signing_key(key) for key in keys}
        self._signer = key_id(keys[0])

    def issue(self, user_id: int, role: str, version: int, session_id: UUID, now: float | None = None) -> str:
        """A token for this session, good for ACCESS_LIFETIME seconds from `now` (UNIX time)."""
        issued = int(time.time() if now is None else now)
        claims = {
            "iss": ISSUER, "aud": AUDIENCE, "sub": str(user_id), "sid": str(session_id), "role": role, "ver": version,
            "iat": issued, "exp": issued + ACCESS_LIFETIME,
        }  # fmt: skip
        return jwt.encode(claims, self._keys[self._signer], ALGORITHM, headers={"kid": self._signer})

    def check(self, token: str) -> Principal:
        """Whom the token speaks for; Unauthenticated if it is not one of ours or has expired."""
        try:
            key = self._keys[jwt.get_unverified_header(token)["kid"]]
            claims = jwt.decode(
                token, key, algorithms=[ALGORITHM], audience=AUDIENCE, issuer=ISSUER,
                options={"require": CLAIMS},
            )  # fmt: skip
            return _principal(claims)
        except (jwt.InvalidTokenError, KeyError, ValueError, TypeError):
            raise invalid() from None


def _principal(claims: dict[str, Any]) -> Principal:
    role = claims["role"]
    if role not in ROLES:
        raise ValueError("no such role")
    return Principal(int(claims["sub"]), role, int(claims["ver"]), float(claims["exp"]), session_id=UUID(claims["sid"]))


def invalid() -> Unauthenticated:
    """The one error for every token that does not count, whatever is wrong with it."""
    return Unauthenticated("The token is not valid, has expired or was revoked.", error="invalid_token")


def key_id(key: bytes) -> str:
    """A short name of a key, which tells nothing about it."""
    return blake2b(key, digest_size=6, person=b"yojohan kid").hexdigest()


def signing_key(key: bytes) -> bytes:
    """Thirty-two bytes for HS256, so that the secret itself signs nothing."""
    return blake2b(key, digest_size=32, person=b"yojohan access").digest()


class Identities:
    """From an Authorization header to a principal. `look_up` finds an API token by its SHA-256, or None."""

    def __init__(
        self,
        tokens: AccessTokens,
        revocations: Revocations,
        look_up: Callable[[bytes], Awaitable[Principal | None]],
    ) -> None:
        self.tokens = tokens
        self.revocations = revocations
        # Users seen since somebody last took the set away; what tells who was active today.
        self.seen: set[int] = set()
        # API tokens looked up since then: as each is every TOKEN_MEMORY seconds, these are the ones in use.
        self.used: set[UUID] = set()
        self._look_up = look_up
        self._remembered: dict[bytes, Principal] = {}

    def known(self, header: str) -> Principal | None:
        """The principal of a header seen before, if it still counts. Touches nothing but memory."""
        principal = self._remembered.get(_digest(header))
        if principal is None or principal.expires <= time.time() or self.revocations.cover(principal):
            return None
        self.seen.add(principal.user_id)
        return principal

    async def of(self, header: str) -> Principal:
        """The principal of this header; Unauthenticated if there is none, or no longer."""
        if (principal := self.known(header)) is not None:
            return principal
        match = BEARER.match(header) if len(header) <= LONGEST_HEADER else None
        if match is None:
            raise invalid()
        token = match[1]
        principal = await self._of_api_token(token) if token.startswith(API_TOKEN_PREFIX) else self.tokens.check(token)
        if self.revocations.cover(principal):
            raise invalid()
        self._remember(header, principal)
        self.seen.add(principal.user_id)
        if principal.token_id is not None:
            self.used.add(principal.token_id)
        return principal

    async def _of_api_token(self, token: str) -> Principal:
        principal = await self._look_up(sha256(token.encode()).digest())
        if principal is None:
            raise invalid()
        return principal

    def _remember(self, header: str, principal: Principal) -> None:
        while len(self._remembered) >= MOST_REMEMBERED:
            # The oldest: whoever is still here will be remembered again.
            del self._remembered[next(iter(self._remembered))]
        self._remembered[_digest(header)] = principal

    def take_seen(self) -> tuple[set[int], set[UUID]]:
        """The users and the API tokens seen since the last call."""
        taken = self.seen, self.used
        self.seen, self.used = set(), set()
        return taken


def _digest(header: str) -> bytes:
    return sha256(header.encode("utf-8", "surrogateescape")).digest()
