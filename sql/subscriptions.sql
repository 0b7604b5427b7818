-- name: subscription_target
-- The title of what may be followed, or NULL.
select case $1::text
    when 'release' then (select title from releases where id = $2 and visible)
    when 'genre' then (select name from genres where id = $2)
    when 'franchise' then (select name from franchises where id = $2)
end;

-- name: raise_for_creation
-- The user's revision under its row's lock, which also puts everything that follows in this transaction in a row. The
-- account is locked before it, as in every write that devices hear of.
insert into user_revisions as r (user_id, revision) select id, 1 from users where id = $1 for key share
on conflict (user_id) do update set revision = r.revision + 1
returning revision;

-- name: count_active
select count(*) from (select from subscriptions where user_id = $1 and deleted_at is null limit $2) active;

-- name: create_subscription
insert into subscriptions (user_id, subscription_type, target_id, revision) values ($1, $2, $3, $4)
on conflict (user_id, subscription_type, target_id) where deleted_at is null do nothing
returning id, rfc3339(created_at) as created_at;

-- name: find_subscription
select deleted_at is null as active from subscriptions where id = $1 and user_id = $2;

-- name: raise_for_deletion
-- Nothing if it is deleted already.
insert into user_revisions as r (user_id, revision)
select u.id, 1
from users u
join subscriptions s on s.user_id = u.id
where s.id = $1 and u.id = $2 and s.deleted_at is null
for key share of u
on conflict (user_id) do update set revision = r.revision + 1
returning revision;

-- name: delete_subscription
update subscriptions set deleted_at = now(), revision = $3
where id = $1 and user_id = $2 and deleted_at is null;

-- name: list_subscriptions
select row_to_json(shown)::text as subscription
from (
    select s.id, s.subscription_type, s.target_id, coalesce(r.title, g.name, f.name) as title,
        rfc3339(s.created_at) as created_at
    from (
        select id, subscription_type, target_id, created_at from subscriptions
        where user_id = $1 and deleted_at is null and ($2::text is null or subscription_type = $2)
        order by id desc
        limit $3 offset $4
    ) s
    left join releases r on s.subscription_type = 'release' and r.id = s.target_id and r.visible
    left join genres g on s.subscription_type = 'genre' and g.id = s.target_id
    left join franchises f on s.subscription_type = 'franchise' and f.id = s.target_id
    order by s.id desc
) shown;

-- name: count_subscriptions
select count(*) from subscriptions
where user_id = $1 and deleted_at is null and ($2::text is null or subscription_type = $2);
