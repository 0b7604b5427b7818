-- name: open_session
with opened as (
    insert into sessions (user_id, user_agent, network, expires_at)
    values ($1, $2, $3, now() + interval '30 days')
    returning id
)
insert into refresh_tokens (token_hash, session_id)
select $4::bytea, id from opened
returning session_id;

-- name: trim_sessions
-- Called under the account's lock. The session just opened is the most recently used.
with extra as (
    select id from sessions
    where user_id = $1 and revoked_at is null
    order by last_used_at desc, created_at desc
    offset $2
)
update sessions set revoked_at = now(), expires_at = now()
where id in (select id from extra)
returning id;

-- name: lock_session_of
-- Refreshes of one session take turns; what became of the token is read by the statement after this one.
select id as session_id, user_id, revoked_at is null and expires_at > now() as alive
from sessions
where id = (select session_id from refresh_tokens where token_hash = $1)
for no key update;

-- name: refresh_state
-- The clock, not the transaction's start: whoever waited for the lock began before the token was first used.
select extract(epoch from clock_timestamp() - t.used_at)::float8 as used_for, u.role, u.credentials_version
from refresh_tokens t, users u
where t.token_hash = $1 and u.id = $2;

-- name: rotate
with used as (
    update refresh_tokens set used_at = coalesce(used_at, clock_timestamp()) where token_hash = $1
), moved as (
    update sessions set last_used_at = now(), expires_at = now() + interval '30 days' where id = $2
)
insert into refresh_tokens (token_hash, session_id) values ($3, $2);

-- name: lock_session
-- A statement of its own: the one after it sees the tokens that a refresh meanwhile has given out.
select id from sessions where id = $1 for no key update;

-- name: renew
-- One pair in the place of all the session has given out.
with kept as (
    update sessions set last_used_at = now(), expires_at = now() + interval '30 days'
    where id = $1 and user_id = $2 and revoked_at is null
    returning id
), gone as (
    delete from refresh_tokens where session_id in (select id from kept)
)
insert into refresh_tokens (token_hash, session_id)
select $3::bytea, id from kept
returning session_id;

-- name: session_of
select session_id from refresh_tokens where token_hash = $1;

-- name: end_sessions
-- Ended is expired, too, so that housekeeping finds it.
update sessions set revoked_at = now(), expires_at = now()
where id = any ($1::uuid[]) and revoked_at is null
returning id;

-- name: end_own_session
update sessions set revoked_at = now(), expires_at = now()
where id = $1 and user_id = $2 and revoked_at is null and expires_at > now()
returning id;

-- name: end_other_sessions
update sessions set revoked_at = now(), expires_at = now()
where user_id = $1 and id is distinct from $2 and revoked_at is null
returning id;

-- name: list_sessions
select row_to_json(found)::text as session
from (
    select id, user_agent, network, id is not distinct from $2::uuid as current, rfc3339(created_at) as created_at,
        rfc3339(last_used_at) as last_used_at, rfc3339(expires_at) as expires_at
    from sessions
    where user_id = $1 and revoked_at is null and expires_at > now()
    order by sessions.last_used_at desc, id
    limit $3 offset $4
) found;

-- name: count_sessions
select count(*) from sessions where user_id = $1 and revoked_at is null and expires_at > now();
