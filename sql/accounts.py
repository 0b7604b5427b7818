"""Accounts: made, found by whoever signs in, given another password."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from server.errors import NotFound
from sql.query import Connection, load

QUERIES = load("accounts")


@dataclass(frozen=True, slots=True)
class Candidate:
    """An account that a name may mean, with its hash; None where it has no password."""

    id: int
    password_hash: str | None


@dataclass(frozen=True, slots=True)
class Credentials:
    """What an access token says about its user."""

    user_id: int
    role: str
    credentials_version: int


@dataclass(frozen=True, slots=True)
class OwnPassword:
    """What a new password is held against."""

    username: str
    email: str | None
    password_hash: str | None


async def username_taken(conn: Connection, username_key: str) -> bool:
    """Whether somebody has this username."""
    return bool(await QUERIES.username_taken.fetchval(conn, username_key))


async def create(
    conn: Connection, username: str, username_key: str, email: str, email_key: str, password_hash: str
) -> int | None:
    """A new account; its id, or None if the username is taken. Others may claim the same address."""
    found: int | None = await QUERIES.create.fetchval(conn, username, username_key, email, email_key, password_hash)
    return found


async def me(
    conn: Connection,
    user_id: int,
    session_id: UUID | None = None,
    token_id: UUID | None = None,
    scopes: Sequence[str] | None = None,
) -> str | None:
    """The account as its owner sees it, as JSON, with what they signed in with; None if there is none."""
    text: str | None = await QUERIES.me.fetchval(conn, user_id, session_id, token_id, scopes)
    return text


async def claimants(conn: Connection, email_key: str) -> list[Candidate]:
    """At most two accounts that claim the address: the newest unproved one, then the proved one or else the oldest."""
    return [Candidate(*row) for row in await QUERIES.claimants.fetch(conn, email_key)]


async def by_username(conn: Connection, username_key: str) -> list[Candidate]:
    """The account of this name, if there is one."""
    return [Candidate(*row) for row in await QUERIES.by_username.fetch(conn, username_key)]


async def password_of(conn: Connection, user_id: int) -> OwnPassword | None:
    """Names and hash of an account."""
    row = await QUERIES.password_of.fetchrow(conn, user_id)
    return OwnPassword(*row) if row is not None else None


async def lock_if_password(conn: Connection, user_id: int, password_hash: str) -> Credentials | None:
    """The account, locked until the transaction ends, if this still is the hash of its password."""
    row = await QUERIES.lock_if_password.fetchrow(conn, user_id, password_hash)
    return Credentials(*row) if row is not None else None


async def rehash(conn: Connection, user_id: int, old: str, new: str) -> None:
    """Put a hash of the same password into the place of an older one."""
    await QUERIES.rehash.execute(conn, user_id, old, new)


async def set_password(conn: Connection, user_id: int, password_hash: str, *, keep: UUID | None = None) -> int:
    """Another password: the account's new credentials version. Call it in a transaction, mark the version after it.

    Ends all sessions but `keep`, all API tokens and all links for a reset, and revokes what is out there.
    """
    await QUERIES.lock.execute(conn, user_id)
    version = await QUERIES.set_password.fetchval(conn, user_id, password_hash, keep)
    if version is None:
        raise NotFound("There is no such account.")
    return int(version)


async def raise_version(conn: Connection, user_id: int) -> int:
    """Void all access tokens of the account, for a role that has changed; sessions live on and refresh. The version."""
    version = await QUERIES.raise_version.fetchval(conn, user_id)
    if version is None:
        raise NotFound("There is no such account.")
    return int(version)


async def owner_of_address(conn: Connection, email_key: str) -> int | None:
    """Who has proved the address, or else who claimed it first."""
    found: int | None = await QUERIES.owner_of_address.fetchval(conn, email_key)
    return found


async def free_username(conn: Connection, proposals: Sequence[tuple[str, str]]) -> str | None:
    """The first of these (username, key) that nobody has."""
    names, keys = [name for name, _ in proposals], [key for _, key in proposals]
    found: str | None = await QUERIES.free_username.fetchval(conn, names, keys)
    return found


async def make_administrator(conn: Connection, user_id: int) -> None:
    """Give the role and take the address as proved."""
    await QUERIES.make_administrator.execute(conn, user_id)
