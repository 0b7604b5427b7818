"""The dispatcher's statements: a slice of the fan-out, and what was held when the hour turns. They return only sums."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from server.rules.notifications import NUMBERS
from sql.query import Connection, load

QUERIES = load("dispatch")
# Rows held for one user; what comes beyond is counted by type: who follows everything costs no more than others.
MOST_HELD = 500
# Rows held that arrive in one slice, however few users they are of: some tenths of a second.
HELD_A_SLICE = 20_000


class Budget(NamedTuple):
    """So many notifications a window of so many seconds; 0: as many as come."""

    most: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Slice:
    """What a slice has done. `first_user` to `last_user` is where the lists of users have grown; 0: of nobody."""

    events: int
    finished: int
    delivered: int
    held: int
    first_user: int
    last_user: int


@dataclass(frozen=True, slots=True)
class Digests:
    """For how many users something held has arrived, and how many digests stand for how many notifications."""

    users: int
    digests: int
    collapsed: int
    first_user: int
    last_user: int


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many events are open, counted up to a bound, and for how long the oldest has been."""

    open: int
    oldest_seconds: float


async def open_types(conn: Connection) -> list[str]:
    """The types of which something waits to be told, the most personal first."""
    return [row["type"] for row in await QUERIES.open_types.fetch(conn)]


async def fan_out(conn: Connection, kind: str, events: int, users: int, budget: Budget, *, mail: bool) -> Slice:
    """Tell up to about `users` of what the oldest `events` open events of a type are about: all of it, or nothing."""
    row = await QUERIES.fan_out.fetchrow(
        conn, kind, NUMBERS[kind], events, users, budget.most, float(budget.seconds), mail, MOST_HELD
    )
    assert row is not None
    return Slice(row["events"], row["finished"], row["delivered"], row["held"], row["first_user"], row["last_user"])


async def deliver_held(
    conn: Connection, most: int, budget: Budget, *, mail: bool, rows: int = HELD_A_SLICE
) -> Digests | None:
    """Deliver what is held to up to `most` users whose window is over; None if there are none. In a transaction.

    Together they have at most so many `rows`, unless it is one user.
    """
    locked: str | None = await QUERIES.lock_turned.fetchval(conn, float(budget.seconds), most, rows)
    if locked is None:
        return None
    row = await QUERIES.deliver_held.fetchrow(conn, locked, mail)
    assert row is not None
    return Digests(row["users"], row["digests"], row["collapsed"], row["first_user"], row["last_user"])


async def measure(conn: Connection, most: int) -> Backlog:
    """How much is open."""
    row = await QUERIES.measure.fetchrow(conn, most)
    assert row is not None
    return Backlog(row["open"], row["oldest_seconds"])
