-- name: current
-- The newest first, so that a bound leaves out what expires soonest.
select session_id, token_id, user_id, credentials_version
from revocations
where expires_at > now()
order by expires_at desc
limit $1;

-- name: revoke_sessions
-- A minute more than an access token lives.
insert into revocations (session_id, expires_at)
select one, now() + interval '16 minutes' from unnest($1::uuid[]) one;

-- name: revoke_tokens
insert into revocations (token_id, expires_at)
select one, now() + interval '16 minutes' from unnest($1::uuid[]) one;

-- name: revoke_versions
insert into revocations (user_id, credentials_version, expires_at) values ($1, $2, now() + interval '16 minutes');
