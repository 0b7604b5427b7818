"""The bodies of answers about views: rows by interval, and the tops; as JSON or CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from msgspec.structs import asdict

from server.database import Database
from server.errors import Fault, Unprocessable
from server.events import Period
from server.http.answer import links, page_body
from server.http.parse import DEEPEST
from server.rules.moments import rfc3339
from server.schemas.queries import AnalyticsQuery, TopQuery
from sql import analytics, releases, trends
from sql.analytics import ViewsRow, ViewsWanted

DEFAULT_DAYS = 30
LONGEST_DAYS = 3660
COLUMNS = ("release_id", "episode_id", "start", "views", "unique_viewers", "watch_seconds", "average_completion")


def wanted_by(query: AnalyticsQuery, now: datetime) -> ViewsWanted:
    """The span in whole hours or days. Without `from` and `to`: the last 30 days and today."""
    hourly = query.interval == "hour"
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    start = _floor(moment(query.from_, "/from"), hourly) if query.from_ else today - timedelta(days=DEFAULT_DAYS)
    stop = _stop(query.to, hourly) if query.to else today + timedelta(days=1)
    if stop <= start or stop - start > timedelta(days=LONGEST_DAYS):
        raise Unprocessable(
            "Some parameters do not fit.", faults=[Fault("/from", "Lies after `to`, or too far before it.")]
        )
    return ViewsWanted(
        start, stop, query.interval, query.group_by == "episode", tuple(query.release_ids), tuple(query.episode_ids)
    )


def moment(text: str, pointer: str) -> datetime:
    """What a parameter means by a day or a moment, in UTC."""
    try:
        said = datetime.fromisoformat(text)
        said = said.replace(tzinfo=UTC) if said.tzinfo is None else said.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Unprocessable("Some parameters do not fit.", faults=[Fault(pointer, "Is not a day or moment.")]) from None
    if not 1970 <= said.year <= 2200:
        raise Unprocessable("Some parameters do not fit.", faults=[Fault(pointer, "From 1970 to 2200.")])
    return said


def _floor(moment: datetime, hourly: bool) -> datetime:
    return (
        moment.replace(minute=0, second=0, microsecond=0)
        if hourly
        else moment.replace(hour=0, minute=0, second=0, microsecond=0)
    )


def stop_of(text: str) -> datetime:
    """Where a span ends that goes to this moment, or takes this day in."""
    said = moment(text, "/to")
    return said + timedelta(days=1) if len(text) == len("2026-01-01") else said


def _stop(text: str, hourly: bool) -> datetime:
    stop = stop_of(text)
    floor = _floor(stop, hourly)
    # A moment inside an hour (a day) takes that hour (day) in.
    return floor if floor == stop else floor + (timedelta(hours=1) if hourly else timedelta(days=1))


async def views(database: Database, query: AnalyticsQuery, wanted: ViewsWanted, base: str, *, as_csv: bool) -> bytes:
    """A page of rows. The count of an unfiltered list is an estimate: every release in every interval."""
    filtered = bool(wanted.release_ids or wanted.episode_ids)
    offset = (query.page - 1) * query.limit
    async with database.connection() as conn:
        rows = await analytics.rows(conn, wanted, query.limit, offset)
        count = await (analytics.count(conn, wanted) if filtered else releases.total(conn))
    full = len(rows) == query.limit
    if not filtered:
        count = max(count, offset + len(rows) + full)
    if as_csv:
        return _csv(COLUMNS, (_values(row) for row in rows))
    given = {name.rstrip("_"): value for name, value in asdict(query).items() if name not in ("page", "format")}
    # Beyond the deepest page a question should be narrower.
    more = full and (query.page + 1) * query.limit <= DEEPEST
    following, before = links(base, given, query.limit, query.page, count if more else 0)
    shown = [_json(row, wanted.by_episode) for row in rows]
    return page_body(count, following, before, shown, estimate=not filtered)


def _json(row: ViewsRow, by_episode: bool) -> str:
    members = dict(zip(COLUMNS, _values(row), strict=True))
    if not by_episode:
        del members["episode_id"]
    return orjson.dumps(members).decode()


def _values(row: ViewsRow) -> tuple[Any, ...]:
    episode_id = row.episode_id or None
    average = round(row.average_completion, 2)
    return row.release_id, episode_id, rfc3339(row.start), row.views, row.unique_viewers, row.watch_seconds, average


async def top(database: Database, query: TopQuery, *, as_csv: bool) -> bytes:
    """The most viewed releases and genres of a period."""
    period: Period | None = None if query.period == "all" else query.period
    async with database.connection() as conn:
        found = await trends.top_releases(conn, period, query.limit)
        genres = await trends.top_genres(conn, period, query.limit)
    if as_csv:
        lines = [("release", r.release_id, r.slug, r.title, r.views) for r in found]
        lines += [("genre", g.id, g.slug, g.name, g.views) for g in genres]
        return _csv(("kind", "id", "slug", "title", "views"), lines)
    return orjson.dumps(
        {
            "period": query.period,
            "releases": [{"id": r.release_id, "slug": r.slug, "title": r.title, "views": r.views} for r in found],
            "genres": genres,
        }
    )


def _csv(header: Sequence[str], lines: Iterable[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows([_harmless(value) for value in line] for line in lines)
    return text.getvalue().encode()


def _harmless(value: Any) -> Any:
    # A spreadsheet runs what begins like a formula.
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
