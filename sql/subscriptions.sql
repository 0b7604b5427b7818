-- name: create_subscription
-- All of it happens in the function: a transaction of one statement, one round trip, one commit.
select outcome, id, title, created_at from subscribe($1, $2, $3, $4);

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
    left join genres g on s.subscription_type = 'genre' and g.id = s.target_id and g.deleted_at is null
    left join franchises f
        on s.subscription_type = 'franchise' and f.id = s.target_id and f.deleted_at is null
    order by s.id desc
) shown;

-- name: count_subscriptions
select count(*) from subscriptions
where user_id = $1 and deleted_at is null and ($2::text is null or subscription_type = $2);
