"""Calendars of what people follow: their secret addresses, and the episodes in them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from server.rules.calendar import Airing
from sql.query import Connection, load

QUERIES = load("calendars")


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose calendar it is."""

    user_id: int
    locale: str
    time_zone: str


async def put(conn: Connection, user_id: int, token_hash: bytes) -> bool:
    """Give the user's calendar this token, in place of an older one; False if the account is gone."""
    return bool(await QUERIES.put_calendar.fetchval(conn, user_id, token_hash))


async def state(conn: Connection, user_id: int) -> str:
    """Whether the user has a calendar, as JSON."""
    return str(await QUERIES.calendar_state.fetchval(conn, user_id))


async def delete(conn: Connection, user_id: int) -> None:
    """Have no calendar any more."""
    await QUERIES.delete_calendar.execute(conn, user_id)


async def owner(conn: Connection, token_hash: bytes) -> Owner | None:
    """Whose calendar this token opens; that it was used is written down."""
    row = await QUERIES.calendar_owner.fetchrow(conn, token_hash)
    return Owner(*row) if row is not None else None


async def airings(
    conn: Connection, user_id: int, first: datetime, last: datetime, cancelled_since: datetime, most: int
) -> list[Airing]:
    """What the user follows airs from `first` to before `last`, in the order of time; at most so many."""
    rows = await QUERIES.airings.fetch(conn, user_id, first, last, cancelled_since, most)
    return [Airing(*row) for row in rows]
