"""People old enough to be trusted, a release that everybody talks about, and an answer with ten thousand answers."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from server.identity import AccessTokens

# What the server signs with, so that nobody has to sign in eight thousand times.
SECRET = "7d" * 32
THREADS, REPLIES, REVIEWS = 5_000, 10_000, 2_000

PEOPLE = """
insert into users (username, username_key, created_at)
select $1::text || n, $1::text || n, now() - interval '40 days' from generate_series(1, $2::integer) n
returning id
"""
THREAD = """
insert into comments (release_id, user_id, text, counted, listed, announced, created_at)
select $1, $2, 'A comment that was here before, number ' || n, true, true, true,
       now() - interval '2 days' + n * interval '1 second'
from generate_series(1, $3::integer) n
"""
REPLY = """
insert into comments (release_id, parent_id, depth, user_id, text, counted, listed, announced, created_at)
select $1, $2, 1, $3, 'An answer that was here before, number ' || n, true, true, true,
       now() - interval '1 day' + n * interval '1 second'
from generate_series(1, $4::integer) n
"""
REVIEW = """
insert into reviews (release_id, user_id, rating, text, counted, announced, created_at)
select id, $1, 1 + row_number() over (order by id) % 10, repeat('What was thought of it. ', 8), true, true,
       now() - interval '1 day'
from (select id from releases where visible order by id limit $2::integer) reviewed
returning id
"""
# As the demo's users may have said something there, too.
COUNT = """
insert into release_talk (release_id, comments, threads, reviews, review_rating_sum)
select release_id, sum(comments), sum(threads), sum(reviews), sum(rating_sum)
from (
    select release_id, count(*) filter (where counted) as comments,
           count(*) filter (where listed and parent_id is null) as threads, 0 as reviews, 0 as rating_sum
    from comments group by release_id
    union all
    select release_id, 0, 0, count(*) filter (where counted), coalesce(sum(rating) filter (where counted), 0)
    from reviews group by release_id
) said
group by release_id
on conflict (release_id) do update
    set comments = excluded.comments, threads = excluded.threads, reviews = excluded.reviews,
        review_rating_sum = excluded.review_rating_sum
"""


async def people(conn: Any, name: str, count: int) -> list[str]:
    """Make so many accounts of forty days ago; an access token of each."""
    tokens = AccessTokens([SECRET.encode()])
    ids = [row["id"] for row in await conn.fetch(PEOPLE, name, count)]
    return [tokens.issue(user_id, "user", 1, UUID(int=user_id)) for user_id in ids]


async def talk(conn: Any, release_id: int) -> tuple[int, list[int]]:
    """Threads under a release, answers to one of them, reviews of others; the id of that one, those of the reviews."""
    author = await conn.fetchval(PEOPLE, "author", 1)
    await conn.execute(THREAD, release_id, author, THREADS)
    asked = await conn.fetchval("select max(id) from comments where release_id = $1 and parent_id is null", release_id)
    await conn.execute(REPLY, release_id, asked, author, REPLIES)
    await conn.execute("update comments set replies = $2 where id = $1", asked, REPLIES)
    reviews = [row["id"] for row in await conn.fetch(REVIEW, author, REVIEWS)]
    await conn.execute(COUNT)
    await conn.execute("vacuum analyze comments, reviews, release_talk, users")
    return asked, reviews
