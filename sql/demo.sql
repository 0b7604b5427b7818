-- name: insert_users
insert into users (username, username_key, created_at)
select username, lower(username), created_at
from unnest($1::text[], $2::timestamptz[]) as invented (username, created_at)
on conflict (username_key) do nothing;

-- name: make_audience
-- What a view may be of, for this session: releases by popularity with what has aired of them, and who watches.
create temporary table demo_releases (
    rank integer primary key,
    release_id bigint not null,
    episode_ids bigint[] not null,
    last_air_at timestamptz not null,
    seconds integer not null
);

-- name: fill_releases
-- Of the first $1 releases; what has not begun is watched by nobody.
insert into demo_releases (rank, release_id, episode_ids, last_air_at, seconds)
select row_number() over (order by m.imported_popularity desc, numbered.number), r.id, e.ids, e.last_air_at, e.seconds
from (
    select release_id, case when is_number then external_id::bigint end as number
    from external_ids where source = 'demo'
) numbered
join releases r on r.id = numbered.release_id and r.visible
join popularity_metrics m on m.release_id = r.id
join (
    select release_id, array_agg(id order by ordinal) as ids, max(air_at) as last_air_at, avg(duration_seconds)::integer as seconds
    from episodes
    where deleted_at is null and air_at <= $2 and duration_seconds is not null
    group by release_id
) e on e.release_id = r.id
where numbered.number between 1 and $1;

-- name: analyze_releases
analyze demo_releases;

-- name: drop_audience
drop table if exists demo_releases;

-- name: users_of
select id from users where username_key = any ($1::text[]) order by id;

-- name: prepare_fill
-- Tables filled a moment ago have no statistics: plans are made anew each time, and sort rather than hash, which
-- keeps within its memory however many rows there are.
select set_config('work_mem', '64MB', true), set_config('plan_cache_mode', 'force_custom_plan', true),
       set_config('enable_hashagg', 'off', true);

-- name: lock_rollups
-- The locks of `sql.views.roll_up` and `sql.trends.run_pass`: while days are filled nobody else may add to them.
-- A pass that holds its own lock may wait for the rollup's, never the other way round.
select pg_advisory_xact_lock(4500047), pg_advisory_xact_lock(4500046);

-- name: days_with_views
-- Those of the days that hold views already, rolled up or not, whoever sent them.
select day from unnest($1::date[]) as asked (day)
where exists (select from view_metrics m where m.received_on = asked.day)
   or exists (select from view_days d where d.episode_id = 0 and d.day = asked.day)
order by day;

-- name: insert_views
-- The views of one day, decided by hashes of (seed, day, number) alone. $1 day, $2 seed, $3 views in each of its 24
-- hours, $4 now, $5 ids of signed-in viewers, $6 their share, $7 events a batch. Returns the batches.
with hours as (
    select $1::date::timestamp at time zone 'UTC' + (place - 1) * interval '1 hour' as hour, events,
           sum(events) over (order by place) - events as before
    from unnest($3::integer[]) with ordinality as said (events, place)
), slices as materialized (
    select slice, md5(format('demo batch %s %s %s', $2::bigint, $1::date, slice))::uuid as batch_id,
           least($7::bigint, total - slice * $7::bigint) as events,
           least($4::timestamptz, $1::date::timestamp at time zone 'UTC' + (slice + 1) * interval '1 day' * ($7::bigint / total::float8))
               as committed_at
    from (select sum(events) as total from hours) counted,
         generate_series(0, (total - 1)::bigint / $7::bigint) as slice
), made as (
    insert into view_batches (batch_id, received_on, events, committed_at)
    select batch_id, $1::date, events, committed_at from slices order by slice
    on conflict (batch_id) do nothing
    returning seq, batch_id
), batches as materialized (
    select slice, seq from slices join made using (batch_id)
), draws as (
    -- Three 64-bit hashes give six numbers between 0 and 1. OFFSET 0 keeps each from being worked out more than once.
    select number, hour,
           (a >> 32 & 4294967295) / 4294967296::double precision as by_rank,
           (a & 4294967295) / 4294967296::double precision as by_moment,
           (b >> 32 & 4294967295) / 4294967296::double precision as by_episode,
           (b & 4294967295) / 4294967296::double precision as by_viewer,
           (c >> 32 & 4294967295) / 4294967296::double precision as by_kind,
           (c & 4294967295) / 4294967296::double precision as by_completion
    from (
        select h.hour, h.before + n as number,
               hashint8extended(k.base + h.before::bigint + n, $2::bigint) as a,
               hashint8extended(k.base + h.before::bigint + n, $2::bigint + 1) as b,
               hashint8extended(k.base + h.before::bigint + n, $2::bigint + 2) as c
        from hours h
        cross join (select ($1::date - date '2000-01-01') * 4294967296 as base) k
        cross join generate_series(0, h.events - 1) as n
        offset 0
    ) hashed
), chosen as (
    -- Rank by a shifted Zipf law: a few hits, a long tail. A fifth goes to what is in fashion that day instead.
    select d.*, d.hour + d.by_moment * (least(d.hour + interval '1 hour', $4::timestamptz) - d.hour) as viewed_at,
           1 + mod(floor(5 * exp(d.by_rank * ln((s.releases + 5) / 5.0::double precision)) - 5)::integer
                   + case when d.by_kind < 0.2 then 7 * ($1::date - date '2000-01-01') else 0 end, s.releases) as rank
    from draws d
    cross join (select count(*)::integer as releases from demo_releases) s
    offset 0
), aired as (
    -- A weekly series is watched no further than it had come by then.
    select c.*, r.release_id, r.episode_ids, r.seconds,
           greatest(0, cardinality(r.episode_ids)
               - greatest(0, ceil(extract(epoch from r.last_air_at - c.viewed_at) / 604800))::integer) as episodes
    from chosen c
    join demo_releases r on r.rank = c.rank
    offset 0
), watched as (
    select a.number, a.viewed_at, a.release_id,
           case when a.episodes > 0 and a.by_kind not between 0.3 and 0.38
                then a.episode_ids[1 + floor(a.episodes * a.by_episode)::integer] end as episode_id,
           case when a.by_kind > 1 - $6::double precision and cardinality($5::bigint[]) > 0
                then -($5::bigint[])[1 + floor(cardinality($5::bigint[]) * a.by_viewer)::integer]
                else hashint8extended(floor(a.by_viewer * a.by_viewer * p.visitors)::bigint,
                                      hashint8extended($2::bigint, ($1::date - date '2000-01-01')::bigint))
                     & 9223372036854775807 end as viewer,
           a.seconds,
           case when a.by_completion < 0.55 then 90 + floor(a.by_completion * 20)
                else floor((a.by_completion - 0.55) / 0.45 * 100) end as completion
    from aired a
    cross join (select greatest(20, sum(events) / 3) as visitors from hours) p
), stored as (
    insert into view_metrics (received_on, batch_seq, event_id, release_id, episode_id, viewer, duration_seconds,
                              completion_percentage, viewed_at)
    select $1::date, b.seq, md5(format('demo view %s %s %s', $2::bigint, $1::date, w.number))::uuid, w.release_id,
           w.episode_id, w.viewer, (w.seconds * w.completion / 100)::integer, w.completion, w.viewed_at
    from watched w
    join batches b on b.slice = w.number / $7::bigint
)
select seq from batches order by seq;

-- name: roll_up_days
-- What `sql.views.roll_up` makes of these batches ($1), received and watched on days ($2 to $3) without rollups: sorted
-- inserts instead of look-ups. Several days at once, as each visit to the indexes touches all of their pages. Viewers
-- are kept from $4 on only, as by the upkeep. The totals are brought forward too, as a trending pass would that took
-- the gains of all these hours; the windows it keeps are forgotten, the next pass builds them from the rollups.
with raw as (
    select date_trunc('hour', m.viewed_at, 'UTC') as hour, m.release_id, m.episode_id, m.viewer,
           m.duration_seconds, m.completion_percentage::double precision as completion
    from view_metrics m
    where m.received_on between $2 and $3 and m.batch_seq = any ($1::bigint[])
), hourly as materialized (
    -- Narrow types: sums of bigint would be slow numerics.
    select hour, (hour at time zone 'UTC')::date as day, release_id, coalesce(episode_id, 0) as episode_id, viewer,
           count(*)::integer as views, sum(duration_seconds)::integer as watch_seconds, sum(completion) as completion_sum
    from raw
    group by grouping sets ((hour, release_id, viewer), (hour, release_id, viewer, episode_id))
    having grouping(episode_id) = 1 or episode_id is not null
), daily as materialized (
    select day, release_id, episode_id, viewer, bit_or(1 << extract(hour from hour at time zone 'UTC')::integer) as hours,
           sum(views)::integer as views, sum(watch_seconds)::integer as watch_seconds, sum(completion_sum) as completion_sum
    from hourly
    group by release_id, episode_id, viewer, day
), seen as (
    insert into view_viewers (day, release_id, episode_id, viewer, hours)
    select day, release_id, episode_id, viewer, hours
    from daily
    where day >= $4::date
    order by day, release_id, episode_id, viewer
), per_hour as (
    insert into view_hours (hour, release_id, episode_id, views, unique_viewers, watch_seconds, completion_sum, trended)
    select hour, release_id, episode_id, sum(views), count(*), sum(watch_seconds), sum(completion_sum),
           case when episode_id = 0 then sum(views) else 0 end
    from hourly
    group by episode_id, hour, release_id
    order by episode_id, hour, release_id
), per_day as (
    insert into view_days (day, release_id, episode_id, views, unique_viewers, watch_seconds, completion_sum, trended_viewers)
    select day, release_id, episode_id, sum(views), count(*), sum(watch_seconds), sum(completion_sum),
           case when episode_id = 0 then count(*) else 0 end
    from daily
    group by episode_id, day, release_id
    order by episode_id, day, release_id
), totals as (
    update popularity_metrics m set total_views = m.total_views + g.views, unique_viewers = m.unique_viewers + g.viewers
    from (select release_id, sum(views) as views, count(*) as viewers from daily where episode_id = 0 group by release_id) g
    where m.release_id = g.release_id
), forgotten as (
    delete from trend_positions
)
update view_batches set rolled_up = true where seq = any ($1::bigint[]);

-- name: refresh_scores
-- The score of every release viewed within the window of $1 hours, at hour $2: what passes of `sql.trends` come to.
update popularity_metrics m set popularity_score =
    greatest(0, (w.views * ($1::double precision - $2::double precision) + w.view_hours_sum) / $1::double precision)
    + m.imported_popularity / (m.imported_popularity + 1e6::double precision)
from trend_windows w
where w.period = 'month' and w.release_id = m.release_id;
