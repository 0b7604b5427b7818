-- The CMS: long work in order, revisions of every change, drafts and scheduled publishing, deletion that can be undone.

-- Where 0007 was applied in its first form: as text, the body does not stand in the way of columns to come.
create or replace function release_json(document text, metrics popularity_metrics) returns text
language sql immutable parallel safe as $$
    select left(document, -1)
        || ',"rating":{"average":' || coalesce(round(metrics.average_rating::numeric, 2)::text, '0')
        || ',"count":' || coalesce(metrics.rating_count, 0)
        || '},"counters":{"views":' || coalesce(metrics.total_views, 0)
        || ',"favorites":' || coalesce(metrics.favorites, 0) || '}}'
$$;

-- `seq` is the order of acceptance; two open operations that share an entity run one after the other. A `barrier` waits
-- for all earlier edits. `checkpoint` is what an attempt has committed of its effect: the next one goes on from there.
alter table operations
    add column seq bigint generated always as identity,
    add column entities text[] not null default '{}',
    add column barrier boolean not null default false,
    add column checkpoint jsonb,
    -- Edits of the catalogue are every administrator's to see and to stop.
    add column shared boolean not null default false;
create unique index operations_by_seq on operations (seq);
create index operations_open_by_seq on operations (seq) where status in ('queued', 'running');
-- The head of the queue of each kind.
create index operations_open_by_kind on operations (kind, seq) where status in ('queued', 'running');
create index operations_shared on operations (seq) where shared;

create or replace function operation_json(o operations, base text) returns text language sql stable as $$
    select row_to_json(shown)::text from (
        select o.id, o.kind, o.status,
            (select row_to_json(p) from (select o.done as "done", o.total as "total") p) as progress,
            case when o.status = 'succeeded' then 100
                 when o.total > 0 then least(99, floor(100.0 * o.done / o.total))::integer else 0 end as percent,
            o.errors, o.result,
            case when o.status = 'succeeded' and o.file is not null then base || '/' || o.id || '/download' end as download,
            rfc3339(o.created_at) as created_at,
            rfc3339(o.finished_at) as finished_at
    ) shown
$$;

-- A deleted release gives its slug away.
alter table releases drop constraint releases_slug_key;
create unique index releases_by_slug on releases (slug) where deleted_at is null;
alter table releases
    -- When a draft is to be published by itself.
    add column publish_at timestamptz,
    -- Whether followers have been told of it: that happens once, however often it is hidden and shown.
    add column announced boolean not null default true,
    -- When that was; null where it was there to see from the beginning.
    add column published_at timestamptz,
    add constraint releases_schedule_is_of_drafts check (publish_at is null or not is_published);
-- A draft is new on the day it is published, however old it is. Rows that were never drafts, which imports bring in
-- great numbers, meet no trigger and are in no index more.
create function note_publishing() returns trigger language plpgsql as $$
begin
    new.published_at := greatest(now(), new.created_at);
    return new;
end $$;
create trigger releases_are_published before update on releases for each row
    when (new.announced and not old.announced)
    execute function note_publishing();
create index releases_by_publishing on releases (published_at, id) where visible and published_at is not null;
create index releases_scheduled on releases (publish_at, id) where publish_at is not null and deleted_at is null;
create index releases_drafts on releases (id) where not is_published and deleted_at is null;
create index releases_deleted on releases (id) where deleted_at is not null;
create index releases_hidden on releases (updated_at, id) where not visible;

alter table genres drop constraint genres_slug_key, drop constraint genres_name_key_key, add column deleted_at timestamptz;
alter table tags drop constraint tags_slug_key, drop constraint tags_name_key_key, add column deleted_at timestamptz;
alter table franchises drop constraint franchises_slug_key, drop constraint franchises_name_key_key,
    add column deleted_at timestamptz;
create unique index genres_by_slug on genres (slug) where deleted_at is null;
create unique index genres_by_name on genres (name_key) where deleted_at is null;
create unique index tags_by_slug on tags (slug) where deleted_at is null;
create unique index tags_by_name on tags (name_key) where deleted_at is null;
create unique index franchises_by_slug on franchises (slug) where deleted_at is null;
create unique index franchises_by_name on franchises (name_key) where deleted_at is null;
create index genres_deleted on genres (name_key) where deleted_at is not null;
create index tags_deleted on tags (name_key) where deleted_at is not null;
create index franchises_deleted on franchises (name_key) where deleted_at is not null;
-- All releases of a word, drafts and deleted ones, too: their documents are written anew when it gets another name.
create index releases_of_genres on releases using gin (genre_ids);
create index releases_of_tags on releases using gin (tag_ids);
create index releases_of_franchise on releases (franchise_id, id) where franchise_id is not null;

-- Raised whenever a calendar has to move an entry: the SEQUENCE of RFC 5545. (The function's body as text, for the same
-- reason as above.)
drop function episode_json(episodes);
alter table episodes add column calendar_sequence integer not null default 0;
create function episode_json(e episodes) returns text language sql stable parallel safe as $$
    select '{"id":' || e.id
        || ',"release_id":' || e.release_id
        || ',"ordinal":' || trim_scale(e.ordinal)
        || ',"title":' || to_json(e.title)
        || ',"duration_seconds":' || coalesce(e.duration_seconds::text, 'null')
        || ',"air_at":' || coalesce('"' || rfc3339(e.air_at) || '"', 'null')
        || ',"opening":' || coalesce('{"start":' || e.opening_start || ',"stop":' || e.opening_stop || '}', 'null')
        || ',"ending":' || coalesce('{"start":' || e.ending_start || ',"stop":' || e.ending_stop || '}', 'null')
        || '}'
$$;

create function raise_calendar_sequence() returns trigger language plpgsql as $$
begin
    new.calendar_sequence := old.calendar_sequence + 1;
    return new;
end $$;
create trigger episodes_move_in_calendars before update on episodes for each row
    when ((old.air_at, old.duration_seconds, old.title, old.ordinal, old.deleted_at)
          is distinct from (new.air_at, new.duration_seconds, new.title, new.ordinal, new.deleted_at))
    execute function raise_calendar_sequence();
create index episodes_cancelled on episodes (deleted_at) where deleted_at is not null and air_at is not null;

-- As in 0003, but a name that was deleted stays deleted: its row is found, and no new one made.
create or replace function ensure_vocabulary(vocabulary text, keys text[], names text[], slugs text[])
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
            where not exists (select from %1$I known where known.name_key = said.key and known.deleted_at is null)
              and not exists (select from %1$I gone where gone.name_key = said.key and gone.deleted_at is not null)
        )
        insert into %1$I (id, slug, name, name_key)
        select missing.id,
               case when missing.place > 1
                         or exists (select from %1$I taken where taken.slug = missing.slug and taken.deleted_at is null)
                    then missing.slug || '-' || missing.id else missing.slug end,
               missing.name, missing.key
        from missing
        on conflict (name_key) where deleted_at is null do nothing
    $query$, vocabulary) using keys, names, slugs;
    return query execute format($query$
        select said.key, coalesce(
            (select known.id from %1$I known where known.name_key = said.key and known.deleted_at is null),
            (select max(gone.id) from %1$I gone where gone.name_key = said.key and gone.deleted_at is not null))
        from unnest($1) as said (key)
    $query$, vocabulary) using keys;
end $$;

-- As in 0001, without words that have been deleted.
create or replace function build_release_documents(ids bigint[]) returns void language sql as $$
    insert into release_documents as stored (release_id, document)
    select r.id, (select row_to_json(release)::text from (select
        r.id as "id",
        r.slug as "slug",
        r.title as "title",
        (select coalesce('{' || string_agg(to_json(t.language) || ':' || to_json(t.title), ',' order by t.language) || '}', '{}')::json
         from release_titles t where t.release_id = r.id) as "titles",
        to_json(array(select s.synonym from release_synonyms s where s.release_id = r.id order by s.position)) as "synonyms",
        r.synopsis as "synopsis",
        r.type as "type",
        r.status as "status",
        r.season as "season",
        r.year as "year",
        r.age_rating as "age_rating",
        r.episodes_total as "episodes_total",
        to_json(array(select row_to_json(word) from (
            select g.id, g.name, g.slug from genres g
            where g.id = any (r.genre_ids) and g.deleted_at is null order by g.name_key
        ) word)) as "genres",
        to_json(array(select row_to_json(word) from (
            select g.id, g.name, g.slug from tags g
            where g.id = any (r.tag_ids) and g.deleted_at is null order by g.name_key
        ) word)) as "tags",
        (select row_to_json(one) from (
            select f.id, f.name from franchises f where f.id = r.franchise_id and f.deleted_at is null) one) as "franchise",
        null as "poster",
        (select coalesce('{' || string_agg(
             to_json(x.source) || ':' || case when x.is_number then x.external_id::bigint::text else to_json(x.external_id)::text end,
             ',' order by x.source) || '}', '{}')::json
         from external_ids x where x.release_id = r.id) as "external_ids",
        rfc3339(r.created_at) as "created_at",
        rfc3339(r.updated_at) as "updated_at"
    ) release)
    from releases r
    where r.id = any (ids)
    on conflict (release_id) do update set document = excluded.document
        where stored.document is distinct from excluded.document
$$;

-- Who changed what, and when: one row a changed thing and change. No foreign keys: the record outlives what it is about.
create table revisions (
    id bigint generated always as identity primary key,
    noun text not null constraint revisions_noun_known
        check (noun in ('release', 'episode', 'genre', 'tag', 'franchise', 'user', 'webhook')),
    entity_id bigint not null,
    action text not null constraint revisions_action_known
        check (action in ('created', 'updated', 'deleted', 'restored', 'published')),
    origin text not null constraint revisions_origin_known check (origin in ('cms', 'import', 'undo', 'schedule')),
    -- null: nobody in person, or somebody whose account was erased
    actor_id bigint,
    operation_id uuid,
    -- {"field": [before, after], …}
    diff jsonb not null default '{}',
    -- the revision that this one takes back, and the one that took this one back
    undoes bigint,
    undone_by bigint,
    created_at timestamptz not null default now()
);
create index revisions_by_entity on revisions (noun, entity_id, id);
create index revisions_by_actor on revisions (actor_id, id) where actor_id is not null;
create index revisions_by_operation on revisions (operation_id, id) where operation_id is not null;
create index revisions_by_age on revisions (created_at);

-- Administrators find accounts by how a name or an address begins, private ones, too.
create index users_by_any_username on users (username_key text_pattern_ops);
create index users_by_any_email on users (email_key text_pattern_ops) where email_key is not null;
