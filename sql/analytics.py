"""Reading the rollups: views by release or episode and interval. The statement is composed from fixed fragments.

Rows come by release, episode and time: the order of the indexes (release_id, day|hour), so that a page of an unfiltered
list reads a page's worth of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

from sql.query import Connection, Query

Interval = Literal["hour", "day", "week", "month", "total"]
BUCKETS: dict[Interval, str] = {
    "hour": "v.hour",
    "day": "v.day::timestamp at time zone 'UTC'",
    "week": "date_trunc('week', v.day::timestamp) at time zone 'UTC'",
    "month": "date_trunc('month', v.day::timestamp) at time zone 'UTC'",
    "total": "$1::timestamptz",
}


# A row as a line, from the columns of `compose_lines`. The two forms hold the same values.
CSV_LINE = r"""
    release_id || ',' || coalesce(nullif(episode, 0)::text, '') || ',' || rfc3339(start) || ',' || views || ','
        || viewers || ',' || seconds || ',' || completion || E'\r\n'
"""
EPISODE_MEMBER = """ || ',"episode_id":' || episode"""
NDJSON_LINE = r"""
    '{"release_id":' || release_id EPISODE || ',"start":"' || rfc3339(start) || '","views":' || views
        || ',"unique_viewers":' || viewers || ',"watch_seconds":' || seconds || ',"average_completion":' || completion
        || E'}\n'
"""


@dataclass(frozen=True, slots=True)
class ViewsWanted:
    """Which views. `start` and `stop` are whole hours (for `hour`) or whole days, UTC, `stop` excluded.

    With `episode_ids` but not `by_episode`, a release's row holds what those episodes of it have together, its unique
    viewers being the sum of theirs.
    """

    start: datetime
    stop: datetime
    interval: Interval
    by_episode: bool
    release_ids: Sequence[int] = ()
    episode_ids: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class ViewsRow:
    """One interval of a release or episode. `average_completion` in percent."""

    release_id: int
    episode_id: int
    start: datetime
    views: int
    unique_viewers: int
    watch_seconds: int
    average_completion: float


class Place(NamedTuple):
    """A row's place in the order."""

    release_id: int
    episode_id: int
    start: datetime


def _episode(wanted: ViewsWanted) -> str:
    return "v.episode_id" if wanted.by_episode else "0::bigint"


def _parts(wanted: ViewsWanted) -> tuple[str, str, list[Any]]:
    """What a statement shows of a row's place, where its rows come from, and the parameters of both."""
    hourly = wanted.interval == "hour"
    column, table, kind = ("hour", "view_hours", "timestamptz") if hourly else ("day", "view_days", "date")
    parameters: list[Any] = [wanted.start, wanted.stop]
    cast = "" if hourly else " at time zone 'UTC'"
    conditions = [
        f"v.{column} >= ($1::timestamptz{cast})::{kind}",
        f"v.{column} < ($2::timestamptz{cast})::{kind}",
        "v.episode_id > 0" if wanted.by_episode or wanted.episode_ids else "v.episode_id = 0",
    ]
    for name, ids in (("release_id", wanted.release_ids), ("episode_id", wanted.episode_ids)):
        if ids:
            parameters.append(list(ids))
            conditions.append(f"v.{name} = any (${len(parameters)}::bigint[])")
    shown = f"v.release_id, {_episode(wanted)} as episode, {BUCKETS[wanted.interval]} as start"
    return shown, f"from {table} v where {' and '.join(conditions)}", parameters


def compose(wanted: ViewsWanted, *, counting: bool, limit: int = 0, offset: int = 0) -> tuple[str, list[Any]]:
    """The text and parameters of a page, or of the number of its rows."""
    shown, where, parameters = _parts(wanted)
    grouped = f"{where} group by v.release_id, episode, start"
    if counting:
        return f"select count(*) from (select {shown} {grouped}) counted", parameters  # noqa: S608 - fixed fragments
    parameters += [limit, offset]
    text = f"""
        select {shown}, sum(v.views)::bigint,
               sum(v.unique_viewers)::bigint, sum(v.watch_seconds)::bigint,
               sum(v.completion_sum) / greatest(sum(v.views), 1)
        {grouped}
        order by v.release_id, episode, start
        limit ${len(parameters) - 1} offset ${len(parameters)}
    """
    return text, parameters


def compose_lines(wanted: ViewsWanted, after: Place | None, limit: int, *, as_csv: bool) -> tuple[str, list[Any]]:
    """The text and parameters of a portion of all rows as finished lines, those behind a place in their order."""
    shown, where, parameters = _parts(wanted)
    if after is not None:
        parameters += after
        release, episode, start = (f"${len(parameters) - back}" for back in (2, 1, 0))
        bucket = BUCKETS[wanted.interval]
        # The first condition is for the index, the second for the place inside of the release.
        where += f""" and v.release_id >= {release}::bigint and (v.release_id, {_episode(wanted)}, {bucket})
            > ({release}::bigint, {episode}::bigint, {start}::timestamptz)"""
    parameters.append(limit)
    line = CSV_LINE if as_csv else NDJSON_LINE.replace("EPISODE", EPISODE_MEMBER if wanted.by_episode else "")
    text = f"""
        with portion as (
            select {shown}, sum(v.views)::bigint as views, sum(v.unique_viewers)::bigint as viewers,
                sum(v.watch_seconds)::bigint as seconds,
                trim_scale(round((sum(v.completion_sum) / greatest(sum(v.views), 1))::numeric, 2)) as completion
            {where} group by v.release_id, episode, start
            order by v.release_id, episode, start
            limit ${len(parameters)}
        ), numbered as (
            select *, row_number() over (order by release_id, episode, start) as place from portion
        )
        select string_agg({line}, '' order by place) as lines, count(*) as count,
            max(release_id) filter (where place = ${len(parameters)}) as release_id,
            max(episode) filter (where place = ${len(parameters)}) as episode,
            max(start) filter (where place = ${len(parameters)}) as start
        from numbered
    """  # noqa: S608 - fixed fragments
    return text, parameters


async def lines(
    conn: Connection, wanted: ViewsWanted, after: Place | None, limit: int, *, as_csv: bool
) -> tuple[bytes, Place | None]:
    """A portion of all rows as lines, and the place to go on behind; None after the last."""
    text, parameters = compose_lines(wanted, after, limit, as_csv=as_csv)
    row = await Query("analytics_lines", text).fetchrow(conn, *parameters)
    assert row is not None
    place = None if row["release_id"] is None else Place(row["release_id"], row["episode"], row["start"])
    return (row["lines"] or "").encode(), place


async def rows(conn: Connection, wanted: ViewsWanted, limit: int, offset: int) -> list[ViewsRow]:
    """A page of rows by release, episode and time."""
    text, parameters = compose(wanted, counting=False, limit=limit, offset=offset)
    return [ViewsRow(*row) for row in await Query("analytics_views", text).fetch(conn, *parameters)]


async def count(conn: Connection, wanted: ViewsWanted) -> int:
    """How many rows there are in all. Ask it only of filtered views: it reads every one of them."""
    text, parameters = compose(wanted, counting=True)
    return int(await Query("analytics_count", text).fetchval(conn, *parameters))
