-- name: edited_since
-- Of these releases those that an edit accepted after the import has changed, them or an episode of theirs; or has been
-- about, since one that found all as it wished has no revision.
select distinct edited.release_id as id
from operations edit
join revisions r on r.operation_id = edit.id and r.noun in ('release', 'episode')
cross join lateral (
    select case r.noun when 'release' then r.entity_id
                else (select e.release_id from episodes e where e.id = r.entity_id) end as release_id
) edited
where edit.shared and edit.seq > $2 and edited.release_id = any ($1::bigint[])
union
select named.release_id
from operations edit
cross join lateral unnest(edit.entities) as entity (name)
cross join lateral (
    select case when entity.name like 'release:%' then split_part(entity.name, ':', 2)::bigint
                when entity.name like 'episode:%'
                then (select e.release_id from episodes e where e.id = split_part(entity.name, ':', 2)::bigint)
           end as release_id
) named
where edit.shared and edit.seq > $2 and edit.status = 'succeeded' and named.release_id = any ($1::bigint[]);
