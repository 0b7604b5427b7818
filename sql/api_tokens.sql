-- name: find_token
select u.id as user_id, u.role, u.credentials_version, t.id as token_id, t.scopes, t.expires_at
from api_tokens t
join users u on u.id = t.user_id
where t.token_hash = $1 and (t.expires_at is null or t.expires_at > now());
