-- name: record
-- What happened, in its order: parallel arrays. The same act of the same actor on the same target within $7 of one that
-- is stored only brings that one's details up to date. Whoever has been erased meanwhile is left out. What happened to a
-- release or an episode is filed under the release, its genres and its franchise.
with said as materialized (
    select *
    from unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::jsonb[], $6::timestamptz[])
        with ordinality as s (actor_id, action_type, target_type, target_id, details, created_at, place)
), living as materialized (
    select id from users where id = any (array(select actor_id from said where actor_id is not null)) order by id for key share
), known as materialized (
    select s.*, (
        select a.seq
        from activity a
        where a.target_id = s.target_id and a.action_type = s.action_type
          and a.created_at > s.created_at - $7::interval and a.created_at < s.created_at + $7::interval
          and a.target_type = s.target_type and a.actor_id is not distinct from s.actor_id
        order by a.seq desc
        limit 1
    ) as seq
    from said s
), brought_up as (
    update activity a set details = k.details
    from (select distinct on (seq) seq, details from known where seq is not null order by seq, place desc) k
    where a.seq = k.seq and a.details <> k.details
), fresh as (
    insert into activity (actor_id, action_type, target_type, target_id, details, created_at)
    select actor_id, action_type, target_type, target_id, details, created_at
    from known
    where seq is null and (actor_id is null or actor_id in (select id from living))
    order by place
    returning seq, actor_id, target_type, target_id, details
), catalogued as materialized (
    select f.seq, r.id, r.genre_ids, r.franchise_id
    from fresh f
    join releases r on r.id = case f.target_type when 'release' then f.target_id
                                                 when 'episode' then (f.details ->> 'release_id')::bigint end
    where f.actor_id is null
)
insert into activity_topics (topic_type, topic_id, seq)
select topic_type, topic_id, seq
from (
    select 1::smallint as topic_type, id as topic_id, seq from catalogued
    union
    select 2, genre_id, seq from catalogued cross join unnest(genre_ids) as genre_id
    union
    select 3, franchise_id, seq from catalogued where franchise_id is not null
) topics
order by topic_type, topic_id, seq;

-- name: feed
-- The next $3 entries before $2 of what this user did and of what happened to what they follow. Each target is asked for
-- its newest entry; only those with the $3 newest of these can have a place on the page, and are asked for more. Each
-- question is a probe of an index.
with followed as materialized (
    select case subscription_type when 'release' then 1 when 'genre' then 2 else 3 end::smallint as topic_type,
           target_id as topic_id
    from subscriptions
    where user_id = $1 and deleted_at is null
), lively as materialized (
    -- An entry may be the newest of several targets: entries are counted, not targets.
    select topic_type, topic_id, dense_rank() over (order by newest.seq desc) as place
    from followed f
    cross join lateral (
        select t.seq
        from activity_topics t
        where t.topic_type = f.topic_type and t.topic_id = f.topic_id and t.seq < $2::bigint
        order by t.seq desc
        limit 1
    ) newest
)
select seq
from (
    (select seq from activity where actor_id = $1 and seq < $2::bigint order by seq desc limit $3::integer)
    union
    select latest.seq
    from lively l
    cross join lateral (
        select t.seq
        from activity_topics t
        where t.topic_type = l.topic_type and t.topic_id = l.topic_id and t.seq < $2::bigint
        order by t.seq desc
        limit $3::integer
    ) latest
    where l.place <= $3::integer
) candidates
order by seq desc
limit $3::integer;

-- name: of_user
-- The next $3 entries before $2 of what a user did.
select seq from activity where actor_id = $1 and seq < $2::bigint order by seq desc limit $3::integer;

-- name: count_of_user
-- How many there are of a user, up to $2.
select count(*) from (select from activity where actor_id = $1 limit $2::integer) counted;

-- name: extent
-- The oldest and the newest entry there is.
select coalesce(min(seq), 0) as oldest, coalesce(max(seq), 0) as newest from activity;

-- name: show
-- Entries with what their targets are called now. A target that is gone, or hidden, has no title.
select a.seq, a.id::text as id, a.actor_id, u.username as actor, a.action_type, a.target_type, a.target_id, a.details,
       coalesce(r.title, g.name, f.name, t.username) as title, coalesce(r.slug, g.slug, f.slug) as slug,
       trim_scale(e.ordinal)::text as ordinal, a.created_at
from activity a
left join users u on u.id = a.actor_id
left join episodes e on a.target_type = 'episode' and e.id = a.target_id and e.deleted_at is null
left join releases r on r.visible
    and r.id = case a.target_type when 'release' then a.target_id when 'episode' then e.release_id end
left join genres g on a.target_type = 'genre' and g.id = a.target_id and g.deleted_at is null
left join franchises f on a.target_type = 'franchise' and f.id = a.target_id and f.deleted_at is null
left join users t on a.target_type = 'user' and t.id = a.target_id
where a.seq = any ($1::bigint[])
order by a.seq desc;

-- name: visibility
select is_public from users where id = $1;
