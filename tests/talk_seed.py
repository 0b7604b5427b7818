"""What people say, made by SQL alone over the people of `people_seed`: comments with answers, reviews, votes, reports.

The counters are what a repair would find.
"""

from __future__ import annotations

from typing import Any

from sql.query import parse

MOMENT = "timestamptz '2026-01-01'"

QUERIES = parse(f"""
-- name: people
create temporary table talkers as
select id, row_number() over (order by id) as number from users where username_key like 'reader%';

-- name: releases
create temporary table talked as
select id as release_id, row_number() over (order by id) as number from releases where visible;

-- name: index
create unique index on talked (number);

-- name: threads
insert into comments (release_id, user_id, text, counted, listed, announced, created_at)
select t.release_id, p.id, 'Said by number ' || p.number || ', ' || k, true, true, true,
       {MOMENT} + p.number * interval '1 minute' + k * interval '1 hour'
from talkers p
cross join generate_series(1, $1::integer) k
join talked t on t.number = 1 + (p.number * 7919 + k * 104729) % (select count(*) from talked);

-- name: answers
insert into comments (release_id, parent_id, depth, user_id, text, counted, listed, announced, created_at)
select c.release_id, c.id, 1, p.id, 'Answered by number ' || p.number, true, true, true, c.created_at + interval '1 h'
from comments c
join talkers p on p.number = 1 + c.id % (select count(*) from talkers)
where c.parent_id is null and c.id % 3 = 0;

-- name: replies
update comments p set replies = 1 where p.parent_id is null and p.id % 3 = 0;

-- name: reviews
insert into reviews (release_id, user_id, rating, text, counted, announced, created_at)
select t.release_id, p.id, 1 + p.number % 10, 'Judged by number ' || p.number, true, true,
       {MOMENT} + p.number * interval '1 minute'
from talkers p
join talked t on t.number = 1 + (p.number * 31) % (select count(*) from talked);

-- name: votes
insert into helpful_votes (review_id, user_id)
select v.id, p.id
from reviews v
cross join generate_series(1, 2) k
join talkers p on p.number = 1 + (v.id * 17 + k) % (select count(*) from talkers) and p.id <> v.user_id
on conflict do nothing;

-- name: helpful
update reviews v set helpful = h.votes
from (select review_id, count(*) as votes from helpful_votes group by review_id) h where h.review_id = v.id;

-- name: reports
insert into reports (target_type, target_id, user_id, reason, closed_at)
select case when p.number % 2 = 0 then 'comment' else 'review' end, 1 + (p.number * 13) % 1000, p.id, 'spam', now()
from talkers p;

-- name: decisions
insert into moderation_decisions (
    target_type, target_id, release_id, author_id, moderator_id, state_before, state_after)
select 'comment', c.id, c.release_id, c.user_id, p.id, 'pending', 'visible'
from comments c
join talkers p on p.number = 1 + c.id % 50;

-- name: talk
insert into release_talk (release_id, comments, threads, reviews, review_rating_sum)
select release_id, coalesce(c.comments, 0), coalesce(c.threads, 0), coalesce(v.reviews, 0), coalesce(v.rating_sum, 0)
from (
    select release_id, count(*) as comments, count(*) filter (where parent_id is null) as threads
    from comments group by release_id
) c
full join (select release_id, count(*) as reviews, sum(rating) as rating_sum from reviews group by release_id) v
    using (release_id);

-- name: drop
drop table talkers, talked;
""")
STATISTICS = "analyze comments, reviews, helpful_votes, reports, moderation_decisions, release_talk"


async def fill(conn: Any, comments: int = 1) -> None:
    """Let each of the people there are write so many comments, every third of which is answered, and a review."""
    await conn.execute("set session_replication_role = replica")
    for name, query in QUERIES.items():
        await query.execute(conn, *([comments] if name == "threads" else []))
    await conn.execute("reset session_replication_role")
    await conn.execute(STATISTICS)
