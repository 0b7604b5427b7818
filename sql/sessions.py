"""Sessions, and the refresh tokens each has given out."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sql import revocations
from sql.query import Connection, load

QUERIES = load("sessions")
# The least recently used goes.
MOST_SESSIONS = 100


@dataclass(frozen=True, slots=True)
class Locked:
    """The session of a refresh token, locked until the transaction ends."""

    session_id: UUID
    user_id: int
    alive: bool


@dataclass(frozen=True, slots=True)
class RefreshState:
    """Seconds since the token was first used, None if it never was, and what an access token says of the user."""

    used_for: float | None
    role: str
    credentials_version: int


async def open_session(
    conn: Connection, user_id: int, user_agent: str, network: str, token_hash: bytes
) -> tuple[UUID, list[UUID]]:
    """A new session with its first refresh token; its id, and those that had to make room. The account is locked."""
    session_id: UUID = await QUERIES.open_session.fetchval(conn, user_id, user_agent, network, token_hash)
    gone = [row[0] for row in await QUERIES.trim_sessions.fetch(conn, user_id, MOST_SESSIONS)]
    if gone:
        await revocations.revoke_sessions(conn, gone)
    return session_id, gone


async def lock_session_of(conn: Connection, token_hash: bytes) -> Locked | None:
    """The session that gave out this refresh token, locked."""
    row = await QUERIES.lock_session_of.fetchrow(conn, token_hash)
    return Locked(*row) if row is not None else None


async def refresh_state(conn: Connection, token_hash: bytes, user_id: int) -> RefreshState | None:
    """What became of a refresh token whose session is locked."""
    row = await QUERIES.refresh_state.fetchrow(conn, token_hash, user_id)
    return RefreshState(*row) if row is not None else None


async def rotate(conn: Connection, old: bytes, session_id: UUID, new: bytes) -> None:
    """Note that one refresh token was used and give out the next. The session is locked."""
    await QUERIES.rotate.execute(conn, old, session_id, new)


async def renew(conn: Connection, session_id: UUID, user_id: int, token_hash: bytes) -> bool:
    """Void every refresh token of the session and give out one; False if the session has ended."""
    await QUERIES.lock_session.execute(conn, session_id)
    return await QUERIES.renew.fetchval(conn, session_id, user_id, token_hash) is not None


async def session_of(conn: Connection, token_hash: bytes) -> UUID | None:
    """The session that gave out this refresh token."""
    found: UUID | None = await QUERIES.session_of.fetchval(conn, token_hash)
    return found


async def end_sessions(conn: Connection, session_ids: list[UUID]) -> None:
    """End these sessions and refuse their access tokens."""
    await QUERIES.end_sessions.execute(conn, session_ids)
    await revocations.revoke_sessions(conn, session_ids)


async def end_own_session(conn: Connection, session_id: UUID, user_id: int) -> bool:
    """End one session of the user; False if there is no such session."""
    if await QUERIES.end_own_session.fetchval(conn, session_id, user_id) is None:
        return False
    await revocations.revoke_sessions(conn, [session_id])
    return True


async def end_other_sessions(conn: Connection, user_id: int, keep: UUID | None) -> list[UUID]:
    """End all sessions of the user but one; their ids."""
    ended = [row[0] for row in await QUERIES.end_other_sessions.fetch(conn, user_id, keep)]
    if ended:
        await revocations.revoke_sessions(conn, ended)
    return ended


async def list_sessions(
    conn: Connection, user_id: int, current: UUID | None, limit: int, offset: int
) -> tuple[int, list[str]]:
    """How many sessions are alive, and one page of them as JSON, the last used first."""
    count = await QUERIES.count_sessions.fetchval(conn, user_id)
    rows = await QUERIES.list_sessions.fetch(conn, user_id, current, limit, offset)
    return int(count), [row[0] for row in rows]
