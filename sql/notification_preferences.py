"""Which notifications somebody wants, by which channel, when not, and about what not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from server.errors import Conflict, Fault, NotFound, Unauthenticated, Unprocessable
from sql.query import Connection, load

QUERIES = load("notification_preferences")
MOST_MUTES = 1_000
# Faults named in one answer.
MOST_FAULTS = 20


class Mute(NamedTuple):
    """Something nothing is told about."""

    target_type: str
    target_id: int


@dataclass(frozen=True, slots=True)
class Preferences:
    """Types as bits (`server.rules.notifications.bits`), quiet hours as `22:00`, and whose clock they go by."""

    in_app: int
    email_instant: int
    email_daily: int
    email_weekly: int
    quiet_start: str | None
    quiet_end: str | None
    # None, where it is written: as it was.
    time_zone: str | None


async def get(conn: Connection, user_id: int) -> tuple[Preferences, list[Mute]]:
    """What the user has chosen, or the defaults. NotFound if there is no such user."""
    row = await QUERIES.get_preferences.fetchrow(conn, user_id)
    if row is None:
        raise NotFound
    return Preferences(*row), [Mute(*row) for row in await QUERIES.list_mutes.fetch(conn, user_id, MOST_MUTES)]


async def put(conn: Connection, user_id: int, wanted: Preferences, mutes: Sequence[Mute] | None) -> None:
    """Make this what the user has chosen; mutes stay as they are if none are given. In a transaction.

    Unprocessable if a mute names nothing there is, Unauthenticated if the account is gone.
    """
    await _lock(conn, user_id)
    await QUERIES.put_preferences.execute(
        conn, user_id, wanted.in_app, wanted.email_instant, wanted.email_daily, wanted.email_weekly,
        wanted.quiet_start, wanted.quiet_end, wanted.time_zone,
    )  # fmt: skip
    if mutes is not None:
        types, ids = [one.target_type for one in mutes], [one.target_id for one in mutes]
        unknown = await QUERIES.unknown_mutes.fetch(conn, user_id, types, ids)
        if unknown:
            faults = [
                Fault(f"/mutes/{row['place']}/target_id", "There is no such thing.") for row in unknown[:MOST_FAULTS]
            ]
            raise Unprocessable("Some mutes name nothing there is.", faults=faults)
        await QUERIES.drop_other_mutes.execute(conn, user_id, types, ids)
        await QUERIES.add_mutes.execute(conn, user_id, types, ids)


async def mute(conn: Connection, user_id: int, target: Mute) -> None:
    """Tell the user nothing about this any more. In a transaction.

    NotFound if there is no such thing, Conflict if too much is muted, Unauthenticated if the account is gone.
    """
    await _lock(conn, user_id)
    outcome = await QUERIES.mute.fetchval(conn, user_id, target.target_type, target.target_id, MOST_MUTES)
    if outcome == "unknown":
        raise NotFound(f"There is no {target.target_type} {target.target_id}.")
    if outcome == "full":
        raise Conflict(f"At most {MOST_MUTES:,} mutes; take one back first.")


async def _lock(conn: Connection, user_id: int) -> None:
    if await QUERIES.lock_owner.fetchval(conn, user_id) is None:
        raise Unauthenticated("This account is gone.", error="invalid_token")


async def unmute(conn: Connection, user_id: int, target: Mute) -> None:
    """Tell the user about this again."""
    await QUERIES.unmute.execute(conn, user_id, target.target_type, target.target_id)
