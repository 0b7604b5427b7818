"""Reading the rollups: views by release or episode and interval. The statement is composed from fixed fragments.

Rows come by release, episode and time: the order of the indexes (release_id, day|hour), so that a page of an unfiltered
list reads a page's worth of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sql.query import Connection, Query

Interval = Literal["hour", "day", "week", "month", "total"]
BUCKETS: dict[Interval, str] = {
    "hour": "v.hour",
    "day": "v.day::timestamp at time zone 'UTC'",
    "week": "date_trunc('week', v.day::timestamp) at time zone 'UTC'",
    "month": "date_trunc('month', v.day::timestamp) at time zone 'UTC'",
    "total": "$1::timestamptz",
}


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


def compose(wanted: ViewsWanted, *, counting: bool, limit: int = 0, offset: int = 0) -> tuple[str, list[Any]]:
    """The text and parameters of a page, or of the number of its rows."""
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
    where = " and ".join(conditions)
    episode = "v.episode_id" if wanted.by_episode else "0::bigint"
    shown = f"v.release_id, {episode} as episode, {BUCKETS[wanted.interval]} as start"
    grouped = f"from {table} v where {where} group by v.release_id, episode, start"
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


async def rows(conn: Connection, wanted: ViewsWanted, limit: int, offset: int) -> list[ViewsRow]:
    """A page of rows by release, episode and time."""
    text, parameters = compose(wanted, counting=False, limit=limit, offset=offset)
    return [ViewsRow(*row) for row in await Query("analytics_views", text).fetch(conn, *parameters)]


async def count(conn: Connection, wanted: ViewsWanted) -> int:
    """How many rows there are in all. Ask it only of filtered views: it reads every one of them."""
    text, parameters = compose(wanted, counting=True)
    return int(await Query("analytics_count", text).fetchval(conn, *parameters))
