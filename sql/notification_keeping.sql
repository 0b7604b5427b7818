-- Each query deletes at most $1 rows whose time is over and says how many; the days are $2. Whoever is busy with a row, or
-- with the budget that counts it, is not waited for. Rows are deleted where they lie: they are locked by then, and no plan
-- for an unknown number of them can read the whole table.

-- name: read_notifications
with gone as (
    delete from notifications where ctid = any (array(
        select ctid from notifications
        where read_at < now() - make_interval(days => $2)
        order by read_at limit $1
        for update skip locked
    ))
    returning 1
)
select count(*) from gone;

-- name: unread_notifications
-- What nobody has read in all that time leaves the count, too: its row is locked before the notifications, as everywhere.
with old as materialized (
    select user_id, ctid as place from notifications
    where created_at < now() - make_interval(days => $2) and read_at is null
    order by created_at limit $1
), locked as materialized (
    select user_id from notification_budgets where user_id = any (array(select user_id from old))
    order by user_id for update skip locked
), gone as (
    delete from notifications n
    where n.ctid = any (array(select o.place from old o join locked l on l.user_id = o.user_id)) and n.read_at is null
    returning n.user_id
), counted as (
    update notification_budgets b
    set unread = b.unread - (select count(*) from gone g where g.user_id = b.user_id)
    where b.user_id = any (array(select user_id from gone))
    returning b.user_id
), told as (
    select pg_notify('yojohan_invalidate', 'unread:' || min(user_id) || '-' || max(user_id)) from counted having count(*) > 0
)
select count(*) + 0 * (select count(*) from told) from gone;

-- name: events
with gone as (
    delete from notification_events where ctid = any (array(
        select ctid from notification_events
        where created_at < now() - make_interval(days => $2) and done_at is not null
        order by created_at limit $1
        for update skip locked
    ))
    returning 1
)
select count(*) from gone;

-- name: sent_mails
with gone as (
    delete from notification_mails where ctid = any (array(
        select ctid from notification_mails
        where sent_at < now() - make_interval(days => $2)
        order by sent_at limit $1
        for update skip locked
    ))
    returning 1
)
select count(*) from gone;

-- name: stale_mails
-- What could not be sent in all that time is no news any more.
with gone as (
    delete from notification_mails where ctid = any (array(
        select ctid from notification_mails
        where due_at < now() - make_interval(days => $2) and sent_at is null
        order by due_at, user_id limit $1
        for update skip locked
    ))
    returning 1
)
select count(*) from gone;
