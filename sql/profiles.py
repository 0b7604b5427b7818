"""Profiles: what people say of themselves, and what others see of it."""

from __future__ import annotations

from dataclasses import dataclass

import asyncpg

from server.errors import Conflict, Fault, Unauthenticated
from sql.outbox import Event, publish
from sql.query import Connection, load

QUERIES = load("profiles")
# Searches count up to here exactly.
MOST_COUNTED = 1000
# Behind every username that begins as the prefix does.
LAST = "\U0010ffff"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileEdit:
    """What changes; None leaves a field as it is. `username` and `username_key` come together."""

    name: str | None = None
    bio: str | None = None
    locale: str | None = None
    time_zone: str | None = None
    is_public: bool | None = None
    username: str | None = None
    username_key: str | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """A row of a search: the public profile as JSON, and where it stands in the order."""

    person: str
    key: str


async def get(conn: Connection, user_id: int) -> str:
    """The profile as its owner sees it, as JSON; Unauthenticated if the account is gone."""
    found: str | None = await QUERIES.get_profile.fetchval(conn, user_id)
    if found is None:
        raise gone()
    return found


async def update(conn: Connection, user_id: int, edit: ProfileEdit) -> None:
    """Change the profile, in the caller's transaction. What is already so raises no revision and tells nobody.

    Conflict if the username is taken, Unauthenticated if the account is gone.
    """
    revision: int | None = await QUERIES.lock_revision.fetchval(conn, user_id)
    if revision is None:
        raise gone()
    try:
        changed = await QUERIES.update_profile.execute(
            conn, user_id, revision, edit.name, edit.bio, edit.locale, edit.time_zone, edit.is_public,
            edit.username, edit.username_key,
        )  # fmt: skip
    except asyncpg.UniqueViolationError:
        fault = Fault("/username", "Is taken.")
        raise Conflict("Somebody else has this username.", faults=[fault]) from None
    if changed:
        await QUERIES.raise_revision.execute(conn, user_id, revision)
        await publish(conn, [Event("profile", f"user:{user_id}", {}, user_id)])


def gone() -> Unauthenticated:
    """The error for a token whose account is no more."""
    return Unauthenticated("There is no such account any more.", error="invalid_token")


async def get_public(conn: Connection, user_id: int, viewer: int | None, *, sees_all: bool) -> str | None:
    """A user as others see them, as JSON: little of who is not public, unless `viewer` is they or sees all."""
    found: str | None = await QUERIES.get_user.fetchval(conn, user_id, viewer, sees_all)
    return found


async def find(conn: Connection, prefix: str, after: str | None, limit: int, offset: int) -> list[Person]:
    """Public users whose key begins with `prefix`, by key; those behind `after`, or from `offset` on."""
    return [Person(*row) for row in await QUERIES.find_users.fetch(conn, prefix, prefix + LAST, after, limit, offset)]


async def count(conn: Connection, prefix: str) -> tuple[int, bool]:
    """How many there are; at MOST_COUNTED it stops counting, and the second is False."""
    counted = int(await QUERIES.count_users.fetchval(conn, prefix, prefix + LAST, MOST_COUNTED + 1))
    return min(counted, MOST_COUNTED), counted <= MOST_COUNTED
