"""Pages of lists that stand still (vocabularies, episodes): by number, and beyond page × limit = 10,000 by a cursor.

Such lists are short or read from an index, so the cursor holds an offset. Lists in which rows keep arriving page by key
(`server/rules/cursors.py`, `sql/release_list.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from server.http.answer import link
from server.http.parse import DEEPEST
from server.rules import cursors
from server.schemas.queries import PageQuery

KIND = "offset"


def offset_of(query: PageQuery) -> int:
    """How many rows stand before the page; Unprocessable if the cursor is not one of ours."""
    if query.cursor is None:
        return (query.page - 1) * query.limit
    offset, _ = cursors.decode(KIND, query.cursor, int)
    return max(0, int(offset))


def links_of(
    base: str, query: PageQuery, count: int, filters: Mapping[str, Any] | None = None
) -> tuple[str | None, str | None]:
    """The addresses of the next and the previous page, or None; with the list's `filters` in them."""
    given: dict[str, Any] = {**(filters or {}), "limit": query.limit}
    before = link(base, given | {"page": query.page - 1}) if query.cursor is None and query.page > 1 else None
    reached = offset_of(query) + query.limit
    if reached >= count:
        return None, before
    if query.cursor is None and (query.page + 1) * query.limit <= DEEPEST:
        return link(base, given | {"page": query.page + 1}), before
    return link(base, given | {"cursor": cursors.encode(KIND, reached, 0)}), before
