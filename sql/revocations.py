"""Revocations: what access tokens no longer count, written in the transaction that ends them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sql.query import Connection, load

QUERIES = load("revocations")
# A version no account reaches: every token of the account is void.
NO_VERSION = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Revocation:
    """One of: a session, an API token, or all tokens of a user made under an earlier version."""

    session_id: UUID | None
    token_id: UUID | None
    user_id: int | None
    credentials_version: int | None


async def current(conn: Connection, most: int) -> list[Revocation]:
    """What is revoked right now, the newest first."""
    return [Revocation(*row) for row in await QUERIES.current.fetch(conn, most)]


async def revoke_sessions(conn: Connection, session_ids: Sequence[UUID]) -> None:
    """Refuse the access tokens of these sessions from now on."""
    await QUERIES.revoke_sessions.execute(conn, session_ids)


async def revoke_tokens(conn: Connection, token_ids: Sequence[UUID]) -> None:
    """Refuse these API tokens from now on, remembered ones too."""
    await QUERIES.revoke_tokens.execute(conn, token_ids)


async def revoke_versions(conn: Connection, user_id: int, below: int) -> None:
    """Refuse all tokens of the user that were made under a version below this one."""
    await QUERIES.revoke_versions.execute(conn, user_id, below)
