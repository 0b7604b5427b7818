"""All view counts as lines, a portion at a time: neither memory nor a connection is held while they are sent."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import datetime

from server.bodies.analytics import COLUMNS, wanted_by
from server.database import Database
from server.schemas.analytics_export import ExportQuery
from server.schemas.queries import AnalyticsQuery
from sql import analytics
from sql.analytics import Place

# Rows of one portion: some hundreds of kilobytes, read within tens of milliseconds.
PORTION = 2_000
HEADER = (",".join(COLUMNS) + "\r\n").encode()


async def lines(database: Database, query: ExportQuery, now: datetime, *, as_csv: bool) -> AsyncGenerator[bytes, None]:
    """The portions, the first with the header; each is of the moment it is read at."""
    asked = AnalyticsQuery(
        release_ids=query.release_ids, episode_ids=query.episode_ids, group_by=query.group_by, from_=query.from_,
        to=query.to, interval=query.interval,
    )  # fmt: skip
    wanted = wanted_by(asked, now)
    place: Place | None = None
    header = HEADER if as_csv else b""
    while True:
        async with database.connection() as conn:
            portion, place = await analytics.lines(conn, wanted, place, PORTION, as_csv=as_csv)
        yield header + portion
        header = b""
        if place is None:
            return
