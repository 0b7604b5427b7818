-- name: authors
-- Those of the users that are there, in the order of their names' places.
select u.id
from unnest($1::text[]) with ordinality as k (username_key, place)
join users u using (username_key)
order by k.place;

-- name: said_anything
select exists (select from comments where user_id = any ($1::bigint[]))
    or exists (select from reviews where user_id = any ($1::bigint[]));

-- name: rated
-- Up to $3 of what each of these users ($1) rated of what demo_releases holds, in an order that hashes of (seed $2, place
-- of the user, rank of the release) decide.
select a.place::integer as author, r.release_id, l.value::integer as rating
from unnest($1::bigint[]) with ordinality as a (user_id, place)
join library_entries l on l.user_id = a.user_id and l.kind = 3 and not l.deleted
join demo_releases r on r.release_id = l.release_id
order by hashint8extended(a.place * 4294967296 + r.rank, $2::bigint), a.place, r.rank
limit $3::integer;

-- name: make_remarks
-- Comments with the ids they will have, as parallel arrays: authors $1, ranks of releases $2, numbers of what they answer
-- $3 and of their threads $4, depths $5, moments $6 (0 is sixty days before $14, 1 is then), parts $7, texts $8, spoilers
-- $9, fates $10, whether edited $11, listed replies $12, open reports $13. A weekly series is talked about no further than
-- it had come by then.
create temporary table demo_remarks as
with said as materialized (
    select s.*, $14::timestamptz - (1 - s.moment) * interval '60 days' as created_at
    from unnest($1::bigint[], $2::integer[], $3::integer[], $4::integer[], $5::integer[], $6::double precision[],
                $7::double precision[], $8::text[], $9::boolean[], $10::text[], $11::boolean[], $12::integer[], $13::integer[])
        with ordinality as s (user_id, rank, parent, root, depth, moment, part, text, spoiler, fate, edited, replies,
                              reports, number)
), threads as (
    select t.number, r.release_id,
           case when t.part is not null and aired.many > 0 then r.episode_ids[1 + floor(aired.many * t.part)::integer] end
               as episode_id
    from said t
    join demo_releases r on r.rank = t.rank
    cross join lateral (
        select cardinality(r.episode_ids)
               - greatest(0, ceil(extract(epoch from r.last_air_at - t.created_at) / 604800))::integer as many
    ) aired
    where t.parent = 0
)
select nextval('comments_id_seq') as id, o.*
from (
    select s.number::integer as number, s.user_id, s.parent, s.depth, s.text, s.spoiler, s.fate, s.edited, s.replies, s.reports,
           t.release_id, t.episode_id, s.created_at, s.fate in ('said', 'approved') as counted,
           least($14::timestamptz, s.created_at + interval '7 days') as decided_at
    from said s
    join threads t on t.number = s.root
    order by s.number
) o;

-- name: make_reviews
-- Likewise reviews: authors $1, releases $2, ratings $3, moments $4, texts $5, spoilers $6, fates $7, votes $8, now $9.
create temporary table demo_reviews as
select nextval('reviews_id_seq') as id, o.*
from (
    select s.number::integer as number, s.user_id, s.release_id, s.rating, s.text, s.spoiler, s.fate, s.helpful,
           $9::timestamptz - (1 - s.moment) * interval '60 days' as created_at, s.fate in ('said', 'approved') as counted
    from unnest($1::bigint[], $2::bigint[], $3::integer[], $4::double precision[], $5::text[], $6::boolean[], $7::text[],
                $8::integer[])
        with ordinality as s (user_id, release_id, rating, moment, text, spoiler, fate, helpful, number)
    order by s.number
) o;

-- name: fill_counts
-- What is said under each release. First, as whoever writes locks these rows before any comment or review.
insert into release_talk as t (release_id, comments, threads, reviews, review_rating_sum)
select release_id, coalesce(c.comments, 0), coalesce(c.threads, 0), coalesce(r.reviews, 0), coalesce(r.rating_sum, 0)
from (
    select release_id, count(*) filter (where counted) as comments,
           count(*) filter (where parent = 0 and (counted or replies > 0)) as threads
    from demo_remarks
    group by release_id
) c
full join (
    select release_id, count(*) as reviews, sum(rating) as rating_sum from demo_reviews where counted group by release_id
) r using (release_id)
order by release_id
on conflict (release_id) do update
    set comments = t.comments + excluded.comments, threads = t.threads + excluded.threads,
        reviews = t.reviews + excluded.reviews, review_rating_sum = t.review_rating_sum + excluded.review_rating_sum;

-- name: fill_comments
insert into comments (id, release_id, episode_id, parent_id, depth, user_id, text, spoiler, state, held_for, counted, listed,
                      replies, reports, announced, created_at, edited_at, deleted_at, queued_at)
overriding system value
select c.id, c.release_id, c.episode_id, p.id, c.depth, c.user_id, c.text, c.spoiler,
       case c.fate when 'hidden' then 'hidden' when 'linked' then 'pending' when 'reported' then 'pending' else 'visible' end,
       case c.fate when 'linked' then '{links}' when 'reported' then '{reports}' else '{}' end::text[],
       c.counted, c.counted or c.replies > 0, c.replies, c.reports, c.fate <> 'linked', c.created_at,
       case when c.edited then least(c.decided_at, c.created_at + interval '5 minutes') end,
       case c.fate when 'deleted' then c.decided_at end,
       case c.fate when 'linked' then c.created_at when 'reported' then c.decided_at end
from demo_remarks c
left join demo_remarks p on p.number = c.parent
order by c.id;

-- name: fill_reviews
insert into reviews (id, release_id, user_id, rating, text, spoiler, state, held_for, counted, helpful, announced, created_at,
                     deleted_at, queued_at)
overriding system value
select id, release_id, user_id, rating, text, spoiler,
       case fate when 'hidden' then 'hidden' when 'linked' then 'pending' else 'visible' end,
       case fate when 'linked' then '{links}' else '{}' end::text[],
       counted, helpful, fate <> 'linked', created_at,
       case fate when 'deleted' then least($1::timestamptz, created_at + interval '7 days') end,
       case fate when 'linked' then created_at end
from demo_reviews
order by id;

-- name: fill_votes
-- Votes for the reviews of these numbers ($1) by these users ($2).
insert into helpful_votes (review_id, user_id, created_at)
select r.id, v.user_id, least($3::timestamptz, r.created_at + interval '1 day')
from unnest($1::integer[], $2::bigint[]) as v (number, user_id)
join demo_reviews r using (number)
order by 1, 2;

-- name: fill_reports
-- Reports of the comments of these numbers ($1) by these users ($2) for these reasons ($3). Closed where decided.
insert into reports (target_type, target_id, user_id, reason, created_at, closed_at)
select 'comment', c.id, s.user_id, s.reason, least(c.decided_at, c.created_at + interval '2 hours'),
       case c.fate when 'hidden' then c.decided_at end
from unnest($1::integer[], $2::bigint[], $3::text[]) as s (number, user_id, reason)
join demo_remarks c using (number)
order by 2, 3;

-- name: fill_decisions
-- What the moderator $1 decided by $2, and what the rules did.
insert into moderation_decisions (target_type, target_id, release_id, author_id, moderator_id, state_before, state_after,
                                  reason, held_for, created_at)
select target_type, id, release_id, user_id, case when fate <> 'reported' then $1::bigint end,
       case fate when 'approved' then 'pending' else 'visible' end,
       case fate when 'approved' then 'visible' when 'hidden' then 'hidden' else 'pending' end,
       case fate when 'hidden' then 'Against the rules of the house.' else '' end,
       case fate when 'approved' then '{links}' when 'reported' then '{reports}' else '{}' end::text[], decided_at
from (
    select 'comment' as target_type, id, release_id, user_id, fate,
           case fate when 'approved' then least($2::timestamptz, created_at + interval '2 hours') else decided_at end
               as decided_at
    from demo_remarks
    union all
    select 'review', id, release_id, user_id, fate, least($2::timestamptz, created_at + interval '2 hours') from demo_reviews
) decided
where fate in ('approved', 'hidden', 'reported')
order by decided_at, id;

-- name: fill_activity
insert into activity (actor_id, action_type, target_type, target_id, details, created_at)
select user_id, action_type, 'release', release_id, details, created_at
from (
    select user_id, case when parent = 0 then 'commented' else 'replied' end as action_type, release_id,
           jsonb_build_object('comment_id', id) as details, created_at
    from demo_remarks where counted
    union all
    select user_id, 'reviewed', release_id, jsonb_build_object('review_id', id), created_at from demo_reviews where counted
) done
order by created_at, user_id, release_id;

-- name: fill_notifications
-- Whom others answered in the ten days before $1 was told; half of it has been read.
with told as (
    insert into notification_events (type, target_type, target_id, release_id, recipient_id, data, created_at, reached, done_at)
    select 'reply', 'comment', c.id, c.release_id, p.user_id, jsonb_build_object('comment_id', c.id, 'author_id', c.user_id),
           c.created_at, 1, c.created_at
    from demo_remarks c
    join demo_remarks p on p.number = c.parent
    where c.counted and c.user_id <> p.user_id and c.created_at > $1::timestamptz - interval '10 days'
    order by c.id
    returning id, target_id, recipient_id, created_at
), received as (
    insert into notifications (user_id, event_id, created_at, read_at)
    select recipient_id, id, created_at,
           case when hashint8extended(target_id, 1) & 1 = 0 then least($1::timestamptz, created_at + interval '3 hours') end
    from told
    order by recipient_id, id
    returning user_id, created_at, read_at
)
insert into notification_budgets as b (user_id, window_start, used, unread)
select user_id, max(created_at), 1, count(*) filter (where read_at is null) from received group by user_id order by user_id
on conflict (user_id) do update set unread = b.unread + excluded.unread;

-- name: fill_stats
insert into user_stats as s (user_id, comments, reviews, last_activity_at)
select user_id, count(*) filter (where said = 'comment'), count(*) filter (where said = 'review'), max(created_at)
from (
    select user_id, 'comment' as said, created_at from demo_remarks where counted
    union all
    select user_id, 'review', created_at from demo_reviews where counted
) done
group by user_id
order by user_id
on conflict (user_id) do update
    set comments = s.comments + excluded.comments, reviews = s.reviews + excluded.reviews,
        last_activity_at = greatest(s.last_activity_at, excluded.last_activity_at);

-- name: appoint
-- Whoever decided is a moderator.
update users set role = 'moderator' where id = $1 and role = 'user';

-- name: drop_remarks
drop table if exists demo_remarks;

-- name: drop_reviews
drop table if exists demo_reviews;
