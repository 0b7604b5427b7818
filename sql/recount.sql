-- name: release_ids
-- The next releases behind $1 that have numbers.
select release_id as id from popularity_metrics where release_id > $1 order by release_id limit $2::integer;

-- name: days_are_whole
-- Whether rollups by day reach back to the first view: none can be older than the database.
select coalesce(min(applied_at) > now() - $1::interval, false) from schema_migrations;

-- name: mend_views
-- The views and viewers of these releases by the rollups of their days, less what no trending pass has taken up yet.
with counted as (
    select release_id, sum(views) as views, sum(trended_viewers) as viewers
    from view_days
    where release_id = any ($1::bigint[]) and episode_id = 0
    group by release_id
), waiting as (
    select release_id, sum(views - trended) as views
    from view_hours
    where release_id = any ($1::bigint[]) and episode_id = 0 and views <> trended
    group by release_id
), differing as materialized (
    select m.release_id, array[m.total_views, m.unique_viewers] as stored, e.expected
    from popularity_metrics m
    left join counted c on c.release_id = m.release_id
    left join waiting w on w.release_id = m.release_id
    cross join lateral (
        select array[coalesce(c.views, 0) - coalesce(w.views, 0), coalesce(c.viewers, 0)]::bigint[] as expected
    ) e
    where m.release_id = any ($1::bigint[]) and array[m.total_views, m.unique_viewers] <> e.expected
    order by m.release_id
    for no key update of m
), mended as (
    update popularity_metrics m set total_views = d.expected[1], unique_viewers = d.expected[2]
    from differing d
    where m.release_id = d.release_id
)
select d.release_id as id, counter.name, d.stored[counter.place] as stored, d.expected[counter.place] as expected
from differing d
cross join unnest(array['total_views', 'unique_viewers']) with ordinality as counter (name, place)
where d.stored[counter.place] <> d.expected[counter.place]
order by d.release_id, counter.place;

-- name: mend_totals
-- How many visible releases there are.
with differing as materialized (
    select t.name, t.total as stored, counted.total as expected
    from catalogue_totals t
    cross join (select count(*) as total from releases where visible) counted
    where t.name = 'releases' and t.total <> counted.total
), mended as (
    update catalogue_totals t set total = d.expected from differing d where t.name = d.name
)
select 0::bigint as id, name, stored, expected from differing;

-- name: budget_ids
-- The next users behind $1 who were ever told of something.
select user_id as id from notification_budgets where user_id > $1 order by user_id limit $2::integer;

-- name: mend_budgets
-- What is unread and what waits for the next hour, by the rows themselves.
with counted as (
    select b.user_id, b.unread, b.held,
           (select count(*) from notifications n where n.user_id = b.user_id and n.read_at is null)::integer as unread_rows,
           (select count(*) from held_notifications h where h.user_id = b.user_id)::integer as held_rows
    from notification_budgets b
    where b.user_id = any ($1::bigint[])
), differing as materialized (
    select * from counted where (unread, held) <> (unread_rows, held_rows)
), mended as (
    update notification_budgets b set unread = d.unread_rows, held = d.held_rows
    from differing d
    where b.user_id = d.user_id
)
select d.user_id as id, counter.name, counter.stored::bigint as stored, counter.expected::bigint as expected
from differing d
cross join lateral (values ('unread', d.unread, d.unread_rows), ('held', d.held, d.held_rows)) counter (name, stored, expected)
where counter.stored <> counter.expected
order by d.user_id, counter.name;
