-- name: new_episode_ids
select nextval(pg_get_serial_sequence('episodes', 'id')) as id from generate_series(1, $1::integer);

-- name: episode_places
-- The places of these episodes, and who is in these places now.
select e.id, e.release_id, e.ordinal, e.deleted_at is not null as deleted
from episodes e
where e.id = any ($1::bigint[])
union
select e.id, e.release_id, e.ordinal, false
from unnest($2::bigint[], $3::numeric[]) as wanted (release_id, ordinal)
join episodes e on e.release_id = wanted.release_id and e.ordinal = wanted.ordinal and e.deleted_at is null;

-- name: living_releases
-- Of these releases those that are not deleted; drafts are among them.
select id, visible from releases where id = any ($1::bigint[]) and deleted_at is null;

-- name: insert_episodes
insert into episodes (id, release_id, ordinal, title, duration_seconds, air_at,
                      opening_start, opening_stop, ending_start, ending_stop)
select id, release_id, ordinal, coalesce(title, ''), duration_seconds, air_at,
       (opening ->> 'start')::integer, (opening ->> 'stop')::integer,
       (ending ->> 'start')::integer, (ending ->> 'stop')::integer
from jsonb_to_recordset($1::jsonb) as said (
    id bigint, release_id bigint, ordinal numeric, title text, duration_seconds integer, air_at timestamptz,
    opening jsonb, ending jsonb)
returning id, release_id;

-- name: vacate_episodes
-- Their places are wanted by others of the same statement, and the index looks row by row: out of the way they go, and
-- come back with `update_episodes`.
update episodes set deleted_at = now() where id = any ($1::bigint[]);

-- name: update_episodes
-- Only the fields that are said.
with target as (
    select e.id,
           case when said ? 'ordinal' then (said ->> 'ordinal')::numeric else e.ordinal end as ordinal,
           case when said ? 'title' then said ->> 'title' else e.title end as title,
           case when said ? 'duration_seconds'
                then (said ->> 'duration_seconds')::integer else e.duration_seconds end as duration_seconds,
           case when said ? 'air_at' then (said ->> 'air_at')::timestamptz else e.air_at end as air_at,
           case when said ? 'opening' then (said -> 'opening' ->> 'start')::integer else e.opening_start end as opening_start,
           case when said ? 'opening' then (said -> 'opening' ->> 'stop')::integer else e.opening_stop end as opening_stop,
           case when said ? 'ending' then (said -> 'ending' ->> 'start')::integer else e.ending_start end as ending_start,
           case when said ? 'ending' then (said -> 'ending' ->> 'stop')::integer else e.ending_stop end as ending_stop
    from jsonb_array_elements($1::jsonb) as said
    join episodes e on e.id = (said ->> 'id')::bigint
)
update episodes e set
    ordinal = t.ordinal, title = t.title, duration_seconds = t.duration_seconds, air_at = t.air_at,
    opening_start = t.opening_start, opening_stop = t.opening_stop, ending_start = t.ending_start,
    ending_stop = t.ending_stop, deleted_at = null, updated_at = now()
from target t
where e.id = t.id
  and (e.deleted_at is not null
       or (e.ordinal, e.title, e.duration_seconds, e.air_at, e.opening_start, e.opening_stop, e.ending_start, e.ending_stop)
          is distinct from
          (t.ordinal, t.title, t.duration_seconds, t.air_at, t.opening_start, t.opening_stop, t.ending_start, t.ending_stop))
returning e.id, e.release_id;

-- name: delete_episodes
update episodes set deleted_at = now(), updated_at = now() where id = any ($1::bigint[]) and deleted_at is null
returning id, release_id;

-- name: restore_episodes
update episodes set deleted_at = null, updated_at = now() where id = any ($1::bigint[]) and deleted_at is not null
returning id, release_id;

-- name: episode_documents
-- As they are written, for those who edit them.
select e.id, (
    select row_to_json(shown)::text from (
        select e.id, e.release_id, trim_scale(e.ordinal) as ordinal, e.title, e.duration_seconds,
               rfc3339(e.air_at) as air_at,
               case when e.opening_start is not null
                    then (select row_to_json(s) from (select e.opening_start as start, e.opening_stop as stop) s)
               end as opening,
               case when e.ending_start is not null
                    then (select row_to_json(s) from (select e.ending_start as start, e.ending_stop as stop) s)
               end as ending,
               rfc3339(e.created_at) as created_at, rfc3339(e.updated_at) as updated_at,
               rfc3339(e.deleted_at) as deleted_at
    ) shown) as document
from episodes e
where e.id = any ($1::bigint[]) and ($2::boolean or e.deleted_at is null);
