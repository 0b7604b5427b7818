"""The bodies of answers about reviews: a page of a release's, and one by itself; for visitors or for one reader."""

from __future__ import annotations

from typing import Any

import orjson

from server.bodies.releases import known
from server.cache import Tagged
from server.database import Database
from server.errors import NotFound
from server.http.answer import link
from server.http.parse import DEEPEST
from server.rules import cache_tags, cursors
from server.rules.reviews import Order, order
from server.schemas.reviews import ReviewsQuery
from sql import reviews
from sql.reviews import Listed


async def page(
    database: Database, id_or_slug: str, query: ReviewsQuery, base: str, viewer: int | None = None
) -> Tagged:
    """A page of a release's reviews, tagged with the release and with its reviews. Beyond page × limit = 10,000 `next`
    goes on by cursor."""
    wanted = order(query.sort)
    after = None if query.cursor is None else cursors.decode(_kind(wanted), query.cursor, int)
    offset = 0 if after else (query.page - 1) * query.limit
    async with database.connection() as conn:
        release_id = await known(conn, id_or_slug)
        # One row more than the page shows tells whether a cursor leads anywhere.
        found = await reviews.page(conn, release_id, wanted, query.limit + 1, offset, after, viewer=viewer)
    if found is None:
        raise NotFound("There is no such release.")
    return Tagged(_body(query, wanted, base, found), tags(release_id))


async def one(database: Database, review_id: int, viewer: int | None = None, *, moderates: bool = False) -> Tagged:
    """A review, tagged likewise."""
    async with database.connection() as conn:
        found = await reviews.get(conn, review_id, viewer, moderates=moderates)
    if found is None:
        raise NotFound(reviews.LOST)
    return Tagged(found.review.encode(), tags(found.release_id))


def tags(release_id: int) -> tuple[str, ...]:
    """Of what shows reviews of this release."""
    return cache_tags.release(release_id), cache_tags.reviews(release_id)


def _kind(wanted: Order) -> str:
    return f"reviews:{wanted.name}"


def _body(query: ReviewsQuery, wanted: Order, base: str, found: Listed) -> bytes:
    given: dict[str, Any] = {"sort": None if query.sort == "-helpful" else query.sort, "limit": query.limit}
    following = before = None
    if len(found.rows) > query.limit:
        last = found.rows[query.limit - 1]
        by_page = query.cursor is None and (query.page + 1) * query.limit <= DEEPEST
        place = {"page": query.page + 1} if by_page else {"cursor": cursors.encode(_kind(wanted), last.key, last.id)}
        following = link(base, given | place)
    if query.cursor is None and query.page > 1:
        before = link(base, given | {"page": query.page - 1})
    head = orjson.dumps({"count": found.count, "next": following, "previous": before})
    rows = ",".join(row.review for row in found.rows[: query.limit])
    return f'{head[:-1].decode()},"average_rating":{found.average or "null"},"results":[{rows}]}}'.encode()
