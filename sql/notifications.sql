-- name: record
-- What may be told: parallel arrays, in their order. Left out is what nobody may see or nobody waits for, and what repeats
-- something of less than $8 away. One consumer calls this, under the lock of its cursor.
with said as materialized (
    select *
    from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::jsonb[], $7::timestamptz[])
        with ordinality as s (type, target_type, target_id, release_id, recipient_id, data, created_at, place)
)
insert into notification_events (type, target_type, target_id, release_id, recipient_id, data, created_at)
select s.type, s.target_type, s.target_id, s.release_id, s.recipient_id, s.data, s.created_at
from said s
where not exists (
    select from notification_events e
    where e.target_id = s.target_id and e.type = s.type
      and e.created_at > s.created_at - $8::interval and e.created_at < s.created_at + $8::interval
      and e.target_type = s.target_type and e.recipient_id is not distinct from s.recipient_id
      -- A moderator who thinks better of it has decided twice.
      and e.data ->> 'decision' is not distinct from s.data ->> 'decision'
) and case when s.recipient_id is not null then exists (select from users u where u.id = s.recipient_id)
    else exists (
        select from releases r
        where r.id = s.release_id and r.visible and (
            exists (select from subscriptions f where f.subscription_type = 'franchise' and f.target_id = r.franchise_id
                    and f.deleted_at is null)
            or s.type = 'new_episode' and exists (
                select from subscriptions f where f.subscription_type = 'release' and f.target_id = r.id
                    and f.deleted_at is null)
            or s.type = 'new_release' and exists (
                select from unnest(r.genre_ids) as genre_id
                where exists (select from subscriptions f where f.subscription_type = 'genre'
                              and f.target_id = genre_id and f.deleted_at is null)))
    ) and (s.target_type <> 'episode' or exists (
        select from episodes p where p.id = s.target_id and p.release_id = s.release_id and p.deleted_at is null))
    end
order by s.place;

-- name: enqueue_personal
insert into notification_events (type, target_type, target_id, release_id, recipient_id, data)
select * from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::jsonb[]);

-- name: since
-- The first $3 of each user in $1 behind the id at the same place in $2, in their order.
select n.user_id, n.id, e.type, e.target_type, e.target_id, e.data, e.release_id, r.slug, r.title,
       trim_scale(p.ordinal)::text as ordinal, a.username as actor, n.read_at is not null as read, u.locale, n.created_at
from unnest($1::bigint[], $2::bigint[]) as w (user_id, after_id)
join users u on u.id = w.user_id
cross join lateral (
    select * from notifications n where n.user_id = w.user_id and n.id > w.after_id order by n.id limit $3
) n
join notification_events e on e.id = n.event_id
left join releases r on r.id = e.release_id and r.visible
left join episodes p on e.target_type = 'episode' and p.id = e.target_id and p.deleted_at is null
left join users a on e.type = 'reply' and a.id = case when e.data ->> 'author_id' ~ '^[0-9]{1,18}$' then (e.data ->> 'author_id')::bigint end
order by n.user_id, n.id;

-- name: newest
select coalesce(max(id), 0) from notifications where user_id = $1;

-- name: page_of_all
-- The next $3 of a user before id $2, the newest first.
select n.user_id, n.id, e.type, e.target_type, e.target_id, e.data, e.release_id, r.slug, r.title,
       trim_scale(p.ordinal)::text as ordinal, a.username as actor, n.read_at is not null as read, u.locale, n.created_at
from (select * from notifications where user_id = $1 and id < $2 order by id desc limit $3) n
join users u on u.id = n.user_id
join notification_events e on e.id = n.event_id
left join releases r on r.id = e.release_id and r.visible
left join episodes p on e.target_type = 'episode' and p.id = e.target_id and p.deleted_at is null
left join users a on e.type = 'reply' and a.id = case when e.data ->> 'author_id' ~ '^[0-9]{1,18}$' then (e.data ->> 'author_id')::bigint end
order by n.id desc;

-- name: page_of_unread
-- As above, of those that are not read.
select n.user_id, n.id, e.type, e.target_type, e.target_id, e.data, e.release_id, r.slug, r.title,
       trim_scale(p.ordinal)::text as ordinal, a.username as actor, n.read_at is not null as read, u.locale, n.created_at
from (
    select * from notifications where user_id = $1 and id < $2 and read_at is null order by id desc limit $3
) n
join users u on u.id = n.user_id
join notification_events e on e.id = n.event_id
left join releases r on r.id = e.release_id and r.visible
left join episodes p on e.target_type = 'episode' and p.id = e.target_id and p.deleted_at is null
left join users a on e.type = 'reply' and a.id = case when e.data ->> 'author_id' ~ '^[0-9]{1,18}$' then (e.data ->> 'author_id')::bigint end
order by n.id desc;

-- name: count_notifications
select count(*) from (select from notifications where user_id = $1 limit $2) counted;

-- name: unread_counts
select user_id, unread from notification_budgets where user_id = any ($1::bigint[]);

-- name: mark_read
-- The budget is locked before the rows it counts, as everywhere; what it says under the lock is never older than what
-- whoever held the lock before has changed. No row: the user has no such notification.
with budget as materialized (
    select user_id, unread from notification_budgets where user_id = $1 for update
), marked as (
    update notifications n set read_at = now()
    from budget b
    where n.user_id = b.user_id and n.id = $2 and n.read_at is null
    returning n.id
), counted as (
    update notification_budgets b set unread = b.unread - 1 from marked where b.user_id = $1 returning b.unread
), told as (
    select pg_notify('yojohan_invalidate', 'unread:' || $1 || '-' || $1) from marked
)
select (select count(*)::integer from marked) as changed, coalesce(c.unread, b.unread) as unread,
       (select count(*)::integer from told) as told
from notifications n
join budget b on b.user_id = n.user_id
left join counted c on true
where n.user_id = $1 and n.id = $2;

-- name: mark_all_read
-- Up to $3 of the user's unread ones, none above id $2.
with budget as materialized (
    select user_id from notification_budgets where user_id = $1 for update
), unread as materialized (
    select n.id
    from budget b
    cross join lateral (
        select id from notifications where user_id = b.user_id and read_at is null and id <= $2 order by id limit $3
    ) n
), marked as (
    update notifications n set read_at = now()
    from unread u
    where n.user_id = $1 and n.id = u.id and n.read_at is null
    returning n.id
), counted as (
    update notification_budgets b set unread = b.unread - (select count(*) from marked)
    where b.user_id = (select user_id from budget)
    returning b.unread
)
select (select count(*)::integer from marked) as changed, unread,
       pg_notify('yojohan_invalidate', 'unread:' || $1 || '-' || $1)::text as notified
from counted;

-- name: delete_notification
with budget as materialized (
    select user_id from notification_budgets where user_id = $1 for update
), gone as (
    delete from notifications n using budget b where n.user_id = b.user_id and n.id = $2 returning n.read_at
), counted as (
    update notification_budgets b set unread = b.unread - (gone.read_at is null)::integer
    from gone
    where b.user_id = $1
    returning b.unread
)
select 1 as changed, unread, pg_notify('yojohan_invalidate', 'unread:' || $1 || '-' || $1)::text as notified
from counted;
