-- name: commit_batch
-- One round trip, one transaction. A batch sent twice under one id finds its own row and stores nothing.
-- The planner knows nothing of the arrays' lengths: lookups are written so that only an index probe or a hash can
-- serve them (`in (…)` inside an expression becomes a hashed subplan, never a nested loop over the batch).
with batch as (
    -- A transaction of yesterday may still be about to commit. In the first minute of a day ids are therefore put into
    -- yesterday's ledger too, where the unique index makes the two wait for each other.
    insert into view_batches (batch_id, received_on, events)
    values ($1, current_date, cardinality($2::uuid[]))
    on conflict (batch_id) do nothing
    returning seq, received_on, localtime < time '00:01' as after_midnight
), checked as (
    select i.*, b.seq, b.received_on, b.after_midnight,
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
), earlier as (
    insert into view_receipts (received_on, event_id)
    select received_on - 1, event_id
    from ranked
    where after_midnight and fault = 0 and occurrence = 1
    order by event_id
    on conflict do nothing
    returning event_id
), fresh as (
    -- In order of the ids, so that two batches with the same ones wait for each other and never in a ring.
    insert into view_receipts (received_on, event_id)
    select s.received_on, s.event_id
    from ranked s
    where s.fault = 0 and s.occurrence = 1
      and case when s.after_midnight then (s.event_id in (select event_id from earlier)) is true else true end
      and not exists (
          select from view_receipts old
          where old.event_id = s.event_id and old.received_on between current_date - 2 and current_date - 1
      )
    order by s.event_id
    on conflict do nothing
    returning event_id
), judged as materialized (
    select *,
        case
            when fault <> 0 then fault
            when occurrence > 1 or (event_id in (select event_id from fresh)) is not true then 1
            when reason is not null then 5
            else 0
        end as outcome
    from ranked
), counted as (
    insert into view_metrics (received_on, batch_seq, event_id, release_id, episode_id, viewer, duration_seconds, completion_percentage, viewed_at)
    select received_on, seq, event_id, release_id, episode_id, viewer, duration_seconds, completion_percentage, coalesce(viewed_at, now())
    from judged
    where outcome = 0
), filtered as (
    insert into view_filtered (received_on, event_id, release_id, episode_id, reason)
    select received_on, event_id, release_id, episode_id, reason
    from judged
    where outcome = 5
), summary as materialized (
    select (select seq from batch) as seq,
           coalesce(array_agg(position::integer - 1 order by position) filter (where outcome <> 0), '{}') as positions,
           coalesce(array_agg(outcome order by position) filter (where outcome <> 0), '{}') as outcomes
    from judged
), kept as (
    insert into view_batch_outcomes (seq, positions, outcomes)
    select seq, positions, outcomes from summary where positions <> '{}'
)
select seq, positions, outcomes from summary;

-- name: replayed_outcomes
-- What became of a batch that was committed although its answer was lost.
select b.seq, coalesce(o.positions, '{}') as positions, coalesce(o.outcomes, '{}') as outcomes
from view_batches b
left join view_batch_outcomes o on o.seq = b.seq
where b.batch_id = $1;

-- name: prepare_rollup
-- The rollup aggregates tens of thousands of rows and probes by key; hash or merge joins would read whole days.
select set_config('work_mem', '16MB', true), set_config('enable_hashjoin', 'off', true),
       set_config('enable_mergejoin', 'off', true), set_config('enable_seqscan', 'off', true), set_config('statement_timeout', '30s', true);

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
-- Adds the events of these batches to every rollup, in the transaction that flags the batches: exactly once. Nobody
-- else writes view_viewers under the lock, hence its plain insert. Rows go in by key order: that keeps to few pages.
with raw as materialized (
    select date_trunc('hour', m.viewed_at, 'UTC') as hour, m.release_id, m.episode_id, m.viewer,
           m.duration_seconds, m.completion_percentage
    from view_metrics m
    where m.received_on between $2 and $3 and m.batch_seq = any ($1::bigint[])
), scoped as (
    -- Sums as integer and double: exact up to 2^53 and several times faster than numeric.
    select hour, release_id, 0::bigint as episode_id, viewer, count(*)::integer as views,
           sum(duration_seconds)::double precision as watch_seconds, sum(completion_percentage::double precision) as completion_sum
    from raw group by hour, release_id, viewer
    union all
    select hour, release_id, episode_id, viewer, count(*)::integer,
           sum(duration_seconds)::double precision, sum(completion_percentage::double precision)
    from raw where episode_id is not null group by hour, release_id, episode_id, viewer
), numbered as (
    select s.*, d.day, 1 << extract(hour from s.hour at time zone 'UTC')::integer as bit,
           row_number() over (partition by s.release_id, s.episode_id, s.viewer, d.day order by s.hour) as nth_of_day
    from scoped s
    cross join lateral (select (s.hour at time zone 'UTC')::date as day) d
), known as materialized (
    select n.*, v.hours as before
    from numbered n
    left join view_viewers v
        on v.release_id = n.release_id and v.episode_id = n.episode_id and v.viewer = n.viewer and v.day = n.day
), seen_first as (
    insert into view_viewers (day, release_id, episode_id, viewer, hours)
    select day, release_id, episode_id, viewer, bit_or(bit)
    from known
    where before is null
    group by release_id, episode_id, viewer, day
    order by release_id, episode_id, viewer, day
), seen_again as (
    update view_viewers v set hours = v.hours | k.bits
    from (
        select day, release_id, episode_id, viewer, bit_or(bit) as bits
        from known
        where before & bit = 0
        group by day, release_id, episode_id, viewer
    ) k
    where v.release_id = k.release_id and v.episode_id = k.episode_id and v.viewer = k.viewer and v.day = k.day
), per_hour as (
    insert into view_hours as stored (hour, release_id, episode_id, views, unique_viewers, watch_seconds, completion_sum)
    select hour, release_id, episode_id, sum(views), count(*) filter (where before is null or before & bit = 0),
           sum(watch_seconds), sum(completion_sum)
    from known
    group by episode_id, hour, release_id
    order by episode_id, hour, release_id
    on conflict (episode_id, hour, release_id) do update set
        views = stored.views + excluded.views,
        unique_viewers = stored.unique_viewers + excluded.unique_viewers,
        watch_seconds = stored.watch_seconds + excluded.watch_seconds,
        completion_sum = stored.completion_sum + excluded.completion_sum
), per_day as (
    insert into view_days as stored (day, release_id, episode_id, views, unique_viewers, watch_seconds, completion_sum)
    select day, release_id, episode_id, sum(views), count(*) filter (where before is null and nth_of_day = 1),
           sum(watch_seconds), sum(completion_sum)
    from known
    group by episode_id, day, release_id
    order by episode_id, day, release_id
    on conflict (episode_id, day, release_id) do update set
        views = stored.views + excluded.views,
        unique_viewers = stored.unique_viewers + excluded.unique_viewers,
        watch_seconds = stored.watch_seconds + excluded.watch_seconds,
        completion_sum = stored.completion_sum + excluded.completion_sum
), touched as (
    insert into trend_touched (hour) select distinct hour from raw
    on conflict (hour) do nothing
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
with gone as (
    delete from view_batches where seq in (
        select seq from view_batches where rolled_up and committed_at < now() - interval '4 days' order by seq limit $1
    )
    returning seq
), outcomes as (
    delete from view_batch_outcomes where seq in (select seq from gone)
)
select count(*) from gone;

-- name: oldest_waiting
-- The day of receipt of the oldest batch not yet rolled up, NULL if none waits.
select min(received_on) from view_batches where not rolled_up;

-- name: make_partitions
select make_partitions($1, $2, $3, $4);

-- name: drop_partitions
select drop_partitions($1, $2, $3);

