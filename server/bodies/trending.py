"""The pages of what is watched right now, from the tops that the trending calculator keeps."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import partial

import orjson

from server.cache import Policy, ResponseCache
from server.database import Database
from server.errors import Unavailable
from server.events import PERIODS, Period, Trend, Trends
from server.http.answer import links
from server.rules.cache_tags import RELEASES
from server.schemas.queries import TrendingQuery
from sql import trends as sql
from sql import vocabularies
from sql.query import Connection

TAG = "trending"
WATCHED: dict[Period, str] = {
    "day": "Watched a lot in the last 24 hours.",
    "week": "Watched a lot in the last 7 days.",
    "month": "Watched a lot in the last 30 days.",
}
LIKED = {"code": "popular", "text": "Popular overall, or new."}


def key(query: TrendingQuery) -> Hashable:
    """The cache key of a page."""
    return (TAG, query.period, tuple(query.genre), query.limit, query.page)


async def page(database: Database, trends: Trends, query: TrendingQuery, base: str) -> bytes:
    """A page of the period's top."""
    trend = trends.by_period.get(query.period)
    if trend is None:
        raise Unavailable("Trends are being computed.", retry_after=2)
    offset = (query.page - 1) * query.limit
    async with database.connection() as conn:
        top, top_scores = await _top(conn, trend, query.genre)
        ids, scores = top[offset : offset + query.limit], top_scores[offset : offset + query.limit]
        found = await sql.trending_page(conn, ids)
    # What was hidden since the last pass is missing from `found`, hence the look-up by id.
    by_id = (
        {orjson.loads(text)["id"]: text for text in found}
        if len(found) < len(ids)
        else dict(zip(ids, found, strict=True))
    )
    count = len(top)
    given = {"period": query.period, "genre": query.genre, "limit": query.limit}
    following, before = links(base, given, query.limit, query.page, count)
    watched = {"code": "trending", "text": WATCHED[query.period]}
    return orjson.dumps(
        {
            "type": "trending",
            "period": query.period,
            "count": count,
            "next": following,
            "previous": before,
            "results": [
                {
                    "release": orjson.Fragment(by_id[release_id]),
                    "score": round(score, 4),
                    "reasons": [watched if score > 0 else LIKED],
                }
                for release_id, score in zip(ids, scores, strict=True)
                if release_id in by_id
            ],
        }
    )


async def _top(conn: Connection, trend: Trend, genres: list[str]) -> tuple[Sequence[int], Sequence[float]]:
    """The period's top, or what of it carries these genres, and behind that what of theirs is popular."""
    if not genres:
        return trend.release_ids, trend.scores
    wanted = await vocabularies.choose(conn, "genres", genres)
    if wanted.never:
        return [], []
    watched = await sql.trending_of(conn, trend.release_ids, wanted.wanted, wanted.unwanted)
    scores = dict(zip(trend.release_ids, trend.scores, strict=True))
    return watched, [scores.get(release_id, 0.0) for release_id in watched]


async def warm(cache: ResponseCache, policy: Policy, database: Database, trends: Trends, base: str) -> None:
    """Drop the pages of the pass before and make the first page of each period: those are asked for most."""
    cache.drop([TAG])
    for period in PERIODS:
        query = TrendingQuery(period=period)
        await cache.fetch(key(query), partial(page, database, trends, query, base), policy, (TAG, RELEASES))
