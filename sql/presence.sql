-- name: save_presence
-- Users who are gone meanwhile are left out. In the order of ids, so that two instances do not lock each other out.
insert into user_presence as stored (user_id, last_active_at)
select u.id, $2 from users u where u.id = any ($1::bigint[]) order by u.id for key share
on conflict (user_id) do update set last_active_at = excluded.last_active_at
where stored.last_active_at < excluded.last_active_at;

-- name: save_token_use
update api_tokens set last_used_at = $2
where id = any ($1::uuid[]) and (last_used_at is null or last_used_at < $2);
