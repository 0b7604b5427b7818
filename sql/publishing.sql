-- name: anything_due
select exists (select from releases where publish_at <= now() and deleted_at is null) as due;

-- name: lock_due
-- Another instance may be at some of them; whoever edits one is waited for by the next round.
select id, announced, rfc3339(publish_at) as publish_at
from releases
where publish_at <= now() and deleted_at is null
order by releases.publish_at, id
limit $1
for update skip locked;

-- name: publish
update releases set is_published = true, publish_at = null, announced = true, updated_at = now()
where id = any ($1::bigint[]);
