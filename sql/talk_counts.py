"""Counting anew what is counted of comments and reviews as they come and go, held against the rows themselves.

As `sql/recount.py`: each `mend_*` in a transaction that keeps one snapshot. First comments and reviews, then releases,
which are counted by what the former say of themselves.
"""

from __future__ import annotations

from collections.abc import Sequence

from sql.query import Connection, load
from sql.recount import Difference

QUERIES = load("talk_counts")
# Keys of comments count down from here: answers have to be right before what they answer.
TOP = 1 << 62


async def comment_keys(conn: Connection, after: int, limit: int) -> list[int]:
    """The keys of the next comments, the newest first."""
    return [row["key"] for row in await QUERIES.comment_keys.fetch(conn, after, limit)]


async def mend_comments(conn: Connection, keys: Sequence[int]) -> list[Difference]:
    """Whether they are counted and stand in a list, how many answers and open reports they have. In the order of their
    keys, without leaving any out."""
    return [Difference(*row) for row in await QUERIES.mend_comments.fetch(conn, [TOP - key for key in keys])]


async def review_ids(conn: Connection, after: int, limit: int) -> list[int]:
    """The next reviews by id."""
    return [row["id"] for row in await QUERIES.review_ids.fetch(conn, after, limit)]


async def mend_reviews(conn: Connection, review_ids: Sequence[int]) -> list[Difference]:
    """Whether they are counted, how many found them helpful, how many open reports they have."""
    return [Difference(*row) for row in await QUERIES.mend_reviews.fetch(conn, list(review_ids))]


async def release_ids(conn: Connection, after: int, limit: int) -> list[int]:
    """The next releases by id."""
    return [row["id"] for row in await QUERIES.release_ids.fetch(conn, after, limit)]


async def mend_releases(conn: Connection, release_ids: Sequence[int]) -> list[Difference]:
    """How much is said under them."""
    return [Difference(*row) for row in await QUERIES.mend_releases.fetch(conn, list(release_ids))]
