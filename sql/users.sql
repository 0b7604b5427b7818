-- name: get_user
select row_to_json(shown)::text from (
    select
        u.id, u.username, u.name, u.email, u.email_verified_at is not null as email_verified, u.role, u.is_public,
        rfc3339(u.created_at) as created_at, rfc3339(u.updated_at) as updated_at,
        (select rfc3339(p.last_active_at) from user_presence p where p.user_id = u.id) as last_active_at,
        (select count(*) from sessions s where s.user_id = u.id and s.revoked_at is null and s.expires_at > now())
            as sessions,
        (select count(*) from api_tokens t where t.user_id = u.id) as tokens
    from users u where u.id = $1
) shown;

-- name: lock_administrators
-- Whoever changes roles takes turns here: two administrators cannot take away each other's role.
select id from users where role = 'admin' order by id for update;

-- name: facts
select name, role, is_public from users where id = $1;

-- name: set_role
update users set role = $2, updated_at = now() where id = $1 and role <> $2;
