-- name: ask_for_mail
-- Writes an event whether there is such an account or not, so that neither answer nor time tells which. That of no
-- account belongs to nobody and is passed over.
insert into outbox (topic, entity, user_id, payload)
select 'mail', 'user:' || coalesce(account.id, 0), account.id, '{"kind": "reset"}'
from (select 1) always
left join lateral (
    select id from users
    where email_key = $1
    order by email_verified_at is null, id
    limit 1
) account on true;

-- name: unverified_address
select email_key from users where id = $1 and email_verified_at is null and email_key is not null;

-- name: make_token
-- The one-time token of a mail, in place of older ones. Whose address is not verified gets the mail that verifies it,
-- whatever was asked for; who has nothing left to verify gets none.
with account as (
    select id, username, email, email_key, locale,
        case when email_verified_at is null then 'verify' else 'reset' end as purpose
    from users
    where id = $1 and email is not null and ($2 = 'reset' or email_verified_at is null)
), replaced as (
    delete from account_tokens t using account a where t.user_id = a.id and t.purpose = a.purpose
), made as (
    insert into account_tokens (token_hash, user_id, purpose, email_key, expires_at)
    select $3, id, purpose, email_key,
        now() + case purpose when 'verify' then interval '48 hours' else interval '1 hour' end
    from account
)
select username, email, locale, purpose from account;

-- name: owner_of_token
select u.username, u.email
from account_tokens t
join users u on u.id = t.user_id and u.email_key = t.email_key
where t.token_hash = $1 and t.purpose = 'reset' and t.expires_at > now();

-- name: take_token
-- A token is taken once; one sent to an address that the account no longer has counts no more.
with taken as (
    delete from account_tokens where token_hash = $1 and purpose = $2 and expires_at > now()
    returning user_id, email_key
)
select u.id
from taken t
join users u on u.id = t.user_id and u.email_key = t.email_key;

-- name: verify_address
update users set email_verified_at = now() where id = $1 and email_verified_at is null;
