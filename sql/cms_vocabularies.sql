-- Written for genres. Tags and franchises are tables of the same shape: for them `sql.cms_vocabularies` puts their
-- name into these statements.

-- name: new_word_ids
select nextval(pg_get_serial_sequence('genres', 'id')) as id from generate_series(1, $1::integer);

-- name: word_places
-- These words, and who has these names and slugs now.
select w.id, w.name, w.name_key, w.slug, w.deleted_at is not null as deleted
from genres w
where w.id = any ($1::bigint[])
   or w.deleted_at is null and w.name_key = any ($2::text[])
   or w.deleted_at is null and w.slug = any ($3::text[]);

-- name: insert_words
insert into genres (id, name, name_key, slug)
select id, name, name_key, slug from unnest($1::bigint[], $2::text[], $3::text[], $4::text[]) as said (id, name, name_key, slug)
returning id;

-- name: vacate_words
-- Their names are wanted by others of the same statement, and the index looks row by row: out of the way they go, and
-- come back with `update_words`.
update genres set deleted_at = now() where id = any ($1::bigint[]);

-- name: update_words
update genres w set
    name = said.name, name_key = said.name_key, slug = said.slug, deleted_at = null, updated_at = now()
from unnest($1::bigint[], $2::text[], $3::text[], $4::text[]) as said (id, name, name_key, slug)
where w.id = said.id and (w.deleted_at is not null or (w.name, w.slug) is distinct from (said.name, said.slug))
returning w.id;

-- name: delete_words
update genres set deleted_at = now(), updated_at = now() where id = any ($1::bigint[]) and deleted_at is null
returning id;

-- name: word_documents
-- As they are written, for those who edit them.
select w.id, (
    select row_to_json(shown)::text from (
        select w.id, w.name, w.slug, rfc3339(w.created_at) as created_at, rfc3339(w.updated_at) as updated_at,
               rfc3339(w.deleted_at) as deleted_at
    ) shown) as document
from genres w
where w.id = any ($1::bigint[]) and ($2::boolean or w.deleted_at is null);
