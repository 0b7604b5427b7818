-- name: prepare_pass
select set_config('work_mem', '8MB', true), set_config('statement_timeout', '300s', true),
       set_config('lock_timeout', '60s', true);

-- name: lock_pass
select pg_try_advisory_xact_lock(4500047);

-- name: wait_for_rollup
-- The lock of `sql.views.roll_up`: pass and rollup update the same rows in different orders, which would be a deadlock.
-- The pass waits its turn, a rollup meanwhile does without.
select pg_advisory_xact_lock(4500046);

-- name: wal_position
-- NULL for roles or servers that may not tell; it is a metric, nothing hangs on it.
select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint;

-- name: take_touched_hours
delete from trend_touched returning hour;

-- name: positions
select period, left_before from trend_positions;

-- name: take_gains
-- Views that entered since the last pass: into the windows that still hold their hour; and by release what its totals gain
-- by them. $1 are the touched hours, $2 their days; spelled out, so that the planner sees how few of a year they are.
with changed as materialized (
    select hour, release_id, views - trended as gain
    from view_hours
    where episode_id = 0 and hour = any ($1::timestamptz[]) and views <> trended
), marked as (
    update view_hours v set trended = v.trended + c.gain
    from changed c
    where v.episode_id = 0 and v.hour = c.hour and v.release_id = c.release_id and v.hour = any ($1::timestamptz[])
), entered as (
    insert into trend_windows as w (period, release_id, views, view_hours_sum)
    select p.period, c.release_id, sum(c.gain), sum(c.gain * hour_number(c.hour))
    from changed c
    join trend_positions p on c.hour >= p.left_before
    group by p.period, c.release_id
    on conflict (period, release_id) do update set
        views = w.views + excluded.views, view_hours_sum = w.view_hours_sum + excluded.view_hours_sum
), viewers as materialized (
    select d.day, d.release_id, d.unique_viewers - d.trended_viewers as gain
    from view_days d
    where d.episode_id = 0 and d.unique_viewers <> d.trended_viewers and d.day = any ($2::date[])
), viewers_marked as (
    update view_days d set trended_viewers = d.trended_viewers + v.gain
    from viewers v
    where d.episode_id = 0 and d.day = v.day and d.release_id = v.release_id and d.day = any ($2::date[])
), gained as (
    select release_id, sum(views)::bigint as views, sum(viewers)::bigint as viewers
    from (
        select release_id, gain as views, 0 as viewers from changed
        union all
        select release_id, 0, gain from viewers
    ) both_gains
    group by release_id
)
select coalesce(array_agg(release_id), '{}') as release_ids, coalesce(array_agg(views), '{}') as views,
       coalesce(array_agg(viewers), '{}') as viewers
from gained;

-- name: let_go
-- Hours that left the window of a period since the last pass.
with gone as materialized (
    select release_id, sum(trended) as views, sum(trended * hour_number(hour)) as view_hours_sum
    from view_hours
    where episode_id = 0 and hour >= $2 and hour < $3 and trended > 0
    group by release_id
)
update trend_windows w set views = w.views - g.views, view_hours_sum = w.view_hours_sum - g.view_hours_sum
from gone g
where w.period = $1 and w.release_id = g.release_id;

-- name: forget_empty
delete from trend_windows where period = $1 and views <= 0;

-- name: set_position
insert into trend_positions (period, left_before) values ($1, $2)
on conflict (period) do update set left_before = excluded.left_before;

-- name: clear_window
delete from trend_windows where period = $1;

-- name: rebuild_window
-- From the rollups, for a first pass or one after a crash emptied the unlogged tables.
insert into trend_windows (period, release_id, views, view_hours_sum)
select $1, release_id, sum(trended), sum(trended * hour_number(hour))
from view_hours
where episode_id = 0 and hour >= $2 and trended > 0
group by release_id;

-- name: top
-- Linear decay: a view of age a weighs 1 - a/W, hence sum(v) * (W - now) / W + sum(v * hour) / W, in hours.
-- Only the best $5 are looked at, NULL for all, before the invisible ones drop out.
select t.release_id, t.score
from (
    select w.release_id,
           (w.views * ($2::double precision - $3::double precision) + w.view_hours_sum) / $2::double precision as score
    from trend_windows w
    where w.period = $1 and w.views > 0
    order by score desc, w.release_id desc
    limit $5
) t
join releases r on r.id = t.release_id and r.visible
where t.score > 0
order by t.score desc, t.release_id desc
limit $4;

-- name: fill
-- What stands below the viewed ones: imported popularity, then the newest.
select m.release_id, 0::double precision as score
from popularity_metrics m
join releases r on r.id = m.release_id and r.visible
where m.release_id <> all ($1::bigint[])
order by m.imported_popularity desc, m.release_id desc
limit $2;

-- name: store_list
insert into trending_lists (period, computed_at, release_ids, scores) values ($1, $2, $3, $4)
on conflict (period) do update set
    computed_at = excluded.computed_at, release_ids = excluded.release_ids, scores = excluded.scores;

-- name: write_numbers
-- The totals of releases that gained views ($1, with how many views $6 and viewers $7), and the stored score of these, of
-- the top, of those that dropped out of it, and of a slice of neighbours each pass, so that the score of a release nobody
-- views any more decays too, within a day. In one statement, which takes the rows in the order of their ids: what counts
-- ratings and what imports does so too, and never waits for a pass in a ring.
with slice as (
    select m.release_id from popularity_metrics m
    where m.release_id > (select last_release_id from trend_refresh)
    order by m.release_id
    limit $5
), gained as (
    select release_id, views, viewers
    from unnest($1::bigint[], $6::bigint[], $7::bigint[]) as g (release_id, views, viewers)
), wanted as (
    select release_id from slice
    union select release_id from gained
    union select unnest($2::bigint[])
    union select release_id from popularity_metrics where rank is not null
), ranked as (
    select release_id, position::integer as rank from unnest($2::bigint[]) with ordinality as r (release_id, position)
), taken as (
    select m.release_id, f.score, ranked.rank, coalesce(g.views, 0) as views, coalesce(g.viewers, 0) as viewers
    from wanted
    join popularity_metrics m on m.release_id = wanted.release_id
    left join ranked on ranked.release_id = m.release_id
    left join gained g on g.release_id = m.release_id
    left join lateral (
        -- There is at most one; the planner is to know it.
        select views, view_hours_sum from trend_windows where period = 'month' and release_id = m.release_id limit 1
    ) w on true
    cross join lateral (
        select greatest(0, coalesce((w.views * ($3::double precision - $4::double precision) + w.view_hours_sum) / $3::double precision, 0))
                   + m.imported_popularity / (m.imported_popularity + 1e6::double precision) as score
    ) f
    -- A score that moved by less than half a percent is not worth a write.
    where m.rank is distinct from ranked.rank or abs(m.popularity_score - f.score) > 0.005 * greatest(f.score, 0.001)
        or g.views <> 0 or g.viewers <> 0
    order by m.release_id
    for no key update of m
), moved as (
    update trend_refresh set last_release_id = coalesce(
        (select max(release_id) from slice having count(*) = $5), 0)
)
update popularity_metrics m set
    total_views = m.total_views + t.views, unique_viewers = m.unique_viewers + t.viewers,
    popularity_score = t.score, rank = t.rank
from taken t
where m.release_id = t.release_id;

-- name: stored_lists
select period, computed_at, release_ids, scores from trending_lists;

-- name: trending_page
-- The documents of these releases, in this order.
select release_json(d.document, m) as release
from unnest($1::bigint[]) with ordinality as wanted (release_id, position)
join release_documents d on d.release_id = wanted.release_id
join releases r on r.id = wanted.release_id and r.visible
left join popularity_metrics m on m.release_id = wanted.release_id
order by wanted.position;

-- name: trending_of
-- Those of a top ($1) that carry all of the genres $2 and none of $3, in its order.
select t.id
from unnest($1::bigint[]) with ordinality as t (id, place)
join releases r on r.id = t.id and r.visible
where r.genre_ids @> $2::bigint[] and not r.genre_ids && $3::bigint[]
order by t.place;

-- name: popular_of
-- Of the $4 most popular releases those that carry all of the genres $1 and none of $2 and are not among $3; $5 of them.
select r.id
from (
    select release_id, popularity_score from popularity_metrics
    order by popularity_score desc, release_id desc
    limit $4
) p
cross join lateral (select id, genre_ids from releases where id = p.release_id and visible limit 1) r
where r.genre_ids @> $1::bigint[] and not r.genre_ids && $2::bigint[] and r.id <> all ($3::bigint[])
order by p.popularity_score desc, r.id desc
limit $5;

-- name: window_top
-- Most viewed releases of a window, views undecayed; $3 as in `top`.
select w.release_id, r.slug, r.title, w.views
from (
    select release_id, views from trend_windows where period = $1 and views > 0
    order by views desc, release_id desc limit $3
) w
join releases r on r.id = w.release_id and r.visible
order by w.views desc, w.release_id desc
limit $2;

-- name: window_genres
select g.id, g.name, g.slug, sum(w.views)::bigint as views
from trend_windows w
join releases r on r.id = w.release_id and r.visible
cross join unnest(r.genre_ids) as genre_id
join genres g on g.id = genre_id and g.deleted_at is null
where w.period = $1 and w.views > 0
group by g.id
order by views desc, g.id
limit $2;

-- name: all_time_top
select m.release_id, r.slug, r.title, m.total_views as views
from popularity_metrics m
join releases r on r.id = m.release_id and r.visible
where m.total_views > 0
order by m.total_views desc, m.release_id desc
limit $1;

-- name: all_time_genres
select g.id, g.name, g.slug, sum(m.total_views)::bigint as views
from popularity_metrics m
join releases r on r.id = m.release_id and r.visible
cross join unnest(r.genre_ids) as genre_id
join genres g on g.id = genre_id and g.deleted_at is null
where m.total_views > 0
group by g.id
order by views desc, g.id
limit $1;
