-- name: record
-- Parallel arrays, in the order in which it happened; what a revision takes back learns by which one.
with said as materialized (
    select nextval(pg_get_serial_sequence('revisions', 'id')) as id, s.*
    from unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::uuid[], $7::jsonb[], $8::bigint[])
        with ordinality as s (noun, entity_id, action, origin, actor_id, operation_id, diff, undoes, place)
    order by place
), taken_back as (
    update revisions r set undone_by = s.id
    from (select undoes, max(id) as id from said where undoes is not null group by undoes) s
    where r.id = s.undoes
)
insert into revisions (id, noun, entity_id, action, origin, actor_id, operation_id, diff, undoes)
overriding system value
select id, noun, entity_id, action, origin, actor_id, operation_id, diff, undoes from said order by place;
