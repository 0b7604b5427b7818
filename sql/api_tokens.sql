-- name: find_token
select u.id as user_id, u.role, u.credentials_version, t.id as token_id, t.scopes, t.expires_at
from api_tokens t
join users u on u.id = t.user_id
where t.token_hash = $1 and (t.expires_at is null or t.expires_at > now());

-- name: lock_owner
-- Tokens of one user are made one after another, so that their number holds. Counting is for the next statement: this
-- one's view of the table is older than the lock.
select true from users where id = $1 for no key update;

-- name: create_token
with made as (
    insert into api_tokens (user_id, name, token_hash, scopes, expires_at) values ($1, $2, $3, $4, $5)
    returning *
)
select id, (select row_to_json(shown)::text from (
    select id, name, scopes, rfc3339(created_at) as created_at, rfc3339(last_used_at) as last_used_at,
        rfc3339(expires_at) as expires_at, $6::text as token
) shown) as body
from made;

-- name: list_tokens
select row_to_json(shown)::text as token
from (
    select id, name, scopes, rfc3339(created_at) as created_at, rfc3339(last_used_at) as last_used_at,
        rfc3339(expires_at) as expires_at
    from api_tokens
    where user_id = $1
    order by api_tokens.created_at desc, id
    limit $2 offset $3
) shown;

-- name: count_tokens
select count(*) from api_tokens where user_id = $1;

-- name: get_token
select row_to_json(shown)::text
from (
    select id, name, scopes, rfc3339(created_at) as created_at, rfc3339(last_used_at) as last_used_at,
        rfc3339(expires_at) as expires_at
    from api_tokens
    where id = $1 and user_id = $2
) shown;

-- name: delete_token
delete from api_tokens where id = $1 and user_id = $2;
