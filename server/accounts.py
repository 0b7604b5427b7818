"""Accounts: signing up, in and out. Whether an address is known here, neither an answer nor its time tells.

A sign-in looks at two accounts, which need not exist, and a failed one has verified two hashes, whatever there is.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from uuid import UUID

from server import revoking
from server.database import Database
from server.errors import Conflict, Fault, NotFound, Overloaded, Unauthenticated, Unprocessable
from server.identity import ACCESS_LIFETIME, Identities, Principal
from server.passwords import Hasher
from server.rules.accounts import clean_email, clean_username, email_key, is_email, username_key
from server.rules.passwords import weakness
from sql import accounts, sessions
from sql.accounts import Candidate, Credentials
from sql.outbox import Event, publish

# Accounts a sign-in looks at.
CANDIDATES = 2
# A refresh token may come a second time within so many seconds: two tabs, or an answer that got lost.
GRACE = 10.0
LONGEST_AGENT = 200


@dataclass(frozen=True, slots=True)
class Device:
    """What is signed in: the name it gives itself, and the network it comes from."""

    user_agent: str
    network: str

    @classmethod
    def of(cls, user_agent: str, network: str) -> Device:
        """With a user agent that can be stored."""
        text = user_agent[:LONGEST_AGENT].encode("utf-8", "replace").decode()
        return cls(text, network)


class Accounts:
    """What the endpoints of accounts do. `mail`: whether a mail server is there to verify addresses with."""

    def __init__(self, database: Database, hasher: Hasher, identities: Identities, *, mail: bool) -> None:
        self._database = database
        self._hasher = hasher
        self._identities = identities
        self._mail = mail

    async def register(self, username: str, email: str, password: str) -> tuple[int, str]:
        """A new account: its id and its JSON. Conflict if the username is taken; of the address nobody is told."""
        self._hasher.require_room()
        name, key = clean_username(username), username_key(username)
        async with self._database.connection() as conn:
            if await accounts.username_taken(conn, key):
                raise _name_taken()
        hashed = await self._hasher.hash(password)
        async with self._database.transaction() as conn:
            user_id = await accounts.create(conn, name, key, clean_email(email), email_key(email), hashed)
            if user_id is None:
                raise _name_taken()
            if self._mail:
                await publish(conn, [Event("mail", f"user:{user_id}", {"kind": "verify"}, user_id)])
            return user_id, await accounts.me(conn, user_id) or ""

    async def me(self, who: Principal) -> str:
        """The account of whoever asks, as JSON."""
        async with self._database.connection() as conn:
            scopes = sorted(who.scopes) if who.scopes is not None else None
            found = await accounts.me(conn, who.user_id, who.session_id, who.token_id, scopes)
        if found is None:
            raise Unauthenticated("The account is gone.", error="invalid_token")
        return found

    async def log_in(self, name: str, password: str, device: Device) -> dict[str, Any]:
        """A new session for whoever has this address or username and this password: its tokens."""
        self._hasher.require_room()
        candidates = await self._candidates(name)
        hashes = [candidate.password_hash for candidate in candidates]
        place = await self._hasher.first_of([*hashes, *[None] * (CANDIDATES - len(hashes))], password)
        found = candidates[place] if place is not None else None
        if found is None or found.password_hash is None:
            raise _wrong()
        fresh = await self._fresh_hash(found.password_hash, password)
        refresh, token_hash = _new_refresh_token()
        async with self._database.transaction() as conn:
            credentials = await accounts.lock_if_password(conn, found.id, found.password_hash)
            if credentials is None:
                raise _wrong()
            if fresh is not None:
                await accounts.rehash(conn, found.id, found.password_hash, fresh)
            session_id, gone = await sessions.open_session(
                conn, found.id, device.user_agent, device.network, token_hash
            )
        revoking.mark(self._identities.revocations, sessions=gone)
        return self._tokens(credentials, session_id, refresh)

    async def _candidates(self, name: str) -> Sequence[Candidate]:
        async with self._database.connection() as conn:
            if is_email(name):
                return await accounts.claimants(conn, email_key(name))
            return await accounts.by_username(conn, username_key(name))

    async def _fresh_hash(self, stored: str, password: str) -> str | None:
        """The hash anew if its parameters are no longer ours; None also where there is no time for it now."""
        if not self._hasher.needs_rehash(stored):
            return None
        try:
            return await self._hasher.hash(password)
        except Overloaded:
            return None

    async def refresh(self, token: str) -> dict[str, Any]:
        """The next pair for a refresh token. One that comes again after its grace ends the session: it was stolen."""
        old = _digest(token)
        fresh, token_hash = _new_refresh_token()
        async with self._database.transaction() as conn:
            locked = await sessions.lock_session_of(conn, old)
            if locked is None or not locked.alive:
                raise _spent()
            state = await sessions.refresh_state(conn, old, locked.user_id)
            if state is None:
                raise _spent()
            stolen = state.used_for is not None and state.used_for > GRACE
            if stolen:
                await sessions.end_sessions(conn, [locked.session_id])
            else:
                await sessions.rotate(conn, old, locked.session_id, token_hash)
        if stolen:
            revoking.mark(self._identities.revocations, sessions=[locked.session_id])
            raise _spent()
        credentials = Credentials(locked.user_id, state.role, state.credentials_version)
        return self._tokens(credentials, locked.session_id, fresh)

    async def log_out(self, session_id: UUID | None, refresh_token: str | None) -> None:
        """End the session, and the one of the refresh token; one that is unknown has ended already."""
        async with self._database.transaction() as conn:
            other = await sessions.session_of(conn, _digest(refresh_token)) if refresh_token is not None else None
            ended = sorted({one for one in (session_id, other) if one is not None})
            if ended:
                await sessions.end_sessions(conn, ended)
        revoking.mark(self._identities.revocations, sessions=ended)

    async def change_password(self, who: Principal, current: str, new: str) -> dict[str, Any]:
        """Another password: ends everything else that is signed in, and gives this session new tokens."""
        assert who.session_id is not None
        async with self._database.connection() as conn:
            own = await accounts.password_of(conn, who.user_id)
        if own is None:
            raise Unauthenticated("The account is gone.", error="invalid_token")
        weak = "This is the password you have." if new == current else weakness(new, own.username, own.email or "")
        if weak is not None:
            raise Unprocessable("Some values do not fit.", faults=[Fault("/new_password", weak)])
        if own.password_hash is None or not await self._hasher.verify(own.password_hash, current):
            raise Unprocessable("Some values do not fit.", faults=[Fault("/current_password", "It is not right.")])
        hashed = await self._hasher.hash(new)
        refresh, token_hash = _new_refresh_token()
        async with self._database.transaction() as conn:
            credentials = await accounts.lock_if_password(conn, who.user_id, own.password_hash)
            if credentials is None:
                raise Conflict("The password has just been changed elsewhere.")
            version = await accounts.set_password(conn, who.user_id, hashed, keep=who.session_id)
            if not await sessions.renew(conn, who.session_id, who.user_id, token_hash):
                raise Unauthenticated("The session has ended.", error="invalid_token")
        revoking.mark(self._identities.revocations, versions={who.user_id: version})
        return self._tokens(Credentials(who.user_id, credentials.role, version), who.session_id, refresh)

    async def end_session(self, user_id: int, session_id: UUID) -> None:
        """End one of the user's sessions; NotFound if there is no such one."""
        async with self._database.transaction() as conn:
            if not await sessions.end_own_session(conn, session_id, user_id):
                raise NotFound("There is no such session.")
        revoking.mark(self._identities.revocations, sessions=[session_id])

    async def end_other_sessions(self, who: Principal) -> None:
        """End all of the user's sessions but the one that asks."""
        async with self._database.transaction() as conn:
            ended = await sessions.end_other_sessions(conn, who.user_id, who.session_id)
        revoking.mark(self._identities.revocations, sessions=ended)

    def _tokens(self, credentials: Credentials, session_id: UUID, refresh: str) -> dict[str, Any]:
        access = self._identities.tokens.issue(
            credentials.user_id, credentials.role, credentials.credentials_version, session_id
        )
        return {
            "access_token": access,
            "refresh_token": refresh,
            "token_type": "Bearer",
            "expires_in": ACCESS_LIFETIME,
        }


def _new_refresh_token() -> tuple[str, bytes]:
    """A refresh token and what is stored of it."""
    token = secrets.token_urlsafe(32)
    return token, _digest(token)


def _digest(token: str) -> bytes:
    return sha256(token.encode("utf-8", "replace")).digest()


def _name_taken() -> Conflict:
    return Conflict("The username is taken.")


def _wrong() -> Unauthenticated:
    return Unauthenticated("The name or the password is not right.")


def _spent() -> Unauthenticated:
    return Unauthenticated("The refresh token is not valid, has expired or was revoked.", error="invalid_token")
