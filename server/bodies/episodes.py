"""The bodies of answers about episodes and the week's schedule."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson

from server.bodies.releases import known
from server.cache import Tagged
from server.database import Database
from server.errors import Fault, NotFound, Unprocessable
from server.http.answer import page_body
from server.http.paging import links_of, offset_of
from server.rules import cache_tags
from server.schemas.queries import PageQuery, ScheduleQuery
from sql import episodes
from sql.episodes import Airing

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
# A week of the busiest season has about two hundred; the bound is for catalogues gone wrong.
MOST_IN_A_WEEK = 2000


async def of_release(database: Database, id_or_slug: str, query: PageQuery, base: str) -> Tagged:
    """A page of a release's episodes by ordinal, tagged with the release."""
    async with database.connection() as conn:
        release_id = await known(conn, id_or_slug)
        count, rows = await episodes.of_release(conn, release_id, query.limit, offset_of(query))
    following, before = links_of(base, query, count)
    return Tagged(page_body(count, following, before, rows), (cache_tags.release(release_id),))


async def one(database: Database, episode_id: int) -> Tagged:
    """An episode by id, tagged with its release."""
    async with database.connection() as conn:
        found = await episodes.get(conn, episode_id)
    if found is None:
        raise NotFound("There is no such episode.")
    return Tagged(found.episode.encode(), (cache_tags.release(found.release_id),))


def zone(name: str) -> ZoneInfo:
    """The time zone, or Unprocessable."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Unprocessable("There is no such time zone.", faults=[Fault("/tz", "Is not an IANA time zone.")]) from None


def monday_of(query: ScheduleQuery, where: ZoneInfo) -> date:
    """The first day of the wanted week."""
    day = query.date or datetime.now(where).date()
    if not 1970 <= day.year <= 2100:
        raise Unprocessable("That is too far away.", faults=[Fault("/date", "From 1970 to 2100.")])
    return day - timedelta(days=day.weekday())


async def schedule(database: Database, monday: date, where: ZoneInfo) -> bytes:
    """What airs in the week that begins on `monday`, by the days of the time zone."""
    midnights = [datetime.combine(monday + timedelta(days=n), datetime.min.time(), where) for n in range(8)]
    start, stop = midnights[0].astimezone(UTC), midnights[-1].astimezone(UTC)
    async with database.connection() as conn:
        airing = await episodes.aired_between(conn, start, stop, MOST_IN_A_WEEK)
    by_day: dict[date, list[Airing]] = {moment.date(): [] for moment in midnights[:-1]}
    for item in airing:
        by_day[item.air_at.astimezone(where).date()].append(item)
    return orjson.dumps(
        {
            "first_day": monday,
            "last_day": monday + timedelta(days=6),
            "tz": where.key,
            "count": len(airing),
            "days": [
                {"date": day, "weekday": WEEKDAYS[day.weekday()], "items": [_item(item) for item in items]}
                for day, items in by_day.items()
            ],
        }
    )


def _item(item: Airing) -> dict[str, orjson.Fragment]:
    return {"release": orjson.Fragment(item.release), "episode": orjson.Fragment(item.episode)}
