-- One import at a time; its look-ups are short, whatever the planner is told about the disk.
-- What searches still have to read through, as it is not in its index yet, stays short.
-- name: lock_imports
select pg_advisory_xact_lock(hashtext('yojohan catalogue import')),
       set_config('random_page_cost', '1.1', true), set_config('jit', 'off', true),
       set_config('gin_pending_list_limit', '256kB', true), set_config('work_mem', '8MB', true)

-- name: start_run
delete from import_claims where run <> $1 and claimed_at < now() - interval '1 day'

-- name: is_populated
select exists (select from releases)

-- name: end_run
delete from import_claims where run = $1

-- Nobody but the holder of the lock uses the staging tables; DELETE, as TRUNCATE would wait for a running backup.
-- name: clear_staging
with r as (delete from import_releases), t as (delete from import_titles), x as (delete from import_external_ids)
delete from import_episodes

-- name: vacuum_staging
vacuum import_releases, import_titles, import_external_ids, import_episodes, import_claims

-- name: analyze_staging
analyze import_releases, import_titles, import_external_ids, import_episodes

-- name: claim
insert into import_claims (run, claim) select $1, claim from unnest($2::text[]) as said (claim)
on conflict do nothing

-- name: claimed
select claim from import_claims where run = $1 and claim = any ($2::text[])

-- name: known_rows
select source_key, release_id, content_hash from release_imports where source = $1 and source_key = any ($2::text[])

-- name: owners
select said.source, said.external_id, known.release_id
from unnest($1::text[], $2::text[]) as said (source, external_id)
join external_ids known using (source, external_id)

-- name: spoken_for
select distinct release_id from release_imports where source = $1 and release_id = any ($2::bigint[])

-- name: deleted_releases
select id from releases where id = any ($1::bigint[]) and deleted_at is not null

-- name: visible_releases
select id from releases where id = any ($1::bigint[]) and visible

-- name: new_release_ids
select nextval(pg_get_serial_sequence('releases', 'id')) as id from generate_series(1, $1::integer)

-- Words the function makes while this statement runs are not there yet for the statement itself: `made`.
-- name: vocabulary
select word.name_key, word.id,
       not case $1 when 'genres' then exists (select from genres known where known.id = word.id)
                   when 'tags' then exists (select from tags known where known.id = word.id)
                   else exists (select from franchises known where known.id = word.id) end as made
from ensure_vocabulary($1, $2::text[], $3::text[], $4::text[]) as word

-- A slug is taken by another living release that has it or once had it, asks for it earlier in the same batch, or by $3;
-- never for the one that has it.
-- name: free_slugs
with said as (
    select id, slug, row_number() over (partition by slug order by id) as place
    from unnest($1::bigint[], $2::text[]) as asked (id, slug)
), first_choice as (
    select id, slug, slug || '-' || id as second_choice,
           not exists (select from releases r where r.id = said.id and r.slug = said.slug and r.deleted_at is null)
           and (place > 1 or slug = any ($3::text[])
                or exists (select from releases r where r.slug = said.slug and r.deleted_at is null and r.id <> said.id)
                or exists (select from release_slugs old join releases r on r.id = old.release_id and r.deleted_at is null
                           where old.slug = said.slug and r.id <> said.id)) as taken
    from said
)
select id,
       case when not taken then slug
            when second_choice = any ($3::text[])
                 or exists (select from said where said.slug = second_choice)
                 or exists (select from releases r
                            where r.slug = second_choice and r.deleted_at is null and r.id <> first_choice.id)
                 or exists (select from release_slugs old
                            join releases r on r.id = old.release_id and r.deleted_at is null
                            where old.slug = second_choice and r.id <> first_choice.id)
            then second_choice || '-' || left(md5(slug || id), 8)
            else second_choice end as slug
from first_choice

-- A slug that somebody has, or gets here, leads to them alone: whoever else had it before is forgotten.
-- name: change_slugs
with said as (
    select r.id, r.slug as old_slug, asked.slug
    from unnest($1::bigint[], $2::text[]) as asked (id, slug)
    join releases r on r.id = asked.id and r.slug <> asked.slug
), returned as (
    delete from release_slugs where slug = any ($2::text[])
), retired as (
    insert into release_slugs (slug, release_id)
    select old_slug, id from said
    where old_slug <> all ($2::text[])
      and not exists (select from releases r where r.slug = said.old_slug and r.deleted_at is null and r.id <> said.id)
    on conflict (slug) do update set release_id = excluded.release_id, retired_at = now()
)
update releases r set slug = said.slug from said where r.id = said.id
returning r.id

-- The numbers are the bits of `server.importing.merge.SAID`.
-- name: update_releases
with target as (
    select r.id,
           case when s.said & 1 <> 0 then s.title else r.title end as title,
           case when s.said & 1 <> 0 then s.sort_title else r.sort_title end as sort_title,
           case when s.said & 2 <> 0 then s.synopsis else r.synopsis end as synopsis,
           case when s.said & 4 <> 0 then s.type else r.type end as type,
           case when s.said & 8 <> 0 then s.status else r.status end as status,
           case when s.said & 16 <> 0 then s.season else r.season end as season,
           case when s.said & 32 <> 0 then s.year else r.year end as year,
           case when s.said & 64 <> 0 then s.age_rating else r.age_rating end as age_rating,
           case when s.said & 128 <> 0 then s.episodes_total else r.episodes_total end as episodes_total,
           case when s.said & 256 <> 0 then s.franchise_id else r.franchise_id end as franchise_id,
           case when s.said & 512 <> 0 then s.genre_ids else r.genre_ids end as genre_ids,
           case when s.said & 1024 <> 0 then s.tag_ids else r.tag_ids end as tag_ids
    from import_releases s join releases r on r.id = s.release_id
)
update releases r set
    title = t.title, sort_title = t.sort_title, synopsis = t.synopsis, type = t.type, status = t.status,
    season = t.season, year = t.year, age_rating = t.age_rating, episodes_total = t.episodes_total,
    franchise_id = t.franchise_id, genre_ids = t.genre_ids, tag_ids = t.tag_ids, updated_at = now()
from target t
where r.id = t.id
  and (r.title, r.sort_title, r.synopsis, r.type, r.status, r.season, r.year, r.age_rating, r.episodes_total,
       r.franchise_id, r.genre_ids, r.tag_ids)
      is distinct from
      (t.title, t.sort_title, t.synopsis, t.type, t.status, t.season, t.year, t.age_rating, t.episodes_total,
       t.franchise_id, t.genre_ids, t.tag_ids)
returning r.id

-- name: remove_titles
delete from release_titles stored using import_releases s
where stored.release_id = s.release_id and s.replaces and s.said & 2048 <> 0
  and not exists (select from import_titles said
                  where said.release_id = stored.release_id and said.language = stored.language)
returning stored.release_id as id

-- name: merge_titles
insert into release_titles as stored (release_id, language, title)
select release_id, language, title from import_titles
on conflict (release_id, language) do update set title = excluded.title where stored.title <> excluded.title
returning release_id as id

-- A source that supplements adds the synonyms that are not there yet behind those that are.
-- name: merge_synonyms
with stored as (
    select s.release_id, s.replaces, s.synonyms as said,
           coalesce((select array_agg(old.synonym order by old.position) from release_synonyms old
                     where old.release_id = s.release_id), '{}') as synonyms
    from import_releases s where s.said & 4096 <> 0
), target as (
    select release_id, synonyms as old,
           case when replaces then said
                else synonyms || array(select synonym from unnest(said) with ordinality as new (synonym, place)
                                       where synonym <> all (synonyms) order by place) end as synonyms
    from stored
), changed as (
    select * from target where synonyms <> old
), removed as (
    delete from release_synonyms r using changed where r.release_id = changed.release_id
    and r.position > cardinality(changed.synonyms)
), written as (
    insert into release_synonyms as r (release_id, position, synonym)
    select release_id, place, synonym from changed, unnest(synonyms) with ordinality as new (synonym, place)
    on conflict (release_id, position) do update set synonym = excluded.synonym where r.synonym <> excluded.synonym
)
select release_id as id from changed

-- name: remove_external_ids
delete from external_ids stored using import_releases s
where stored.release_id = s.release_id and s.replaces and s.said & 8192 <> 0
  and not exists (select from import_external_ids said where said.release_id = stored.release_id
                  and said.source = stored.source and said.external_id = stored.external_id)
returning stored.release_id as id

-- An id that belongs to another release stays there.
-- name: merge_external_ids
insert into external_ids as stored (source, external_id, is_number, release_id)
select source, external_id, is_number, release_id from import_external_ids
on conflict (source, external_id) do update set is_number = excluded.is_number
    where stored.release_id = excluded.release_id and stored.is_number <> excluded.is_number
returning release_id as id

-- The score keeps what views added to it; only the imported share is exchanged. Rows are taken in the order of their ids, so
-- that no import waits in a ring with what counts ratings and views.
-- name: update_popularity
with taken as (
    select m.release_id, s.popularity
    from import_releases s
    join popularity_metrics m on m.release_id = s.release_id
    where s.said & 16384 <> 0 and m.imported_popularity <> s.popularity
    order by m.release_id
    for no key update of m
)
update popularity_metrics m set
    imported_popularity = t.popularity,
    popularity_score = m.popularity_score - m.imported_popularity / (m.imported_popularity + 1e6)::float8
                     + t.popularity / (t.popularity + 1e6)::float8
from taken t
where m.release_id = t.release_id
returning m.release_id as id

-- name: forget_slugs
delete from release_slugs where slug = any ($1::text[])

-- name: insert_popularity
insert into popularity_metrics (release_id, imported_popularity, popularity_score)
select release_id, popularity, popularity / (popularity + 1e6)::float8
from unnest($1::bigint[], $2::integer[]) as said (release_id, popularity)

-- An authoritative source that lists episodes means the whole list.
-- name: remove_episodes
update episodes e set deleted_at = now(), updated_at = now()
from import_releases s
where e.release_id = s.release_id and s.replaces and s.said & 32768 <> 0 and e.deleted_at is null
  and not exists (select from import_episodes said where said.release_id = e.release_id and said.ordinal = e.ordinal)
returning e.release_id as id, e.id as episode_id

-- Only an authoritative source brings back what was deleted, and only what no editor has deleted: all else would undo
-- their work. Of several that stood in a place the last one counts.
-- name: revive_episodes
with gone as (
    select distinct on (old.release_id, old.ordinal) old.id, old.release_id, old.ordinal
    from import_episodes said
    join import_releases s on s.release_id = said.release_id and s.replaces
    join episodes old on old.release_id = said.release_id and old.ordinal = said.ordinal and old.deleted_at is not null
    where not exists (select from episodes live where live.release_id = said.release_id and live.ordinal = said.ordinal
                      and live.deleted_at is null)
    order by old.release_id, old.ordinal, old.deleted_at desc, old.id desc
), judged as materialized (
    select gone.*,
           coalesce((select last.action = 'deleted' and last.origin in ('cms', 'undo') from revisions last
                     where last.noun = 'episode' and last.entity_id = gone.id order by last.id desc limit 1),
                    false) as by_editor
    from gone
), revived as (
    update episodes e set deleted_at = null, updated_at = now() from judged where e.id = judged.id and not by_editor
)
select release_id as id, id as episode_id, ordinal, by_editor from judged

-- With $1 it tells what each of them said before, as editors see it.
-- name: update_episodes
with target as (
    select e.id,
           case when $1::boolean then json_build_object(
               'title', e.title, 'duration_seconds', e.duration_seconds, 'air_at', rfc3339(e.air_at),
               'opening', case when e.opening_start is not null
                               then json_build_object('start', e.opening_start, 'stop', e.opening_stop) end,
               'ending', case when e.ending_start is not null
                              then json_build_object('start', e.ending_start, 'stop', e.ending_stop) end)::text
           end as before,
           case when s.replaces or said.title <> '' then said.title else e.title end as title,
           case when s.replaces or said.duration_seconds is not null
                then said.duration_seconds else e.duration_seconds end as duration_seconds,
           case when s.replaces or said.air_at is not null then said.air_at else e.air_at end as air_at,
           case when s.replaces or said.opening_start is not null
                then said.opening_start else e.opening_start end as opening_start,
           case when s.replaces or said.opening_start is not null
                then said.opening_stop else e.opening_stop end as opening_stop,
           case when s.replaces or said.ending_start is not null
                then said.ending_start else e.ending_start end as ending_start,
           case when s.replaces or said.ending_start is not null
                then said.ending_stop else e.ending_stop end as ending_stop
    from import_episodes said
    join import_releases s on s.release_id = said.release_id
    join episodes e on e.release_id = said.release_id and e.ordinal = said.ordinal and e.deleted_at is null
)
update episodes e set
    title = t.title, duration_seconds = t.duration_seconds, air_at = t.air_at, opening_start = t.opening_start,
    opening_stop = t.opening_stop, ending_start = t.ending_start, ending_stop = t.ending_stop, updated_at = now()
from target t
where e.id = t.id
  and (e.title, e.duration_seconds, e.air_at, e.opening_start, e.opening_stop, e.ending_start, e.ending_stop)
      is distinct from
      (t.title, t.duration_seconds, t.air_at, t.opening_start, t.opening_stop, t.ending_start, t.ending_stop)
returning e.release_id as id, e.id as episode_id, t.before

-- name: insert_episodes
insert into episodes (release_id, ordinal, title, duration_seconds, air_at,
                      opening_start, opening_stop, ending_start, ending_stop)
select said.* from import_episodes said
where not exists (select from episodes e where e.release_id = said.release_id and e.ordinal = said.ordinal
                  and e.deleted_at is null)
  and not exists (select from episodes e where e.release_id = said.release_id and e.ordinal = said.ordinal
                  and e.deleted_at is not null)
returning release_id as id, id as episode_id

-- Those whose own row changed bear this transaction's time already.
-- name: touch
update releases set updated_at = now() where id = any ($1::bigint[]) and updated_at <> now()

-- name: remember
insert into release_imports as stored (source, source_key, release_id, content_hash)
select $1, source_key, release_id, content_hash
from unnest($2::text[], $3::bigint[], $4::bytea[]) as said (source_key, release_id, content_hash)
on conflict (source, source_key) do update set release_id = excluded.release_id, content_hash = excluded.content_hash
    where (stored.release_id, stored.content_hash) is distinct from (excluded.release_id, excluded.content_hash)

-- What an authoritative source said of a release under an older key no longer holds.
-- name: forget_older_keys
delete from release_imports stored
using unnest($2::text[], $3::bigint[]) as said (source_key, release_id)
where stored.source = $1 and stored.release_id = said.release_id and stored.source_key <> said.source_key

-- name: build_documents
select build_release_documents($1::bigint[])

-- name: invalidate
select pg_notify('yojohan_invalidate', payload) from unnest($1::text[]) as said (payload)

-- name: analyze
analyze releases, episodes, release_titles, release_synonyms, external_ids, release_imports, popularity_metrics
