-- What people keep: favourites, collections, ratings, what they do not care for, and how far they have watched.

-- One counter a user, raised under its row's lock by every write that devices have to hear of.
create table user_revisions (
    user_id bigint primary key references users (id) on delete cascade,
    revision bigint not null default 0,
    -- Tombstones up to this revision are gone: who synchronised before it starts over.
    forgotten bigint not null default 0
) with (fillfactor = 50);

-- kind 1 favourite, 2 collection (value 1 planned, 2 watching, 3 completed, 4 postponed, 5 dropped), 3 rating
-- (value 1-10), 4 ignored. A row that is `deleted` is a tombstone, kept for devices that have not heard of it.
create table library_entries (
    user_id bigint not null references users (id) on delete cascade,
    kind smallint not null constraint library_entries_kind_known check (kind between 1 and 4),
    release_id bigint not null,
    value smallint not null default 0,
    deleted boolean not null default false,
    -- when it was decided, by the clock of whoever did, never in the future
    changed_at timestamptz not null,
    -- when we heard of it
    updated_at timestamptz not null default now(),
    revision bigint not null,
    primary key (user_id, kind, release_id),
    constraint library_entries_value_fits check (
        case kind when 2 then value between 1 and 5 when 3 then value between 1 and 10 else value = 0 end)
);
create index library_entries_by_revision on library_entries (user_id, revision);
create index library_entries_by_time on library_entries (user_id, kind, changed_at, release_id) where not deleted;
create index library_entries_by_release on library_entries (release_id, kind, value) where not deleted;
create index library_entries_tombstones on library_entries (updated_at) where deleted;

create table progress (
    user_id bigint not null references users (id) on delete cascade,
    episode_id bigint not null,
    release_id bigint not null,
    position_seconds integer not null constraint progress_position_sane check (position_seconds between 0 and 864000),
    completed boolean not null,
    -- what the user's watch time counts for this episode: its length once completed, the furthest position before
    watched_seconds integer not null,
    deleted boolean not null default false,
    changed_at timestamptz not null,
    -- the last deliberate step backwards; edits made before it no longer count
    restarted_at timestamptz,
    updated_at timestamptz not null default now(),
    revision bigint not null,
    primary key (user_id, episode_id)
);
create index progress_by_revision on progress (user_id, revision);
create index progress_by_time on progress (user_id, changed_at, episode_id) where not deleted;
create index progress_by_release on progress (user_id, release_id, changed_at, episode_id) where not deleted;
create index progress_tombstones on progress (updated_at) where deleted;

-- Since 15.20 and its contemporaries PostgreSQL adds no column with a default to a table whose row type a parsed function
-- body uses; as text, the body is out of the way.
drop function release_json(text, popularity_metrics);
alter table popularity_metrics add column rating_sum bigint not null default 0;
create function release_json(document text, metrics popularity_metrics) returns text
language sql immutable parallel safe as $$
    select left(document, -1)
        || ',"rating":{"average":' || coalesce(round(metrics.average_rating::numeric, 2)::text, '0')
        || ',"count":' || coalesce(metrics.rating_count, 0)
        || '},"counters":{"views":' || coalesce(metrics.total_views, 0)
        || ',"favorites":' || coalesce(metrics.favorites, 0) || '}}'
$$;

-- Kept by an actor from the outbox, one row a user.
create table user_stats (
    user_id bigint primary key references users (id) on delete cascade,
    episodes_watched integer not null default 0,
    watch_seconds bigint not null default 0,
    favorites integer not null default 0,
    planned integer not null default 0,
    watching integer not null default 0,
    completed integer not null default 0,
    postponed integer not null default 0,
    dropped integer not null default 0,
    ratings integer not null default 0,
    rating_sum integer not null default 0,
    reviews integer not null default 0,
    comments integer not null default 0,
    -- [{"id", "weight"}], the heaviest first
    favorite_genres jsonb not null default '[]',
    last_activity_at timestamptz
) with (fillfactor = 70);

-- What people did that is not in `user_stats` yet: events behind the consumer's place, and those it could not apply.
create view user_stats_waiting as
    select o.user_id, o.payload -> 'delta' as delta, o.created_at
    from outbox o
    left join outbox_consumers c on c.name = 'user_stats'
    where o.topic = 'library' and o.user_id is not null and (c.name is null or (o.xid, o.id) > (c.xid, c.id))
    union all
    select user_id, payload -> 'delta', created_at
    from outbox_deliveries
    where consumer = 'user_stats' and topic = 'library' and user_id is not null;

-- Rows of an imported list for which there is no release yet.
create table unmatched_entries (
    user_id bigint not null references users (id) on delete cascade,
    source text not null,
    external_id text not null,
    title text not null default '',
    -- {"status", "score", "watched_episodes", …} as the list said
    entry jsonb not null,
    reason text not null,
    created_at timestamptz not null default now(),
    primary key (user_id, source, external_id)
);
create index unmatched_entries_by_id on unmatched_entries (source, external_id);
