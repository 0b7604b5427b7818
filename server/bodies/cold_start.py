"""A beginning for somebody of whom little is known: three picks by what they plan to watch or follow, then what is
watched, rated best and popular elsewhere, then what is new."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, zip_longest
from typing import NamedTuple

from server.events import Trends
from sql import recommendations as sql
from sql.query import Connection

# Picks of one's own, and what each pool offers.
PICKS, EACH = 3, 40
# More picks than are shown: some are sequels, or known already.
MOST_PICKS = 30
WISHED = 20


class Chosen(NamedTuple):
    """A release to show, and where it comes from: `own` history, `picked` by a wish, or a pool."""

    id: int
    score: float
    pool: str
    franchise: int | None = None
    wished: int | None = None
    followed: Sequence[int] = ()
    genres: Sequence[int] = ()


async def offered(conn: Connection, trends: Trends, user_id: int, wished: Sequence[int]) -> list[Chosen]:
    """Candidates in the order in which they should be shown; some more than once."""
    genres = await sql.followed_genres(conn, user_id)
    picks: list[Chosen] = []
    if wished or genres:
        carrying = await sql.carrying(conn, wished[:WISHED], genres, MOST_PICKS)
        picks = [Chosen(one.id, 1.0, "picked", None, one.wished, one.followed) for one in carrying]
    by_pool: dict[str, list[Chosen]] = {"trending": _trending(trends), "top_rated": [], "popular": [], "newest": []}
    for one in await sql.pools(conn, EACH):
        by_pool[one.pool].append(Chosen(one.release_id, 1.0, one.pool))
    newest = by_pool.pop("newest")
    in_turn = [one for one in chain.from_iterable(zip_longest(*by_pool.values())) if one is not None]
    return [*picks, *in_turn, *newest]


def _trending(trends: Trends) -> list[Chosen]:
    trend = trends.by_period.get("week")
    if trend is None:
        return []
    first = zip(trend.release_ids[:EACH], trend.scores[:EACH], strict=True)
    return [Chosen(release_id, 1.0, "trending") for release_id, watched in first if watched > 0]
