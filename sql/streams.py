"""Live streams: one-time tickets, where each reader begins, and whose sessions are over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from sql.query import Connection, load

QUERIES = load("streams")


@dataclass(frozen=True, slots=True)
class Ticket:
    """Whom a ticket lets in."""

    user_id: int
    role: str
    credentials_version: int
    session_id: UUID | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a user's notifications end, and how many are unread."""

    user_id: int
    newest: int
    unread: int


class Holder(NamedTuple):
    """Whose a stream is: somebody signed in by a session or by an API token."""

    user_id: int
    session_id: UUID | None
    token_id: UUID | None


async def create_ticket(
    conn: Connection, ticket_hash: bytes, user_id: int, session_id: UUID | None, seconds: int
) -> bool:
    """Keep a ticket for so many seconds; False if the account is gone."""
    return bool(await QUERIES.create_ticket.fetchval(conn, ticket_hash, user_id, session_id, seconds))


async def take_ticket(conn: Connection, ticket_hash: bytes) -> Ticket | None:
    """Use a ticket up; None if there is none, or it no longer counts."""
    row = await QUERIES.take_ticket.fetchrow(conn, ticket_hash)
    return Ticket(*row) if row is not None else None


async def places(conn: Connection, user_ids: Sequence[int]) -> dict[int, Place]:
    """The place of each user."""
    return {row["user_id"]: Place(*row) for row in await QUERIES.places.fetch(conn, list(user_ids))}


async def ended(conn: Connection, holders: Sequence[Holder]) -> list[int]:
    """Which of these, by their place in the list, belong to nobody any more."""
    rows = await QUERIES.ended.fetch(
        conn, [one.user_id for one in holders], [one.session_id for one in holders], [one.token_id for one in holders]
    )
    return [row["place"] - 1 for row in rows]
