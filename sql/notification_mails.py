"""What goes out by e-mail: leased, sent, marked. One mail is what was due of one user at the same time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from server.rules.notifications import Shown
from sql.query import Connection, load

QUERIES = load("notification_mails")
# Between being found and being locked a user's mail may have been taken by another.
TRIES = 5


@dataclass(frozen=True, slots=True)
class Leased:
    """A mail in somebody's hand: whose, about which events, how often it has failed, whose lease it is, and whether it
    may have gone out before."""

    user_id: int
    event_ids: Sequence[int]
    attempts: int
    leased_until: datetime
    doubted: bool


@dataclass(frozen=True, slots=True)
class Addressee:
    """Whom it goes to."""

    username: str
    locale: str
    email: str


async def lease(conn: Connection, seconds: float) -> Leased | None:
    """Take the next mail for so many seconds, in the caller's transaction; None if there is none."""
    for _ in range(TRIES):
        user_id = await QUERIES.lock_next.fetchval(conn)
        if user_id is None:
            return None
        rows = await QUERIES.lease.fetch(conn, user_id, seconds)
        if rows:
            ids = sorted(row["event_id"] for row in rows)
            attempts, doubted = max(row["attempts"] for row in rows), any(row["doubted"] for row in rows)
            return Leased(user_id, ids, attempts, rows[0]["leased_until"], doubted)
    return None


async def addressee(conn: Connection, user_id: int) -> Addressee | None:
    """Who gets the mail; None if they are gone, or have no address that is known to be theirs."""
    row = await QUERIES.reader.fetchrow(conn, user_id)
    return Addressee(*row) if row is not None else None


async def items(conn: Connection, mail: Leased) -> list[Shown]:
    """What the mail tells. What can no longer be seen, or is no longer wanted by mail, is left out."""
    return [Shown(*row) for row in await QUERIES.items.fetch(conn, mail.user_id, list(mail.event_ids))]


async def mark_sent(conn: Connection, mail: Leased) -> None:
    """It is out."""
    await QUERIES.mark_sent.execute(conn, mail.user_id, list(mail.event_ids), mail.leased_until)


async def drop(conn: Connection, mail: Leased) -> None:
    """It will never go out."""
    await QUERIES.drop_mails.execute(conn, mail.user_id, list(mail.event_ids), mail.leased_until)


async def retry(conn: Connection, mail: Leased, attempts: int, pause: float, *, doubted: bool = False) -> None:
    """It goes out later, after so many failures; `doubted`: it may be out already."""
    ids = list(mail.event_ids)
    await QUERIES.retry.execute(conn, mail.user_id, ids, mail.leased_until, attempts, pause, doubted)


async def oldest_due(conn: Connection) -> float | None:
    """For how many seconds the oldest mail that could go out has waited; None if there is none."""
    found: float | None = await QUERIES.oldest_due.fetchval(conn)
    return found
