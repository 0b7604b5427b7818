"""The bodies of pages of comments: for visitors, which the cache keeps, and for one reader.

Pages go by id, which is given out in the order of commits within a release: what is said meanwhile moves nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from server.cache import Tagged
from server.database import Database
from server.errors import NotFound
from server.http.answer import link, page_body
from server.rules import cache_tags, cursors
from server.rules.comments import MOST_COUNTED
from server.schemas.comments import CommentsQuery, RepliesQuery
from sql import comments, releases
from sql.comments import Reader
from sql.query import Connection

REPLIES = "replies"


async def threads(database: Database, name: str, reader: Reader, query: CommentsQuery, base: str) -> Tagged:
    """A page of the comments under a release named by its id or slug."""
    kind = f"comments-{query.sort}"
    async with database.connection() as conn:
        release_id = await _release_id(conn, name)
        found = None if release_id is None else await comments.threads(
            conn, reader, release_id, query.episode_id, _behind(kind, query.cursor), query.limit + 1,
            newest=query.sort == "newest",
        )  # fmt: skip
    if release_id is None or found is None:
        raise NotFound("There is no such release.")
    given = {"sort": None if query.sort == "newest" else query.sort, "episode_id": query.episode_id}
    following = _next(kind, base, query, found.ids, given)
    count = found.count
    estimate = query.episode_id is not None and count > MOST_COUNTED
    body = page_body(min(count, MOST_COUNTED) if estimate else count, following, None, found.comments[: query.limit],
                     estimate=estimate)  # fmt: skip
    return Tagged(body, (cache_tags.comments(release_id), cache_tags.release(release_id)))


async def replies(database: Database, comment_id: int, reader: Reader, query: RepliesQuery, base: str) -> Tagged:
    """A page of what answers a comment."""
    async with database.connection() as conn:
        behind = _behind(REPLIES, query.cursor)
        found = await comments.replies(conn, reader, comment_id, behind, query.limit + 1)
    if found is None:
        raise NotFound("There is no such comment.")
    following = _next(REPLIES, base, query, found.ids, {})
    body = page_body(found.count, following, None, found.comments[: query.limit])
    return Tagged(body, (cache_tags.comments(found.release_id), cache_tags.release(found.release_id)))


async def one(database: Database, comment_id: int, reader: Reader) -> Tagged:
    """A comment."""
    async with database.connection() as conn:
        found = await comments.get(conn, reader, comment_id)
    if found is None:
        raise NotFound("There is no such comment.")
    tags = (cache_tags.comments(found.release_id), cache_tags.release(found.release_id))
    return Tagged(found.comment.encode(), tags)


async def _release_id(conn: Connection, name: str) -> int | None:
    if name.isascii() and name.isdigit():
        return int(name) if len(name) <= 18 else None
    return None if "\x00" in name else await releases.resolve(conn, name)


def _behind(kind: str, cursor: str | None) -> int | None:
    return None if cursor is None else cursors.decode(kind, cursor, int)[1]


def _next(
    kind: str, base: str, query: CommentsQuery | RepliesQuery, ids: Sequence[int], given: dict[str, Any]
) -> str | None:
    """Where the next page is. One row more than the page shows tells whether there is one."""
    if len(ids) <= query.limit:
        return None
    given |= {
        "spoilers": None if query.spoilers == "hide" else query.spoilers,
        "limit": None if query.limit == 20 else query.limit,
        "cursor": cursors.encode(kind, 0, ids[query.limit - 1]),
    }
    return link(base, given)
