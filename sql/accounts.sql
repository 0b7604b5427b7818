-- name: username_taken
select exists (select from users where username_key = $1);

-- name: create
insert into users (username, username_key, email, email_key, password_hash)
values ($1, $2, $3, $4, $5)
on conflict (username_key) do nothing
returning id;

-- name: me
select row_to_json(me)::text
from (
    select u.id, u.email, u.email_verified_at is not null as email_verified, u.username, u.name, u.role, u.is_public,
        u.locale, u.time_zone, rfc3339(u.created_at) as created_at,
        $2::uuid as session_id, $3::uuid as token_id, $4::text[] as scopes
    from users u
    where u.id = $1
) me;

-- name: claimants
-- Of all who claim this address: the newest who has not proved it, and the one who has, or else the oldest.
with newest as (
    select id, password_hash from users
    where email_key = $1 and email_verified_at is null
    order by email_key desc, id desc limit 1
), settled as (
    select id, password_hash from users where email_key = $1 and email_verified_at is not null
), oldest as (
    select id, password_hash from users
    where email_key = $1 and email_verified_at is null and not exists (select from settled)
        and id <> (select id from newest)
    order by email_key, id limit 1
)
select id, password_hash from newest
union all select id, password_hash from settled
union all select id, password_hash from oldest;

-- name: by_username
select id, password_hash from users where username_key = $1;

-- name: password_of
select username, email, password_hash from users where id = $1;

-- name: lock_if_password
-- Whoever signs in meanwhile with a password that has just been changed finds nothing here. Sign-ins of one account
-- take turns.
select id as user_id, role, credentials_version
from users
where id = $1 and password_hash = $2
for no key update;

-- name: rehash
update users set password_hash = $3 where id = $1 and password_hash = $2;

-- name: lock
-- A statement of its own: the one after it sees what the lock was waited for.
select id from users where id = $1 for no key update;

-- name: set_password
-- The new version refuses every token at once; sessions and API tokens end for good, all but the session $3.
with changed as (
    update users set password_hash = $2, credentials_version = credentials_version + 1
    where id = $1
    returning id, credentials_version
), ended as (
    update sessions set revoked_at = now(), expires_at = now()
    where user_id = $1 and revoked_at is null and id is distinct from $3
), cleared as (
    delete from api_tokens where user_id = $1
), spent as (
    delete from account_tokens where user_id = $1 and purpose = 'reset'
), noted as (
    insert into revocations (user_id, credentials_version, expires_at)
    select id, credentials_version, now() + interval '16 minutes' from changed
)
select credentials_version from changed;

-- name: raise_version
with changed as (
    update users set credentials_version = credentials_version + 1 where id = $1 returning id, credentials_version
), noted as (
    insert into revocations (user_id, credentials_version, expires_at)
    select id, credentials_version, now() + interval '16 minutes' from changed
)
select credentials_version from changed;

-- name: owner_of_address
select id from users
where email_key = $1
order by email_verified_at is null, id
limit 1;

-- name: free_username
select name
from unnest($1::text[], $2::text[]) with ordinality as proposed (name, key, place)
where not exists (select from users where username_key = key)
order by place
limit 1;

-- name: make_administrator
update users set role = 'admin', email_verified_at = coalesce(email_verified_at, now()) where id = $1;
