-- What is searched: one row for each release, shown or not, made by server/rules/search_document.py and written in the
-- transaction that changed the release; the words of titles, by which typos are corrected; what was searched in vain.
-- Nothing here needs an extension.

-- `slot` numbers the rows densely from 0: sets of releases are bitmaps in memory. Who writes takes a number for new rows
-- alone, never in an `insert … on conflict`, which would take one for each try.
create sequence search_slots as integer minvalue 0 start 0;
create table search_documents (
    release_id bigint primary key,
    slot integer not null unique default nextval('search_slots'),
    -- Words of names, `~` and how they sound, `=` and hashes of whole names. No weights, no positions.
    names tsvector not null,
    -- Words of names (weight A), genres, tags and franchise (B), the synopsis and stems of names (C, A).
    words tsvector not null,
    -- The names themselves, normalised.
    keys text[] not null,
    -- The text-search configuration of the synopsis.
    config text not null,
    -- The version of the rules that made it.
    rules smallint not null,
    -- The average rating, rounded down; null: nobody has rated it.
    rating smallint constraint search_documents_rating_sane check (rating between 0 and 10),
    -- The transaction that last changed the row or what filters and facets read of its release.
    changed xid8 not null default pg_current_xact_id(),
    -- A broad query reads tens of thousands of rows for their slots, so what is wide must lie apart. PostgreSQL moves
    -- values out of a row only where the whole is above 2 kB, whatever `toast_tuple_target` says; 2.4 kB of spaces lift
    -- each row above that, and are then compressed to 40 bytes. 50 rows a page this way, 5 without.
    ballast text not null default repeat(' ', 2400)
) with (toast_tuple_target = 128, fillfactor = 85);
alter sequence search_slots owned by search_documents.slot;
alter table search_documents
    alter names set storage external, alter words set storage external, alter keys set storage external;
create index search_documents_names on search_documents using gin (names);
create index search_documents_words on search_documents using gin (words);
create index search_documents_changed on search_documents (changed, slot);

-- The words of titles with the hashes of what is left of them when letters are missing: two words that share one may
-- be a typo apart. Counted anew from the documents by the builder; a word that just came counts once.
create table search_words (
    word text collate "C" primary key,
    -- How it sounds.
    skeleton text collate "C" not null,
    -- In how many documents it stands.
    frequency integer not null default 1,
    variants integer[] not null,
    -- The version of the rules that made it.
    rules smallint not null
);
create index search_words_variants on search_words using gin (variants);
create index search_words_skeleton on search_words (skeleton);

-- What was searched in vain, by day, normalised and without what could tell who asked.
create table search_misses (
    day date not null,
    query text collate "C" not null,
    misses integer not null default 1,
    last_at timestamptz not null default now(),
    primary key (day, query)
);

-- How far the documents are. `rules` is the version that every release's document has at least; 0: some may be missing.
-- `rebuilt_to` is the release up to which a rebuild in the background has come, null where none is due; `rebuilds` counts
-- those that are done, by the command too. All words were last counted at `counted_at`, in documents below `counted`.
create table search_state (
    only_row boolean primary key default true constraint search_state_single check (only_row),
    rules smallint not null default 0,
    rebuilt_to bigint,
    rebuilds integer not null default 0,
    counted xid8 not null default '0',
    counted_at timestamptz
);
insert into search_state default values;

-- The two functions below return slots, four bytes each. In them the planner must not read the whole table for common
-- words: it knows nothing of the price of rows that are kept apart. Nor has a plan to be made anew each time: there is
-- only one good one. Nor are pages to be asked for ahead: the rows take so little room that the kernel has them, and each
-- such call costs as much as a read.

-- The first of several readings by which a name is found, and what that finds: by a whole name, by words of names. The
-- beginning of a longer word (`begun`) is looked for only where nothing is named just so: it costs more than all the rest.
-- The whole names of `beside` are added to what a reading finds. `reading` is null where none finds anything. At most
-- `most` are found by words of names, any of them; null: all.
create function search_named(
    whole text[], named text[], begun text[], beside text[], most integer,
    out reading integer, out by_whole bytea, out by_name bytea
)
language plpgsql stable
set enable_seqscan = off set jit = off set plan_cache_mode = force_generic_plan set effective_io_concurrency = 0 as $$
declare
    added bytea;
begin
    for place in 1 .. cardinality(named) loop
        by_whole := '';
        if whole[place] <> '' then
            select coalesce(string_agg(int4send(slot), ''), '') into by_whole
            from search_documents where names @@ whole[place]::tsquery;
        end if;
        select coalesce(string_agg(int4send(slot), ''), '') into by_name
        from (
            select slot from search_documents
            where names @@ (case when by_whole <> '' then named[place] else begun[place] end)::tsquery
            limit most
        ) found;
        if by_name <> '' then
            reading := place;
            if beside[place] <> '' then
                select coalesce(string_agg(int4send(slot), ''), '') into added
                from search_documents where names @@ beside[place]::tsquery;
                by_whole := by_whole || added;
                by_name := by_name || added;
            end if;
            exit;
        end if;
    end loop;
end
$$;

-- What has these words anywhere, or the stems of `plain` in one of the configurations.
create function search_anywhere(anywhere text, plain text, configs text[]) returns bytea
language plpgsql stable
set enable_seqscan = off set jit = off set plan_cache_mode = force_generic_plan set effective_io_concurrency = 0 as $$
declare
    -- The same stems come from several configurations, and each alternative costs a look into the index.
    known tsquery[] := array[anywhere::tsquery];
    stems tsquery;
    alternatives tsquery := '';
    config text;
    found bytea;
begin
    foreach config in array configs loop
        stems := plainto_tsquery(config::regconfig, plain);
        if not stems = any (known) then
            known := known || stems;
        end if;
    end loop;
    foreach stems in array known loop
        alternatives := alternatives || stems;
    end loop;
    select coalesce(string_agg(int4send(slot), ''), '') into found
    from search_documents where words @@ alternatives;
    return found;
end
$$;
