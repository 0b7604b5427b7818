-- What Elasticsearch has, where it is set up; otherwise this stays empty. Changes are followed by `search_documents`,
-- which are written in the transaction that changes a release: no event is lost, and none comes before its commit.

-- `alias` is the name searches use. It is made up, as several installations may share a cluster; `place` tells whether
-- this is still the database it was made up for. One instance indexes at a time: the holder.
create table search_indexing (
    only_row boolean primary key default true constraint search_indexing_single check (only_row),
    alias text not null default 'yojohan-' || left(md5(gen_random_uuid()::text), 10),
    place text not null default '',
    holder uuid,
    held_until timestamptz
);
insert into search_indexing default values;

-- The index behind the alias, and one that is being filled to take its place.
create table search_indexes (
    name text primary key,
    live boolean not null default false,
    -- The version of its mapping, and the rebuilds of the documents there had been when it was begun.
    shape integer not null,
    rebuilds integer not null,
    -- The release up to which it is filled; null: it is filled.
    filled_to bigint default 0,
    -- Changes up to here are in it.
    xid xid8 not null default '0',
    slot integer not null default -1
);
create unique index search_indexes_live on search_indexes (live);

-- The numbers that move without an edit, as they were last sent; they are sent again once they have moved enough.
create table search_indexed (
    release_id bigint primary key references releases (id) on delete cascade,
    popularity double precision not null,
    rating real not null
) with (fillfactor = 80);
