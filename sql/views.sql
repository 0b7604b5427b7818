-- name: commit_batch
-- One round trip, one transaction. A batch sent twice under one id finds its own row and stores nothing.
-- The planner knows nothing of the arrays' lengths: lookups are written so that only an index probe or a hash can
-- serve them (`in (…)` inside an expression becomes a hashed subplan, never a nested loop over the batch).
with batch as (
    insert into view_batches (batch_id, received_on, events)
    values ($1, current_date, cardinality($2::uuid[]))
    on conflict (batch_id) do nothing
    returning seq, received_on
), checked as (
    select i.*, b.seq, b.received_on,
        case
            when r.id is null then 2
            when i.episode_id is not null and e.id is null then 3
            when i.viewed_at < now() - interval '7 days' or i.viewed_at > now() + interval '5 minutes' then 4
            else 0
        end as fault
    from batch b
    cross join unnest($2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[], $6::integer[], $7::real[], $8::timestamptz[], $9::text[])
        with ordinality as i (event_id, release_id, episode_id, viewer, duration_seconds, completion_percentage, viewed_at, reason, position)
    left join releases r on r.id = i.release_id and r.visible
    left join episodes e on e.id = i.episode_id and e.release_id = i.release_id and e.deleted_at is null
), ranked as materialized (
    select *, row_number() over (partition by event_id, fault <> 0 order by position) as occurrence from checked
), fresh as (
    insert into view_receipts (received_on, event_id)
    select s.received_on, s.event_id
    from ranked s
    where s.fault = 0 and s.occurrence = 1
      and not exists (
          select from view_receipts old
          where old.event_id = s.event_id and old.received_on between current_date - 2 and current_date - 1
      )
    on conflict do nothing
    returning event_id
), counted as (
    insert into view_metrics (received_on, batch_seq, event_id, release_id, episode_id, viewer, duration_seconds, completion_percentage, viewed_at)
    select received_on, seq, event_id, release_id, episode_id, viewer, duration_seconds, completion_percentage, coalesce(viewed_at, now())
    from ranked
    where fault = 0 and occurrence = 1 and reason is null and (event_id in (select event_id from fresh)) is true
), filtered as (
    insert into view_filtered (received_on, event_id, release_id, episode_id, reason)
    select received_on, event_id, release_id, episode_id, reason
    from ranked
    where fault = 0 and occurrence = 1 and reason is not null and (event_id in (select event_id from fresh)) is true
)
select
    (select seq from batch) as seq,
    coalesce(array_agg(position::integer - 1 order by position) filter (where outcome <> 0), '{}') as positions,
    coalesce(array_agg(outcome order by position) filter (where outcome <> 0), '{}') as outcomes
from (
    select position,
        case
            when fault <> 0 then fault
            when occurrence > 1 or (event_id in (select event_id from fresh)) is not true then 1
            when reason is not null then 5
            else 0
        end as outcome
    from ranked
) judged;

-- name: replayed_outcomes
-- What became of a batch that was committed although its answer was lost.
select
    b.seq,
    coalesce(array_agg(i.position::integer - 1 order by i.position) filter (where i.outcome <> 0), '{}') as positions,
    coalesce(array_agg(i.outcome order by i.position) filter (where i.outcome <> 0), '{}') as outcomes
from view_batches b
cross join lateral (
    select t.position,
        case
            when t.occurrence = 1 and t.event_id in (select m.event_id from view_metrics m
                                                     where m.received_on = b.received_on and m.batch_seq = b.seq) then 0
            when t.reason is not null then 5
            when not exists (select from releases r where r.id = t.release_id and r.visible) then 2
            when t.episode_id is not null
                and not exists (select from episodes e where e.id = t.episode_id and e.release_id = t.release_id and e.deleted_at is null) then 3
            when t.viewed_at < b.committed_at - interval '7 days' or t.viewed_at > b.committed_at + interval '5 minutes' then 4
            else 1
        end as outcome
    from (
        select u.*, row_number() over (partition by u.event_id order by u.position) as occurrence
        from unnest($2::uuid[], $3::bigint[], $4::bigint[], $5::timestamptz[], $6::text[])
            with ordinality as u (event_id, release_id, episode_id, viewed_at, reason, position)
    ) t
) i
where b.batch_id = $1
group by b.seq;

-- name: prepare_rollup
-- The rollup aggregates tens of thousands of rows and probes by key; hash or merge joins would read whole days.
select set_config('work_mem', '16MB', true), set_config('enable_hashjoin', 'off', true),
       set_config('enable_mergejoin', 'off', true), set_config('statement_timeout', '30s', true);

-- name: lock_rollup
select pg_try_advisory_xact_lock(4500046);

-- name: take_batches
-- Batches not yet rolled up, oldest first, up to about $1 events. A flag, not a watermark: sequence order is not
-- commit order, and a batch that commits late is simply still unflagged.
update view_batches set rolled_up = true
where seq in (
    select seq from (
        select seq, sum(events) over (order by seq) - events as before
        from (select seq, events from view_batches where not rolled_up order by seq limit 5000) waiting
    ) ordered
    where before < $1
)
returning seq, received_on, events;

-- name: roll_up
-- Adds the events of these batches to every rollup, in the transaction that flags the batches: exactly once.
with raw as materialized (
    select date_trunc('hour', m.viewed_at, 'UTC') as hour, m.release_id, m.episode_id, m.viewer,
           m.duration_seconds, m.completion_percentage
    from view_metrics m
    where m.received_on between $2 and $3 and m.batch_seq = any ($1::bigint[])
), scoped as (
    select hour, release_id, 0::bigint as episode_id, viewer,
           count(*) as views, sum(duration_seconds) as watch_seconds, sum(completion_percentage::double precision) as completion_sum
    from raw group by hour, release_id, viewer
    union all
    select hour, release_id, episode_id, viewer,
           count(*), sum(duration_seconds), sum(completion_percentage::double precision)
    from raw where episode_id is not null group by hour, release_id, episode_id, viewer
), known as materialized (
    select s.*, (s.hour at time zone 'UTC')::date as day,
           1 << extract(hour from s.hour at time zone 'UTC')::integer as bit, v.hours as before
    from scoped s
    left join view_viewers v
        on v.release_id = s.release_id and v.episode_id = s.episode_id and v.viewer = s.viewer
       and v.day = (s.hour at time zone 'UTC')::date
), seen as (
    insert into view_viewers as stored (day, release_id, episode_id, viewer, hours)
    select day, release_id, episode_id, viewer, bit_or(bit)
    from known
    where before is null or before & bit = 0
    group by day, release_id, episode_id, viewer
    on conflict (release_id, episode_id, viewer, day) do update set hours = stored.hours | excluded.hours
), per_hour as (
    insert into view_hours as stored (hour, release_id, episode_id, views, unique_viewers, watch_seconds, completion_sum)
    select hour, release_id, episode_id, sum(views), count(*) filter (where before is null or before & bit = 0),
           sum(watch_seconds), sum(completion_sum)
    from known
    group by episode_id, hour, release_id
    on conflict (episode_id, hour, release_id) do update set
        views = stored.views + excluded.views,
        unique_viewers = stored.unique_viewers + excluded.unique_viewers,
        watch_seconds = stored.watch_seconds + excluded.watch_seconds,
        completion_sum = stored.completion_sum + excluded.completion_sum
), per_day as (
    insert into view_days as stored (day, release_id, episode_id, views, unique_viewers, watch_seconds, completion_sum)
    select day, release_id, episode_id, sum(views), count(distinct viewer) filter (where before is null),
           sum(watch_seconds), sum(completion_sum)
    from known
    group by episode_id, day, release_id
    on conflict (episode_id, day, release_id) do update set
        views = stored.views + excluded.views,
        unique_viewers = stored.unique_viewers + excluded.unique_viewers,
        watch_seconds = stored.watch_seconds + excluded.watch_seconds,
        completion_sum = stored.completion_sum + excluded.completion_sum
), touched as (
    -- The update locks the row, so that a trending pass that would delete it waits for this commit.
    insert into trend_touched as stored (hour) select distinct hour from raw
    on conflict (hour) do update set hour = stored.hour
)
select count(*) as events from raw;

-- name: waiting_events
-- Committed events not yet rolled up.
select coalesce(sum(events), 0)::bigint from view_batches where not rolled_up;

-- name: ensure_salt
-- The salt of a day; the first to ask makes it, everyone gets the same.
insert into viewer_salts (day, salt) values ($1, $2)
on conflict (day) do update set day = excluded.day
returning salt;

-- name: destroy_salts
delete from viewer_salts where day < $1;

-- name: trim_batches
-- A batch is looked up by its id for as long as its request may be repeated; four days are ample.
delete from view_batches where seq in (
    select seq from view_batches where rolled_up and committed_at < now() - interval '4 days' order by seq limit 10000
);

-- name: make_partitions
select make_partitions($1, $2, $3, $4);

-- name: drop_partitions
select drop_partitions($1, $2, $3);

