"""Everything that is somebody's, a page at a time, for the archive they take away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from sql.query import Connection, load

QUERIES = load("exports")
PAGE = 1000

Part = Literal[
    "favorites", "collections", "ratings", "ignores", "progress", "subscriptions", "activity", "notifications",
    "notification_preferences", "comments", "reviews", "helpful_votes", "reports", "moderation_decisions",
]  # fmt: skip
PARTS: tuple[Part, ...] = get_args(Part)
KIND_OF: dict[Part, int] = {"favorites": 1, "collections": 2, "ratings": 3, "ignores": 4}
QUERY_OF = {part: getattr(QUERIES, part) for part in PARTS if part not in KIND_OF}


@dataclass(frozen=True, slots=True)
class Listed:
    """A title on a list, in MyAnimeList's terms. `external_id` is None where MyAnimeList does not know it."""

    release_id: int
    collection: int
    score: int
    watched: int
    title: str
    type: str
    episodes_total: int
    external_id: str | None


async def account(conn: Connection, user_id: int) -> str | None:
    """The account as JSON, without a secret; None if it is gone."""
    found: str | None = await QUERIES.account.fetchval(conn, user_id)
    return found


async def page(conn: Connection, user_id: int, part: Part, after: int) -> tuple[list[str], int | None]:
    """JSON objects of a part behind a place, and the place to go on from; None at the end."""
    if part in KIND_OF:
        rows = await QUERIES.entries.fetch(conn, user_id, KIND_OF[part], after, PAGE)
    else:
        rows = await QUERY_OF[part].fetch(conn, user_id, after, PAGE)
    return [row["line"] for row in rows], rows[-1]["place"] if len(rows) == PAGE else None


async def listed(conn: Connection, user_id: int, after: int) -> list[Listed]:
    """A page of the list behind a release id; an empty one is the end."""
    return [Listed(*row) for row in await QUERIES.listed.fetch(conn, user_id, after, PAGE)]
