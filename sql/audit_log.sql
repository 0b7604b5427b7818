-- name: get_revision
select noun, entity_id, action, diff, undone_by from revisions where id = $1;
