"""Reviews and helpful votes: written by functions of the database (`0015_reviews.sql`), read one by one or as lists.

A page is a statement composed from a closed set of fragments: the order decides the text, values are parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from server.errors import Conflict, Forbidden, NotFound, Unauthenticated
from server.rules.reviews import Order
from sql.outbox import PUBLISHED
from sql.query import Connection, Query, load

QUERIES = load("reviews")
# The expression of each order; ids are given out in the order of time, and an index holds each.
KEYS = {"helpful": "v.helpful", "created": "0", "rating": "v.rating"}
LOST = "There is no such review."


class Judged(NamedTuple):
    """A text, and what the rules say of it: whether it leads elsewhere, whether a word rule holds it."""

    text: str
    has_link: bool
    worded: bool


@dataclass(frozen=True, slots=True)
class Posted:
    """What became of a new review; `review` is its JSON, None where the quota was used up: then nothing was written.
    `used`, `frees_at` and `moment` are the quota's."""

    outcome: str
    review_id: int | None
    review: str | None
    used: int | None
    frees_at: datetime | None
    moment: datetime


@dataclass(frozen=True, slots=True)
class Edited:
    """A review after it was changed, and the release it is of."""

    release_id: int
    review: str


@dataclass(frozen=True, slots=True)
class Erased:
    """A review that was taken back, unless it is `to_moderate`: another's, and whoever asked may decide about it."""

    to_moderate: bool
    release_id: int


@dataclass(frozen=True, slots=True)
class One:
    """A review's JSON, and the release it is of."""

    release_id: int
    review: str


@dataclass(frozen=True, slots=True)
class Row:
    """A review of a list: its JSON, and where it stands in the order."""

    review: str
    key: int
    id: int


@dataclass(frozen=True, slots=True)
class Listed:
    """How many reviews a release has, their average rating, if any, as a number in JSON, and a page of them."""

    count: int
    average: str | None
    rows: list[Row]


async def post(
    conn: Connection, author: int, release_id: int, rating: int, said: Judged, quota: tuple[int, timedelta], *,
    spoiler: bool,
) -> Posted:  # fmt: skip
    """Write a review in one statement, which needs no transaction around it.

    NotFound if there is no such release, Conflict if the author has a review of it, Unauthenticated if the account is
    gone. Where the quota is used up nothing is written, and the result says so.
    """
    text, has_link, worded = said
    row = await QUERIES.post_review.fetchrow(conn, author, release_id, rating, text, spoiler, has_link, worded, *quota)
    assert row is not None
    posted = Posted(*row)
    match posted.outcome:
        case "made":
            PUBLISHED.set(True)
        case "unknown":
            raise NotFound("There is no such release.")
        case "gone":
            raise Unauthenticated("This account is gone.", error="invalid_token")
        case "known":
            raise Conflict("You have reviewed this release already; change that review instead.")
    return posted


async def edit(
    conn: Connection, author: int, review_id: int, rating: int | None, said: Judged | None, spoiler: bool | None,
    *, moderates: bool = False,
) -> Edited:  # fmt: skip
    """Change one's own review (None: as it is), in one statement. NotFound if there is none that can be seen, Forbidden
    if it is another's, Conflict if moderators have taken it away. Moderators (`moderates`) see more of others'."""
    text, has_link, worded = said or (None, False, False)
    row = await QUERIES.edit_review.fetchrow(
        conn, author, moderates, review_id, rating, text, spoiler, has_link, worded
    )
    assert row is not None
    outcome, release_id, review, published = row
    match outcome:
        case "done":
            PUBLISHED.set(published)
        case "unknown":
            raise NotFound(LOST)
        case "foreign":
            raise Forbidden("Only its author may change a review.")
        case _:
            raise Conflict("Moderators have taken this review away.")
    return Edited(release_id, review)


async def delete(conn: Connection, author: int, review_id: int, *, moderates: bool = False) -> Erased:
    """Take one's own review back, in one statement; nothing changes if that is so already. NotFound if there is none
    that can be seen, Forbidden if it is another's; of a moderator the result says that it is for them to decide."""
    row = await QUERIES.delete_review.fetchrow(conn, author, moderates, review_id)
    assert row is not None
    outcome, release_id = row
    match outcome:
        case "done":
            PUBLISHED.set(True)
        case "unknown":
            raise NotFound(LOST)
        case "foreign":
            raise Forbidden("Only its author may delete a review.")
    return Erased(outcome == "moderate", release_id)


async def vote(conn: Connection, voter: int, review_id: int) -> int | None:
    """Find another's review helpful, in one statement; the release it is of, or None if nothing has changed. NotFound
    if it cannot be seen, Forbidden if it is one's own, Unauthenticated if the account is gone."""
    row = await QUERIES.vote_review.fetchrow(conn, voter, review_id)
    assert row is not None
    return _voted(*row)


async def unvote(conn: Connection, voter: int, review_id: int) -> int | None:
    """Take that back, in one statement; the release it is of, or None if nothing has changed."""
    row = await QUERIES.unvote_review.fetchrow(conn, voter, review_id)
    assert row is not None
    return _voted(*row)


def _voted(outcome: str, release_id: int | None) -> int | None:
    match outcome:
        case "gone":
            raise Unauthenticated("This account is gone.", error="invalid_token")
        case "unknown":
            raise NotFound(LOST)
        case "own":
            raise Forbidden("Others say whether your review is helpful.")
    return release_id


async def get(conn: Connection, review_id: int, viewer: int | None, *, moderates: bool) -> One | None:
    """A review as this viewer gets it (None: a visitor); None if there is none that can be seen."""
    row = await QUERIES.get_review.fetchrow(conn, review_id, viewer, moderates)
    return None if row is None else One(*row)


def compose_page(order: Order, *, by_key: bool) -> str:
    """The text of a page: $1 the release, $2 the viewer, $3 and $4 its length and what stands before it; with `by_key`
    $5 and $6 the key and id of the row before it. At least one row, if there is such a release."""
    key, direction, beyond = KEYS[order.by], *(("desc", "<") if order.descending else ("asc", ">"))
    place = "v.id" if order.by == "created" else f"{key} {direction}, v.id"
    behind = f"and ({key}, v.id) {beyond} ($5::integer, $6::bigint)" if by_key else ""
    if by_key and order.by == "created":
        behind = f"and $5::integer = 0 and v.id {beyond} $6::bigint"
    return f"""
        select t.count, t.average, p.review, p.key, p.id
        from (
            select coalesce(t.reviews, 0) as count,
                   round(t.review_rating_sum::numeric / nullif(t.reviews, 0), 2)::text as average
            from releases r
            left join release_talk t on t.release_id = r.id
            where r.id = $1 and r.visible
        ) t
        left join lateral (
            select review_json(v, u.username, $2::bigint, $2::bigint is not null and exists (
                       select from helpful_votes h where h.review_id = v.id and h.user_id = $2::bigint)) as review,
                   {key}::integer as key, v.id
            from (
                select v.id from reviews v where v.release_id = $1 and v.counted {behind}
                order by {place} {direction}
                limit $3::integer offset $4::integer
            ) page
            join reviews v on v.id = page.id
            left join users u on u.id = v.user_id
        ) p on true
        order by p.key {direction}, p.id {direction}
    """  # noqa: S608 - composed from the fragments above; every value is a parameter


async def page(
    conn: Connection, release_id: int, order: Order, limit: int, offset: int = 0, after: tuple[int, int] | None = None,
    *, viewer: int | None = None,
) -> Listed | None:  # fmt: skip
    """Up to `limit` reviews of a release, as this viewer gets them; None if there is no such release."""
    query = Query("list_reviews", compose_page(order, by_key=after is not None))
    found = await query.fetch(conn, release_id, viewer, limit, offset, *(after or ()))
    if not found:
        return None
    rows = [Row(*row[2:]) for row in found if row["id"] is not None]
    return Listed(found[0]["count"], found[0]["average"], rows)
