"""The bodies of answers about people."""

from __future__ import annotations

from server.database import Database
from server.errors import Fault, Unprocessable
from server.http.answer import link, page_body
from server.http.parse import DEEPEST, check_depth
from server.rules import cursors
from server.rules.accounts import username_key
from server.schemas.profiles import UsersQuery
from sql import profiles

KIND = "users"
LONGEST_PREFIX = 64


async def search(database: Database, query: UsersQuery, base: str) -> bytes:
    """Public profiles by the beginning of their username. Beyond page × limit = 10,000 `next` goes on by cursor."""
    prefix = username_key(query.q.strip())[:LONGEST_PREFIX]
    if not prefix:
        raise Unprocessable("Say how the username begins.", faults=[Fault("/q", "Is required.")])
    after: str | None = None
    if query.cursor is not None:
        after, _ = cursors.decode(KIND, query.cursor, str)
    else:
        check_depth(query.limit, query.page)
    offset = 0 if after is not None else (query.page - 1) * query.limit
    async with database.connection() as conn:
        # One row more than the page shows tells whether anything follows.
        rows = await profiles.find(conn, prefix, after, query.limit + 1, offset)
        count, exact = await profiles.count(conn, prefix)
    shown = rows[: query.limit]
    following = _next(query, base, shown[-1].key) if len(rows) > query.limit else None
    before = None
    if query.cursor is None and query.page > 1:
        before = link(base, {"q": query.q, "limit": query.limit, "page": query.page - 1})
    return page_body(count, following, before, [row.person for row in shown], estimate=not exact)


def _next(query: UsersQuery, base: str, last: str) -> str:
    given = {"q": query.q, "limit": query.limit}
    if query.cursor is None and (query.page + 1) * query.limit <= DEEPEST:
        return link(base, given | {"page": query.page + 1})
    return link(base, given | {"cursor": cursors.encode(KIND, last, 0)})
