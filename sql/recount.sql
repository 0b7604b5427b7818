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
