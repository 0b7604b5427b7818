-- What is like what, worked out ahead by a process of its own and read by requests.

-- The releases most like each release, the most alike first, at most thirty. A row without neighbours says that there are
-- none; a release without a row has not been looked at yet, and is answered from its genres, tags and franchise.
create table release_neighbours (
    release_id bigint primary key,
    neighbours bigint[] not null,
    -- 0 to 1, beside each neighbour
    scores real[] not null,
    -- how many people finished or liked both, beside each neighbour; 0 where they are so few that one might stand out
    shared integer[] not null default '{}',
    computed_at timestamptz not null default now(),
    -- what it was worked out from has changed since
    stale boolean not null default false,
    constraint release_neighbours_beside check (
        cardinality(scores) = cardinality(neighbours) and cardinality(shared) in (0, cardinality(neighbours))
        and cardinality(neighbours) <= 100)
);
create index release_neighbours_stale on release_neighbours (release_id) where stale;

-- How much having liked a release speaks for others, or against them; the strongest first, at most 64.
create table release_audience (
    release_id bigint primary key,
    others bigint[] not null,
    weights real[] not null,
    computed_at timestamptz not null default now(),
    constraint release_audience_beside check (
        cardinality(weights) = cardinality(others) and cardinality(others) <= 256)
);

-- One row: who works at it, what has happened since the last run, and how that went.
create table recommending_state (
    only_row boolean primary key default true check (only_row),
    -- one instance at a time starts the worker, and says every now and then that it is still at it
    leased_by uuid,
    leased_until timestamptz,
    -- changes of the catalogue ever, as the last run that ended well found them, and as the last count of words did
    catalogue_changes bigint not null default 0,
    catalogue_seen bigint not null default 0,
    catalogue_counted bigint not null default 0,
    counted_at timestamptz,
    -- rows of libraries written ever, as the audiences last found them; and what the server's statistics said last, which
    -- begin anew after a crash
    library_changes bigint not null default 0,
    library_seen bigint not null default 0,
    library_written bigint not null default 0,
    started_at timestamptz,
    finished_at timestamptz,
    -- when the audiences were last worked out, and from how many people and releases
    audience_at timestamptz,
    audience_users integer not null default 0,
    audience_items integer not null default 0,
    runs integer not null default 0,
    failures integer not null default 0
) with (fillfactor = 50);
insert into recommending_state default values;

-- In how many visible releases each genre and tag stands, as of the last count: rare ones say more about what is alike.
create table word_frequencies (
    kind text not null constraint word_frequencies_kind_known check (kind in ('genre', 'tag')),
    word_id bigint not null,
    releases integer not null,
    primary key (kind, word_id)
);

-- What to show to somebody of whom nothing is known yet begins with what is popular elsewhere.
create index popularity_metrics_by_import on popularity_metrics (imported_popularity, release_id);

-- Whether a release may be shown, and its franchise, without a look at its row: of thirty neighbours that is thirty pages.
create index releases_with_franchise on releases (id) include (franchise_id) where visible;
drop index releases_visible;
create index franchises_shown on franchises (id) where deleted_at is null;

-- What somebody keeps is read for each of their lists of recommendations: with its value, without a look at its rows, which
-- came one by one and lie as far apart.
drop index library_entries_by_time;
create index library_entries_by_time on library_entries (user_id, kind, changed_at, release_id) include (value)
    where not deleted;
