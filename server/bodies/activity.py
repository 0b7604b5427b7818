"""The bodies of what happened: one's feed, and what a user did.

Both page by `seq`, which the one writer gives in the order of its commits: what arrives later stands before the first
page and moves nothing. The count is taken on the first page and travels in the cursor.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from server.database import Database
from server.errors import Forbidden, NotFound
from server.http.answer import link, page_body
from server.rules import activity as rules
from server.rules import cursors
from server.rules.moments import rfc3339
from server.schemas.activity import ActivityQuery
from sql import activity
from sql.activity import Shown
from sql.query import Connection

FEED, OF_USER = "feed", "activity"
NEWEST = 2**63 - 1
MOST_COUNTED = 1000
LARGEST_COUNT = 2**31 - 1


async def feed(database: Database, user_id: int, query: ActivityQuery, base: str) -> bytes:
    """What this user did, and what happened to what they follow."""
    count, before = _left(FEED, query)
    async with database.connection() as conn:
        seqs = await activity.feed(conn, user_id, before, query.limit + 1)
        if count is None:
            count = await _estimated(conn, seqs) if len(seqs) > query.limit else len(seqs)
        rows = await activity.show(conn, seqs[: query.limit])
    exact = query.cursor is None and len(seqs) <= query.limit
    return _page(FEED, query, base, rows, seqs, count, exact=exact)


async def of_user(
    database: Database, user_id: int, viewer: int | None, query: ActivityQuery, base: str, *, sees_all: bool
) -> bytes:
    """What a user did; Forbidden where their profile is private, unless `viewer` is they or sees all."""
    count, before = _left(OF_USER, query)
    async with database.connection() as conn:
        is_public = await activity.visibility(conn, user_id)
        if is_public is None:
            raise NotFound("There is no such user.")
        if not (is_public or sees_all or viewer == user_id):
            raise Forbidden("This profile is private.")
        seqs = await activity.of_user(conn, user_id, before, query.limit + 1)
        counted = await activity.count_of_user(conn, user_id, MOST_COUNTED + 1)
        exact = counted <= MOST_COUNTED
        if exact:
            count = counted
        elif count is None:
            count = max(counted, await _estimated(conn, seqs))
        rows = await activity.show(conn, seqs[: query.limit])
    return _page(OF_USER, query, base, rows, seqs, count, exact=exact)


def _left(kind: str, query: ActivityQuery) -> tuple[int | None, int]:
    """The count taken on the first page, and where the last page ended."""
    if query.cursor is None:
        return None, NEWEST
    count, seq = cursors.decode(kind, query.cursor, int)
    return max(0, count), seq


async def _estimated(conn: Connection, seqs: Sequence[int]) -> int:
    oldest, newest = await activity.extent(conn)
    return min(LARGEST_COUNT, rules.estimate(len(seqs), seqs[-1], oldest, newest))


def _page(
    kind: str, query: ActivityQuery, base: str, rows: Iterable[Shown], seqs: Sequence[int], count: int, *, exact: bool
) -> bytes:
    following = None
    if len(seqs) > query.limit:
        cursor = cursors.encode(kind, count, seqs[query.limit - 1])
        following = link(base, {"limit": None if query.limit == 20 else query.limit, "cursor": cursor})
    # News about what is no longer there is no news.
    results = [orjson.dumps(_entry(row)).decode() for row in rows if row.title is not None or row.actor_id is not None]
    return page_body(count, following, None, results, estimate=not exact)


def _entry(row: Shown) -> dict[str, Any]:
    title = rules.title_of(row.target_type, row.title, row.ordinal)
    target: dict[str, Any] = {"type": row.target_type, "id": row.target_id, "title": title}
    if row.slug is not None:
        target["slug"] = row.slug
    return {
        "id": row.id,
        "actor": None if row.actor_id is None else {"id": row.actor_id, "username": row.actor},
        "action_type": row.action_type,
        "target": target,
        "description": rules.describe(row.action_type, row.actor, title, row.details),
        "created_at": rfc3339(row.created_at),
    }
