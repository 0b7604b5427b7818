-- What the catalogue import needs in the database: vocabularies by name, and soft-deleted episodes by release.

-- An import that says a deleted episode again finds it here, and a release that goes takes these along.
create index episodes_deleted on episodes (release_id, ordinal) where deleted_at is not null;

-- Staging: filled by COPY, merged by set, emptied in the same transaction; an advisory lock lets in one batch at a time.
create unlogged table import_releases (
    release_id bigint primary key,
    said integer not null,
    replaces boolean not null,
    title text,
    sort_title text,
    synopsis text,
    type text,
    status text,
    season text,
    year smallint,
    age_rating text,
    episodes_total integer,
    franchise_id bigint,
    genre_ids bigint[],
    tag_ids bigint[],
    synonyms text[],
    popularity integer
);
create unlogged table import_titles (
    release_id bigint not null,
    language text not null,
    title text not null,
    primary key (release_id, language)
);
create unlogged table import_external_ids (
    release_id bigint not null,
    source text not null,
    external_id text not null,
    is_number boolean not null,
    primary key (release_id, source, external_id)
);
create unlogged table import_episodes (
    release_id bigint not null,
    ordinal numeric(8, 2) not null,
    title text not null,
    duration_seconds integer,
    air_at timestamptz,
    opening_start integer,
    opening_stop integer,
    ending_start integer,
    ending_stop integer,
    primary key (release_id, ordinal)
);

-- Which keys and releases a running import has met: the second row that describes the same thing is left out.
create unlogged table import_claims (
    run uuid not null,
    claim text not null,
    claimed_at timestamptz not null default now(),
    primary key (run, claim)
);

-- Ids of these names in `genres`, `tags` or `franchises`; missing ones are made. The three arrays run in parallel,
-- keys are distinct. A slug that is taken gets the id of its row appended.
create function ensure_vocabulary(vocabulary text, keys text[], names text[], slugs text[])
returns table (name_key text, id bigint) language plpgsql as $$
begin
    if vocabulary not in ('genres', 'tags', 'franchises') then
        raise exception 'there is no vocabulary named %', vocabulary;
    end if;
    execute format($query$
        with missing as (
            select nextval(pg_get_serial_sequence(%1$L, 'id')) as id, said.key, said.name, said.slug,
                   row_number() over (partition by said.slug order by said.key) as place
            from unnest($1, $2, $3) as said (key, name, slug)
            where not exists (select from %1$I known where known.name_key = said.key)
        )
        insert into %1$I (id, slug, name, name_key)
        select missing.id,
               case when missing.place > 1 or exists (select from %1$I taken where taken.slug = missing.slug)
                    then missing.slug || '-' || missing.id else missing.slug end,
               missing.name, missing.key
        from missing
        on conflict (name_key) do nothing
    $query$, vocabulary) using keys, names, slugs;
    return query execute format('select known.name_key, known.id from %I known where known.name_key = any ($1)', vocabulary)
        using keys;
end $$;
