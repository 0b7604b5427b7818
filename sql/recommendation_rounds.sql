-- The recommendations of a day: who was active goes by in slices, each gets at most one release.

-- name: tops
-- What is most popular in each genre: the best $2 of it among the $1 most popular releases. Walks the index from its end.
with popular as materialized (
    select release_id, popularity_score from popularity_metrics
    order by popularity_score desc, release_id desc
    limit $1
), placed as (
    select genre_id, r.id as release_id,
           row_number() over (partition by genre_id order by p.popularity_score desc, r.id desc) as place
    from popular p
    -- Looked up one by one: the table as a whole is many times what is needed of it.
    cross join lateral (select id, genre_ids from releases where id = p.release_id and visible limit 1) r
    cross join unnest(r.genre_ids) as genre_id
    join genres g on g.id = genre_id and g.deleted_at is null
)
select genre_id, array_agg(release_id order by place) as release_ids
from placed
where place <= $2
group by genre_id;

-- name: start_round
insert into recommendation_rounds (day) values ($1) on conflict (day) do nothing;

-- name: is_open
select done_at is null from recommendation_rounds where day = $1;

-- name: lock_round
-- None if the day is done, or if another instance is at it.
select after_user from recommendation_rounds where day = $1 and done_at is null for update skip locked;

-- name: next_users
-- The next $2 users behind $1 who were here in the last 30 days, of the next $3 there are; `passed` is where to go on.
with slice as materialized (
    select user_id, last_active_at from user_presence where user_id > $1 order by user_id limit $3
), active as materialized (
    select user_id from slice where last_active_at > now() - interval '30 days' order by user_id limit $2
)
select case when (select count(*) from active) = $2 then (select max(user_id) from active)
            else (select max(user_id) from slice) end as passed,
       array(select user_id from active) as user_ids;

-- name: picks
-- One release for each of these users ($1) who want recommendations at all and have shown what they like: of the tops of
-- their heaviest five genres, what most of that weight speaks for and stands high there. Not what they keep, ignore
-- or mute, nor what was recommended within 60 days. $2, $3 and $4 are the tops: genres, releases and their places.
with tops as materialized (
    select * from unnest($2::bigint[], $3::bigint[], $4::integer[]) as t (genre_id, release_id, place)
), liked as materialized (
    select s.user_id, (genre.value ->> 'id')::bigint as genre_id, (genre.value ->> 'weight')::float8 as weight
    from user_stats s
    cross join lateral jsonb_array_elements(s.favorite_genres) with ordinality as genre (value, place)
    left join notification_preferences p on p.user_id = s.user_id
    where s.user_id = any ($1::bigint[]) and genre.place <= 5
        and (coalesce(p.in_app, 62) | coalesce(p.email_instant | p.email_daily | p.email_weekly, 0)) & 8 <> 0
), scored as materialized (
    select l.user_id, t.release_id, sum(l.weight / (t.place + 10)) as score,
           (array_agg(l.genre_id order by l.weight desc, l.genre_id))[1] as genre_id
    from liked l
    join tops t on t.genre_id = l.genre_id
    group by l.user_id, t.release_id
), candidates as (
    select user_id, array_agg(release_id order by score desc, release_id desc) as release_ids,
           array_agg(genre_id order by score desc, release_id desc) as genre_ids
    from scored
    group by user_id
)
select c.user_id, picked.release_id, picked.genre_id
from candidates c
cross join lateral (
    select u.release_id, u.genre_id
    from unnest(c.release_ids, c.genre_ids) with ordinality as u (release_id, genre_id, place)
    join releases r on r.id = u.release_id and r.visible
    where not exists (
        select from library_entries e
        where e.user_id = c.user_id and e.kind = any ('{1,2,3,4}'::smallint[]) and e.release_id = u.release_id
            and not e.deleted
    ) and u.release_id <> all (array(
        select n.release_id from notification_events n
        where n.recipient_id = c.user_id and n.type = 'recommendation' and n.release_id is not null
            and n.created_at > now() - interval '60 days'
    )) and not exists (
        select from notification_mutes m
        where m.user_id = c.user_id and case m.target_type
            when 'release' then m.target_id = r.id
            when 'genre' then m.target_id = any (r.genre_ids)
            else m.target_id = r.franchise_id end
    )
    order by u.place
    limit 1
) picked
order by c.user_id;

-- name: move_on
update recommendation_rounds set after_user = $2 where day = $1;

-- name: end_round
update recommendation_rounds set done_at = now() where day = $1;
