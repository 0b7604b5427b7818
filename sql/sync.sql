-- name: changes
-- What the user's devices have to hear of, in one snapshot. Parameters: the user; the revision the device has (0: none,
-- null: nothing but what is named at the end); the revision at which it began to read everything, if it is still at it;
-- the revisions it would rather get no answer to; how many rows at most; then entries and episodes to tell of anyhow.
-- A user's revisions are given out under the lock of one row, so that a snapshot which shows one shows all before it.
with place as materialized (
    select coalesce(v.revision, 0) as revision,
           -- What was deleted after the device's revision may be forgotten, or the revision is none of ours.
           coalesce($2 <= 0 or greatest($2, $3) < v.forgotten or greatest($2, $3) > v.revision, $2 is not null)
               as everything
    from users u left join user_revisions v on v.user_id = u.id
    where u.id = $1
), wanted as materialized (
    select revision,
           everything,
           revision = any ($4::bigint[]) as known,
           case when revision = any ($4::bigint[]) or $2::bigint is null then revision
                when everything then -1
                else $2::bigint end as since
    from place
), reached as materialized (
    -- The last revision told of: the current one, unless there are too many rows before it.
    select case when count(*) < $5::integer then (select revision from wanted) else max(revision) end as revision
    from (
        select revision from (
            (select revision from library_entries
             where user_id = $1 and revision > (select since from wanted) order by revision limit $5)
            union all
            (select revision from progress
             where user_id = $1 and revision > (select since from wanted) order by revision limit $5)
            union all
            (select revision from subscriptions
             where user_id = $1 and revision > (select since from wanted) order by revision limit $5)
        ) as rows
        order by revision
        limit $5
    ) as first
), entries as (
    select kind, release_id, value, deleted, changed_at
    from library_entries
    where user_id = $1 and revision > (select since from wanted) and revision <= (select revision from reached)
      and not (deleted and (select everything from wanted))
    union all
    select e.kind, e.release_id, e.value, e.deleted, e.changed_at
    from unnest($6::smallint[], $7::bigint[]) as named (kind, release_id)
    join library_entries e on e.user_id = $1 and e.kind = named.kind and e.release_id = named.release_id
    where e.revision <= (select since from wanted) or e.revision > (select revision from reached)
       or (e.deleted and (select everything from wanted))
), episodes as (
    select episode_id, release_id, position_seconds, completed, deleted, changed_at
    from progress
    where user_id = $1 and revision > (select since from wanted) and revision <= (select revision from reached)
      and not (deleted and (select everything from wanted))
    union all
    select p.episode_id, p.release_id, p.position_seconds, p.completed, p.deleted, p.changed_at
    from unnest($8::bigint[]) as named (episode_id)
    join progress p on p.user_id = $1 and p.episode_id = named.episode_id
    where p.revision <= (select since from wanted) or p.revision > (select revision from reached)
       or (p.deleted and (select everything from wanted))
), kept as (
    select coalesce(string_agg(item, ',') filter (where kind = 1), '') as favorites,
           coalesce(string_agg(item, ',') filter (where kind = 2), '') as collections,
           coalesce(string_agg(item, ',') filter (where kind = 3), '') as ratings,
           coalesce(string_agg(item, ',') filter (where kind = 4), '') as ignores
    from (
        select kind,
               '{"release_id":' || release_id
               || case kind
                      when 2 then ',"collection":' || case when deleted then 'null' else
                          (array['"planned"', '"watching"', '"completed"', '"postponed"', '"dropped"'])[value] end
                      when 3 then ',"rating":' || case when deleted then 'null' else value::text end
                      else '' end
               || ',"deleted":' || deleted || ',"changed_at":"' || rfc3339(changed_at) || '"}' as item
        from entries
        order by kind, release_id
    ) as items
), watched as (
    select coalesce(string_agg(item, ','), '') as progress
    from (
        select '{"episode_id":' || episode_id || ',"release_id":' || release_id
               || ',"position_seconds":' || position_seconds || ',"completed":' || completed
               || ',"deleted":' || deleted || ',"changed_at":"' || rfc3339(changed_at) || '"}' as item
        from episodes
        order by episode_id
    ) as items
), followed as (
    select coalesce(string_agg(item, ','), '') as subscriptions
    from (
        select '{"id":' || id || ',"subscription_type":"' || subscription_type || '","target_id":' || target_id
               || ',"deleted":' || (deleted_at is not null) || '}' as item
        from subscriptions
        where user_id = $1 and revision > (select since from wanted) and revision <= (select revision from reached)
          and not (deleted_at is not null and (select everything from wanted))
        order by id
    ) as items
), profile as (
    select (select row_to_json(one)::text
            from (select u.username, u.name, u.bio, u.locale, u.time_zone, u.is_public,
                         rfc3339(u.updated_at) as updated_at) as one) as item
    from users u
    where u.id = $1 and u.revision > (select since from wanted) and u.revision <= (select revision from reached)
)
select wanted.revision as current,
       reached.revision as reached,
       wanted.everything,
       wanted.known,
       '"favorites":[' || kept.favorites || '],"collections":[' || kept.collections || '],"ratings":[' || kept.ratings
       || '],"ignores":[' || kept.ignores || '],"progress":[' || watched.progress
       || '],"subscriptions":[' || followed.subscriptions
       || '],"profile":' || coalesce((select item from profile), 'null') as content
from wanted, reached, kept, watched, followed
