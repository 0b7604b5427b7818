"""The bodies of calendars."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from server.database import Database
from server.errors import NotFound
from server.rules import calendar
from server.rules.calendar import Style
from server.rules.markup import authority
from sql import calendars

PAST, FUTURE = timedelta(days=30), timedelta(days=180)
# How long somebody who looks in seldom still hears that an episode was cancelled.
CANCELLED = timedelta(days=30)
MOST = 2_000


async def of_token(database: Database, token_hash: bytes, public_url: str, api: str, zone: ZoneInfo | None) -> bytes:
    """The calendar that this token opens; NotFound if it opens none. `api` is the path of the API."""
    # By the day: within it a calendar that has not changed is the same one, byte by byte.
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    async with database.connection() as conn:
        owner = await calendars.owner(conn, token_hash)
        if owner is None:
            raise NotFound("There is no such calendar.")
        airings = await calendars.airings(conn, owner.user_id, today - PAST, today + FUTURE, today - CANCELLED, MOST)
    releases = f"{public_url}{api}/releases" if public_url else ""
    style = Style(authority(public_url), releases, owner.locale, owner.time_zone, zone)
    parts = []
    for part in calendar.portions(airings, style):
        parts.append(part)
        # A full calendar takes as long as a hundred requests: others may come in between.
        await asyncio.sleep(0)
    return b"".join(parts)
