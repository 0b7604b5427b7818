"""Reviews and comments in tests, made by the statements the server makes them with."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sql import comments, reviews
from sql.comments import Draft
from sql.reviews import Judged, Posted

NO_QUOTA = (0, timedelta(days=1))
DAILY = (3, timedelta(days=1))
TEXT = "The tide turns slowly here, and that is its strength: the keepers have time to become people, in the end. "


def words(number: int) -> str:
    """A text of its own, so that nobody repeats themselves."""
    return f"{TEXT} {number}"


async def review(
    conn: Any, author: int, release_id: int, rating: int = 7, text: str = "", *,
    quota: tuple[int, timedelta] = NO_QUOTA, has_link: bool = False, worded: bool = False,
) -> Posted:  # fmt: skip
    """Post a review."""
    said = Judged(text or words(author * 1000 + release_id), has_link, worded)
    return await reviews.post(conn, author, release_id, rating, said, quota, spoiler=False)


async def comment(
    conn: Any, author: int, release_id: int, text: str, parent_id: int | None = None, *, worded: bool = False
) -> int:
    """Post a comment; its id."""
    draft = Draft(text, parent_id, None, False, False, worded)
    posted = await comments.post(conn, author, release_id, draft, NO_QUOTA)
    assert posted.comment_id is not None
    return posted.comment_id


async def settle(conn: Any, kind: str, target_id: int, state: str) -> None:
    """Give a comment or a review this state, as a moderator's decision does."""
    async with conn.transaction():
        await conn.execute(f"select lock_talk(array_agg(release_id)) from {kind}s where id = $1", target_id)
        await conn.execute(f"update {kind}s set state = $2 where id = $1", target_id, state)
        await conn.execute(f"select settle_{kind}($1)", target_id)


async def told(conn: Any, user_id: int) -> list[Any]:
    """What the outbox was told of what somebody says: the payloads, in their order."""
    rows = await conn.fetch(
        "select payload from outbox where topic = 'community' and user_id = $1 order by id", user_id
    )
    return [row["payload"] for row in rows]


# What is counted, held against the rows: whatever differs.
WRONG = """
    select 'release ' || r.id || ' has ' || coalesce(t.reviews, 0) || ' reviews that sum up to '
        || coalesce(t.review_rating_sum, 0) as wrong
    from releases r
    left join release_talk t on t.release_id = r.id
    cross join lateral (
        select count(*) as reviews, coalesce(sum(v.rating), 0) as rating_sum
        from reviews v
        where v.release_id = r.id and v.state = 'visible' and v.deleted_at is null
    ) e
    where (coalesce(t.reviews, 0), coalesce(t.review_rating_sum, 0)) <> (e.reviews, e.rating_sum)
    union all
    select 'review ' || v.id || ' counted' from reviews v
    where v.counted <> (v.state = 'visible' and v.deleted_at is null)
    union all
    select 'review ' || v.id || ' helpful ' || v.helpful from reviews v
    where v.helpful <> (select count(*) from helpful_votes h where h.review_id = v.id)
    union all
    select 'user ' || u.id || ' was told of ' || w.reviews || ' reviews'
    from users u
    cross join lateral (
        select coalesce(sum((o.payload -> 'delta' ->> 'reviews')::integer), 0) as reviews
        from outbox o where o.topic = 'community' and o.user_id = u.id
    ) w
    where w.reviews <> (
        select count(*) from reviews v where v.user_id = u.id and v.state = 'visible' and v.deleted_at is null)
"""


async def wrong(conn: Any) -> list[str]:
    """Counters of reviews that are not what the rows say; the outbox has to be whole."""
    return [row["wrong"] for row in await conn.fetch(WRONG)]
