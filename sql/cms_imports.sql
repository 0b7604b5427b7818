-- name: edited_since
-- Of these releases those that an edit has changed that was accepted after the import, them or an episode of theirs.
select distinct edited.release_id as id
from operations edit
join revisions r on r.operation_id = edit.id and r.noun in ('release', 'episode')
left join episodes e on r.noun = 'episode' and e.id = r.entity_id
cross join lateral (select case r.noun when 'release' then r.entity_id else e.release_id end as release_id) edited
where edit.shared and edit.seq > $2 and edited.release_id = any ($1::bigint[]);
