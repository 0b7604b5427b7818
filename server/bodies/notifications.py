"""The bodies of what people were told: the list with its counts, marking all of it, preferences."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import msgspec
import orjson
from msgspec import UNSET
from msgspec.structs import asdict as fields_of

from server.database import Database
from server.http.answer import link
from server.rules import cursors
from server.rules.notifications import CHOICES, bits, document
from server.schemas.notifications import NotificationPreferencesDraft, NotificationsQuery
from sql import notification_preferences as stored
from sql import notifications
from sql.notification_preferences import Mute, Preferences
from sql.notifications import Marked

LIST = "notifications"
NEWEST = 2**63 - 1
MOST_COUNTED = 5_000
# Rows marked in one transaction, and such transactions in one request: nobody has more than that within a year.
MARKED_AT_ONCE = 2_000
MOST_SLICES = 50
MODES = ("instant", "daily", "weekly")


async def unread(database: Database, user_ids: list[int]) -> dict[int, int]:
    """How many each of these users has not read; whoever is missing has none."""
    async with database.connection() as conn:
        return await notifications.unread_counts(conn, user_ids)


async def page(database: Database, user_id: int, query: NotificationsQuery, waiting: int, base: str) -> bytes:
    """A page of the user's notifications, of which so many are `waiting` to be read."""
    before = NEWEST if query.cursor is None else cursors.decode(LIST, query.cursor, int)[1]
    async with database.connection() as conn:
        shown = await notifications.page(conn, user_id, before, query.limit + 1, unread_only=query.unread_only)
        count = waiting
        if not query.unread_only:
            count = await notifications.count(conn, user_id, MOST_COUNTED + 1)
    following = None
    if len(shown) > query.limit:
        following = link(base, {
            "unread_only": "true" if query.unread_only else None,
            "limit": None if query.limit == 20 else query.limit,
            "cursor": cursors.encode(LIST, 0, shown[query.limit - 1].id),
        })  # fmt: skip
    body: dict[str, Any] = {"count": count, "next": following, "previous": None, "unread_count": waiting}
    if not query.unread_only and count > MOST_COUNTED:
        body["count_is_estimate"] = True
    body["results"] = [document(one) for one in shown[: query.limit]]
    return orjson.dumps(body)


async def mark_all(database: Database, user_id: int) -> Marked:
    """Mark all that is there now as read, so many at a time; what arrives meanwhile stays unread."""
    async with database.connection() as conn:
        upto = await notifications.newest(conn, user_id)
        total = 0
        for _ in range(MOST_SLICES):
            # Each statement is a transaction of its own: whoever tells this user something waits for one of them only.
            marked = await notifications.mark_all_read(conn, user_id, upto, MARKED_AT_ONCE)
            total += marked.changed
            if marked.changed < MARKED_AT_ONCE:
                break
    return Marked(total, marked.unread)


async def preferences(database: Database, user_id: int) -> bytes:
    """What the user has chosen."""
    async with database.connection() as conn:
        found, mutes = await stored.get(conn, user_id)
    quiet = None if found.quiet_start is None else {"start": found.quiet_start, "end": found.quiet_end}
    types = {name: {"in_app": bool(found.in_app & bits([name])), "email": _mode(found, name)} for name in CHOICES}
    muted = [mute._asdict() for mute in mutes]
    return orjson.dumps({"types": types, "quiet_hours": quiet, "time_zone": found.time_zone, "mutes": muted})


def _mode(found: Preferences, name: str) -> str:
    kept = asdict(found)
    return next((mode for mode in MODES if kept[f"email_{mode}"] & bits([name])), "off")


def chosen(draft: NotificationPreferencesDraft) -> tuple[Preferences, list[Mute] | None]:
    """A draft as it is stored; None instead of mutes where they stay as they are."""
    channels = fields_of(draft.types)
    quiet = draft.quiet_hours
    wanted = Preferences(
        in_app=bits(name for name in CHOICES if channels[name].in_app),
        **{f"email_{mode}": bits(name for name in CHOICES if channels[name].email == mode) for mode in MODES},
        quiet_start=None if quiet is None else quiet.start,
        quiet_end=None if quiet is None else quiet.end,
        time_zone=None if draft.time_zone is UNSET else draft.time_zone,
    )
    if isinstance(draft.mutes, msgspec.UnsetType):
        return wanted, None
    return wanted, [Mute(one.target_type, one.target_id) for one in draft.mutes]
