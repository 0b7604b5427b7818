-- From a view to a trend: raw events by day of receipt, exact rollups by hour and day of viewing, decayed windows.
-- Partitions are made ahead and dropped by an actor; the helper functions at the end do both.

create table viewer_salts (
    day date primary key,
    salt bytea not null
);

-- One row a commit. A batch whose COMMIT was cut off is sent again under the same batch_id and finds this row.
create table view_batches (
    seq bigint generated always as identity primary key,
    batch_id uuid not null unique,
    received_on date not null,
    events integer not null,
    rolled_up boolean not null default false,
    committed_at timestamptz not null default now()
);
create index view_batches_waiting on view_batches (seq) where not rolled_up;

-- What became of a batch's events that were not accepted (positions from 0), so that a batch sent again hears the same.
create table view_batch_outcomes (
    seq bigint primary key,
    positions integer[] not null,
    outcomes integer[] not null
);

-- `viewer` is a keyed hash (>= 0) of an anonymous visitor, or -user_id of a signed-in one.
create table view_metrics (
    received_on date not null,
    batch_seq bigint not null,
    event_id uuid not null,
    release_id bigint not null,
    episode_id bigint,
    viewer bigint not null,
    duration_seconds integer not null,
    completion_percentage real not null,
    viewed_at timestamptz not null
) partition by range (received_on);
create index view_metrics_by_batch on view_metrics (batch_seq);

-- The event ids of the last 48 hours (today, yesterday and the day before are looked up).
create table view_receipts (
    received_on date not null,
    event_id uuid not null,
    primary key (event_id, received_on)
) partition by range (received_on);

create table view_filtered (
    received_on date not null,
    event_id uuid not null,
    release_id bigint not null,
    episode_id bigint,
    reason text not null,
    received_at timestamptz not null default now()
) partition by range (received_on);

-- Who watched what on a day, one bit an hour: what makes unique viewers exact. episode_id 0 is the release as a whole.
create table view_viewers (
    day date not null,
    release_id bigint not null,
    episode_id bigint not null,
    viewer bigint not null,
    hours integer not null,
    primary key (release_id, episode_id, viewer, day)
) partition by range (day);

create table view_hours (
    hour timestamptz not null,
    release_id bigint not null,
    episode_id bigint not null,
    views integer not null,
    unique_viewers integer not null,
    watch_seconds bigint not null,
    completion_sum double precision not null,
    -- views already taken into trend_windows
    trended integer not null default 0,
    primary key (episode_id, hour, release_id)
) partition by range (hour);
create index view_hours_by_release on view_hours (release_id, hour);

create table view_days (
    day date not null,
    release_id bigint not null,
    episode_id bigint not null,
    views integer not null,
    unique_viewers integer not null,
    watch_seconds bigint not null,
    completion_sum double precision not null,
    -- unique viewers already taken into popularity_metrics
    trended_viewers integer not null default 0,
    primary key (episode_id, day, release_id)
) partition by range (day);
create index view_days_by_release on view_days (release_id, day);

-- Hours whose rollups changed since the last trending pass.
create table trend_touched (
    hour timestamptz primary key
);

-- For linear decay a window needs only the sum of views and the sum of views times hour. Derived from view_hours,
-- hence unlogged: no WAL, and a pass that finds it empty after a crash builds it anew.
create table trend_windows (
    period text not null,
    release_id bigint not null,
    views bigint not null,
    view_hours_sum bigint not null,
    primary key (period, release_id)
) partition by list (period);
create unlogged table trend_windows_day partition of trend_windows for values in ('day') with (fillfactor = 60);
create unlogged table trend_windows_week partition of trend_windows for values in ('week') with (fillfactor = 60);
create unlogged table trend_windows_month partition of trend_windows for values in ('month') with (fillfactor = 60);

-- How far each window has let go of its past: hours before `left_before` are no longer in it.
create unlogged table trend_positions (
    period text primary key,
    left_before timestamptz not null
);

-- Where the round of refreshing stale popularity scores has come to.
create table trend_refresh (
    only_row boolean primary key default true check (only_row),
    last_release_id bigint not null
);
insert into trend_refresh (last_release_id) values (0);

-- Who stands in the top now: the pass takes the rank from those that dropped out.
create index popularity_metrics_ranked on popularity_metrics (release_id) where rank is not null;
-- What a top is filled up with. The score would not do: that of a release nobody views any more is stale for a while.
create index popularity_metrics_by_imported on popularity_metrics (imported_popularity, release_id);

create table trending_lists (
    period text primary key,
    computed_at timestamptz not null,
    release_ids bigint[] not null,
    scores double precision[] not null
);

-- Hours since 1970, the unit of trend_windows.view_hours_sum.
create function hour_number(moment timestamptz) returns bigint language sql immutable parallel safe
    return (extract(epoch from moment) / 3600)::bigint;

-- Makes the partitions of `parent` for every span from `first` to `last`; step is 'day', 'month' or 'year'. They are
-- attached, which lets reads and writes of the parent go on; `create … partition of` would lock them out.
create function make_partitions(parent text, step text, first date, last date) returns setof text language plpgsql as $$
declare
    lower date := date_trunc(step, first::timestamp)::date;
    upper date;
    name text;
begin
    -- Two processes that start at once must not both make the same one.
    perform pg_advisory_xact_lock(4500048);
    while lower <= last loop
        upper := (lower + ('1 ' || step)::interval)::date;
        name := parent || '_' || to_char(lower, 'YYYYMMDD');
        if to_regclass(name) is null then
            -- Rollups are updated in place again and again: room on the page keeps that out of the indexes.
            execute format('create table %I (like %I including all) with (fillfactor = %s)', name, parent,
                           case when parent in ('view_hours', 'view_days') then 75 else 100 end);
            execute format('alter table %I attach partition %I for values from (%L) to (%L)',
                           parent, name, lower::text || ' 00:00:00+00', upper::text || ' 00:00:00+00');
            return next name;
        end if;
        lower := upper;
    end loop;
end $$;

-- Drops the partitions of `parent` that end on or before `horizon`.
create function drop_partitions(parent text, step text, horizon date) returns setof text language plpgsql as $$
declare
    name text;
begin
    perform pg_advisory_xact_lock(4500048);
    for name in
        select c.relname from pg_inherits i
        join pg_class c on c.oid = i.inhrelid
        where i.inhparent = parent::regclass
          and (to_date(right(c.relname, 8), 'YYYYMMDD') + ('1 ' || step)::interval)::date <= horizon
    loop
        execute format('drop table %I', name);
        return next name;
    end loop;
end $$;
