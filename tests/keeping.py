"""What the tests of libraries share: edits in short, writing them, what was published, counting anew."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from sql import library
from sql.library import COLLECTION_NAMES, EntryEdit, ProgressEdit, Written

START = datetime(2020, 1, 1, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def keep(kind: int, release_id: int, value: int = 0, minutes: float = 0) -> EntryEdit:
    return EntryEdit(kind, release_id, value, False, at(minutes))


def drop(kind: int, release_id: int, value: int = 0, minutes: float = 0) -> EntryEdit:
    return EntryEdit(kind, release_id, value, True, at(minutes))


def watch(
    episode_id: int, position: int, completed: bool = False, minutes: float = 0, *, restart: bool = False
) -> ProgressEdit:
    return ProgressEdit(episode_id, position, completed, False, restart, at(minutes))


def forget(episode_id: int, minutes: float = 0) -> ProgressEdit:
    return ProgressEdit(episode_id, 0, False, True, False, at(minutes))


async def make_user(conn: Any, name: str = "keeper") -> int:
    made: int = await conn.fetchval("insert into users (username, username_key) values ($1, $1) returning id", name)
    return made


async def write(
    conn: Any, user_id: int, *edits: EntryEdit | ProgressEdit, merge: bool = False, origin: str = "user"
) -> Written:
    """Write these in a transaction of their own."""
    entries = [edit for edit in edits if isinstance(edit, EntryEdit)]
    progress = [edit for edit in edits if isinstance(edit, ProgressEdit)]
    async with conn.transaction():
        return await library.write(conn, user_id, entries, progress, origin=origin, merge=merge)


async def told(conn: Any, topic: str = "library") -> list[dict[str, Any]]:
    """The payloads of this topic since the last call, in their order."""
    rows = await conn.fetch("delete from outbox where topic = $1 returning id, payload", topic)
    return [row["payload"] for row in sorted(rows, key=lambda row: row["id"])]


async def entry(conn: Any, user_id: int, kind: int, release_id: int) -> tuple[int, bool] | None:
    """The value of a stored entry and whether it is deleted."""
    found = await conn.fetchrow(
        "select value, deleted from library_entries where user_id = $1 and kind = $2 and release_id = $3",
        user_id, kind, release_id,
    )  # fmt: skip
    return None if found is None else (found["value"], found["deleted"])


async def step(conn: Any, user_id: int, episode_id: int) -> tuple[int, bool, int, bool] | None:
    """Stored progress: position, completed, watched seconds, deleted."""
    found = await conn.fetchrow(
        "select position_seconds, completed, watched_seconds, deleted from progress"
        " where user_id = $1 and episode_id = $2",
        user_id, episode_id,
    )  # fmt: skip
    return None if found is None else tuple(found)


async def counted(conn: Any, user_id: int) -> dict[str, int]:
    """What the deltas of all writes so far must add up to, counted from the rows."""
    counts: Counter[str] = Counter()
    for row in await conn.fetch("select * from library_entries where user_id = $1 and not deleted", user_id):
        if row["kind"] == library.FAVORITE:
            counts["favorites"] += 1
        elif row["kind"] == library.COLLECTION:
            counts[COLLECTION_NAMES[row["value"]]] += 1
        elif row["kind"] == library.RATING:
            counts["ratings"] += 1
            counts["rating_sum"] += row["value"]
    for row in await conn.fetch("select * from progress where user_id = $1 and not deleted", user_id):
        counts["episodes_watched"] += row["completed"]
        counts["watch_seconds"] += row["watched_seconds"]
    return {name: amount for name, amount in counts.items() if amount}


def total(payloads: list[dict[str, Any]]) -> dict[str, int]:
    """The deltas of these events, added up."""
    counts: Counter[str] = Counter()
    for payload in payloads:
        for name, amount in payload["delta"].items():
            counts[name] += amount
    return {name: amount for name, amount in counts.items() if amount}
