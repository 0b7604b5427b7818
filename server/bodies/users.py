"""The bytes of the list of accounts."""

from __future__ import annotations

from server.database import Database
from server.http.answer import link, page_body
from server.http.parse import DEEPEST, check_depth
from server.rules import cursors
from server.rules.accounts import username_key
from server.schemas.users import AccountsQuery
from sql import users
from sql.users import UsersWanted

KIND = "accounts"


async def page(database: Database, query: AccountsQuery, base: str) -> bytes:
    """Accounts, the newest first. Beyond page × limit = 10,000 `next` goes on by cursor."""
    below: int | None = None
    if query.cursor is not None:
        _, below = cursors.decode(KIND, query.cursor, str)
    else:
        check_depth(query.limit, query.page)
    offset = 0 if below is not None else (query.page - 1) * query.limit
    wanted = UsersWanted(username_key(query.q.strip()) or None, query.role)
    async with database.connection() as conn:
        # One row more than the page shows tells whether anything follows.
        rows = await users.page(conn, wanted, below, query.limit + 1, offset)
        count, exact = await users.count(conn, wanted)
    shown = rows[: query.limit]
    given = {"q": query.q, "role": query.role, "limit": query.limit}
    following = before = None
    if len(rows) > query.limit:
        by_number = query.cursor is None and (query.page + 1) * query.limit <= DEEPEST
        place = {"page": query.page + 1} if by_number else {"cursor": cursors.encode(KIND, "", shown[-1].id)}
        following = link(base, given | place)
    if query.cursor is None and query.page > 1:
        before = link(base, given | {"page": query.page - 1})
    return page_body(count, following, before, [row.account for row in shown], estimate=not exact)
