-- name: publish
insert into outbox (topic, entity, user_id, payload)
select * from unnest($1::text[], $2::text[], $3::bigint[], $4::jsonb[]);
