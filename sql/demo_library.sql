-- name: without_library
-- Those of the users who keep nothing yet, with the number that stands for each in what is drawn.
select u.id as user_id, k.number::integer as number
from unnest($1::text[]) with ordinality as k (username_key, number)
join users u using (username_key)
where not exists (select from user_revisions r where r.user_id = u.id)
order by u.id;

-- name: make_picks
-- What each user ($1, numbered $2) keeps of what demo_releases holds: up to forty titles by a shifted Zipf law, decided
-- by hashes of (seed $3, user, pick) alone, none later than $4.
create temporary table demo_picks as
with drawn as (
    select p.user_id, n as pick, hashint8extended(p.number::bigint * 4096 + n, $3::bigint) as a,
           hashint8extended(p.number::bigint * 4096 + n, $3::bigint + 1) as b
    from unnest($1::bigint[], $2::integer[]) as p (user_id, number)
    cross join lateral generate_series(1, 8 + (hashint8extended(p.number::bigint, $3::bigint) & 31)::integer) as n
), chosen as (
    select d.*, 1 + least(s.releases - 1, floor(
               5 * exp((d.a & 1048575) / 1048576.0::double precision * ln((s.releases + 5) / 5.0::double precision)) - 5
           )::integer) as rank
    from drawn d
    cross join (select count(*)::integer as releases from demo_releases) s
)
select distinct on (c.user_id, r.release_id) c.user_id, r.release_id, r.episode_ids, r.seconds,
       -- one planned, one watching, two completed, postponed and dropped the rest
       (array[1, 1, 2, 2, 3, 3, 3, 3, 4, 5])[1 + (c.b & 1023)::integer % 10] as collection,
       (c.b >> 10 & 3) = 0 as favorite,
       case when (c.b >> 12 & 1) = 1 then 4 + ((c.b >> 13 & 63) % 7)::integer end as rating,
       ((c.b >> 20 & 255) / 256.0::double precision) as part,
       $4::timestamptz - ((c.b >> 28 & 65535) / 65536.0::double precision) * interval '60 days' as moment
from chosen c
join demo_releases r on r.rank = c.rank
order by c.user_id, r.release_id, c.pick;

-- name: start_revisions
insert into user_revisions (user_id, revision) select distinct user_id, 1 from demo_picks order by 1;

-- name: fill_entries
insert into library_entries (user_id, kind, release_id, value, changed_at, updated_at, revision)
select user_id, 2, release_id, collection, moment, moment, 1 from demo_picks
union all
select user_id, 1, release_id, 0, moment, moment, 1 from demo_picks where favorite
union all
select user_id, 3, release_id, rating, moment, moment, 1 from demo_picks where rating is not null and collection <> 1
order by 1, 2, 3;

-- name: fill_progress
-- Everything of what is completed, a part of what is being watched, a little of what was dropped; the last of those
-- is half seen.
insert into progress (user_id, episode_id, release_id, position_seconds, completed, watched_seconds, changed_at, updated_at, revision)
select user_id, episode_id, release_id, seconds, completed, seconds, moment, moment, 1
from (
    select s.user_id, e.id as episode_id, s.release_id,
           case when s.collection = 3 or w.place < s.seen then coalesce(e.duration_seconds, s.seconds) else s.seconds / 2 end as seconds,
           s.collection = 3 or w.place < s.seen as completed,
           s.moment + w.place * interval '25 minutes' - s.seen * interval '25 minutes' as moment
    from (
        select p.*, case collection
                   when 3 then cardinality(episode_ids)
                   when 1 then 0
                   else ceil(cardinality(episode_ids) * part * case collection when 5 then 0.3 else 0.8 end)::integer
               end as seen
        from demo_picks p
    ) s
    cross join lateral unnest(s.episode_ids[1:s.seen]) with ordinality as w (episode_id, place)
    join episodes e on e.id = w.episode_id
) watched
order by user_id, episode_id;

-- name: fill_subscriptions
insert into subscriptions (user_id, subscription_type, target_id, created_at, revision)
select user_id, 'release', release_id, moment, 1 from demo_picks where favorite and collection = 2
on conflict do nothing;

-- name: fill_genre_subscriptions
-- Everybody with a favourite follows the first genre of one of them.
insert into subscriptions (user_id, subscription_type, target_id, created_at, revision)
select distinct on (p.user_id) p.user_id, 'genre', r.genre_ids[1], p.moment, 1
from demo_picks p
join releases r on r.id = p.release_id
where p.favorite and cardinality(r.genre_ids) > 0
order by p.user_id, p.moment, p.release_id
on conflict do nothing;

-- name: fill_notifications
-- What followers were told of in the thirty days before $1: the last two episodes of what they follow, half of it read.
with aired as (
    select e.id, e.release_id, e.air_at
    from (select distinct release_id from demo_picks where favorite and collection = 2) followed
    cross join lateral (
        select id, release_id, air_at
        from episodes
        where release_id = followed.release_id and deleted_at is null
          and air_at > $1::timestamptz - interval '30 days' and air_at <= $1
        order by ordinal desc
        limit 2
    ) e
), told as (
    insert into notification_events (type, target_type, target_id, release_id, created_at, reached, done_at)
    select 'new_episode', 'episode', a.id, a.release_id, a.air_at,
           (select count(*) from demo_picks p
            where p.favorite and p.collection = 2 and p.release_id = a.release_id and p.moment < a.air_at), a.air_at
    from aired a
    order by a.air_at, a.id
    returning id, release_id, created_at
), received as (
    insert into notifications (user_id, event_id, created_at, read_at)
    select p.user_id, t.id, t.created_at,
           case when hashint8extended(p.user_id, t.id) & 1 = 0 then t.created_at + interval '2 hours' end
    from told t
    join demo_picks p on p.favorite and p.collection = 2 and p.release_id = t.release_id and p.moment < t.created_at
    order by p.user_id, t.id
    returning user_id, created_at, read_at
)
insert into notification_budgets (user_id, window_start, used, unread)
select user_id, max(created_at), 1, count(*) filter (where read_at is null) from received group by user_id order by user_id;

-- name: fill_activity
insert into activity (actor_id, action_type, target_type, target_id, details, created_at)
select user_id, action_type, 'release', release_id, details, moment
from (
    select user_id, 'favorited' as action_type, release_id, '{}'::jsonb as details, moment from demo_picks where favorite
    union all
    select user_id, 'completed', release_id, '{}', moment from demo_picks where collection = 3
    union all
    select user_id, 'rated', release_id, jsonb_build_object('rating', rating), moment + interval '1 minute'
    from demo_picks where rating is not null and collection <> 1
) done
order by moment, user_id, release_id;

-- name: fill_counts
-- What releases gain by it.
update popularity_metrics m
set favorites = m.favorites + g.favorites,
    rating_count = m.rating_count + g.ratings,
    rating_sum = m.rating_sum + g.rating_sum,
    average_rating = coalesce((m.rating_sum + g.rating_sum)::real / nullif(m.rating_count + g.ratings, 0), 0)
from (
    select release_id, count(*) filter (where favorite) as favorites, count(rating) filter (where collection <> 1) as ratings,
           coalesce(sum(rating) filter (where collection <> 1), 0) as rating_sum
    from demo_picks
    group by release_id
) g
where m.release_id = g.release_id;

-- name: fill_ratings
-- As `rate` in search_documents.sql, for everything that was rated here.
update search_documents d
set rating = case when m.rating_count > 0 then floor(m.average_rating)::smallint end, changed = pg_current_xact_id()
from popularity_metrics m
where m.release_id = d.release_id and d.release_id in (select release_id from demo_picks where rating is not null)
  and d.rating is distinct from case when m.rating_count > 0 then floor(m.average_rating)::smallint end;

-- name: start_stats
insert into user_stats (user_id) select distinct user_id from demo_picks order by 1;

-- name: drop_picks
drop table if exists demo_picks;
