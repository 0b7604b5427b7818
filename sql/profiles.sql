-- name: get_profile
select row_to_json(profile)::text
from (
    select id, username, email, email_verified_at is not null as email_verified, name, bio, locale, time_zone,
        is_public, role, rfc3339(created_at) as created_at, rfc3339(updated_at) as updated_at,
        null::text as avatar
    from users
    where id = $1
) profile;

-- name: lock_revision
-- The account's row is locked first and then its revision's, as in every write that devices hear of: two of them
-- cannot wait for each other. As for an update of a username at once, since a lock that grows could wait for itself.
insert into user_revisions as held (user_id) select id from users where id = $1 for update
on conflict (user_id) do update set revision = held.revision
returning revision + 1;

-- name: update_profile
update users set
    name = coalesce($3, name),
    bio = coalesce($4, bio),
    locale = coalesce($5, locale),
    time_zone = coalesce($6, time_zone),
    is_public = coalesce($7, is_public),
    username = coalesce($8, username),
    username_key = coalesce($9, username_key),
    revision = $2,
    updated_at = now()
where id = $1 and (name, bio, locale, time_zone, is_public, username) is distinct from (
    coalesce($3, name), coalesce($4, bio), coalesce($5, locale), coalesce($6, time_zone), coalesce($7, is_public),
    coalesce($8, username)
);

-- name: raise_revision
update user_revisions set revision = $2 where user_id = $1;

-- name: get_user
-- $2 is who asks (null: nobody we know), $3 whether they may see everything.
select case
    when u.is_public or u.id = $2 or $3 then (select row_to_json(open)::text from (
        select u.id, u.username, u.name, u.bio, rfc3339(u.created_at) as joined_at, u.is_public,
            null::text as avatar
    ) open)
    else (select row_to_json(closed)::text from (select u.id, u.username, u.is_public) closed)
end
from users u
where u.id = $1;

-- name: find_users
-- Keys between the prefix ($1) and what lies behind all that begin with it ($2); after the key $3, if there is one.
-- Compared byte by byte, which is the order of the index: no character means anything else than itself.
select row_to_json(found)::text as person, page.username_key as key
from (
    select * from users
    where is_public and username_key ~>=~ $1 and username_key ~<~ $2 and ($3::text is null or username_key ~>~ $3)
    order by username_key using ~<~
    limit $4 offset $5
) page, lateral (
    select page.id, page.username, page.name, page.bio, rfc3339(page.created_at) as joined_at, page.is_public,
        null::text as avatar
) found
order by page.username_key using ~<~;

-- name: count_users
-- Counts up to $3: beyond it the exact number is worth less than what it costs.
select count(*)
from (select from users where is_public and username_key ~>=~ $1 and username_key ~<~ $2 limit $3) reached;
