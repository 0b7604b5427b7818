-- What goes out by e-mail. Rows that were leased together have the same `leased_until`: they stay one mail, whatever
-- becomes due later, so that a mail sent twice is the same mail. While it lies ahead nobody else sends to that user:
-- somebody is at it, or it was tried and is to wait. `due_at` is moved along, so that the index leads past them.

-- name: lock_next
-- Somebody with mail to send, locked until the transaction ends. What is leased is looked up by the next statement,
-- which sees what the last holder of this lock has committed.
with due as materialized (
    select m.user_id, m.due_at
    from notification_mails m
    where m.sent_at is null and m.due_at <= now()
        and not exists (
            select from notification_mails l
            where l.user_id = m.user_id and l.sent_at is null and l.leased_until > now())
    order by m.due_at, m.user_id
    limit 64
)
select user_id from due where pg_try_advisory_xact_lock(4500051, hashint8(user_id)) limit 1;

-- name: lease
-- A mail of this user's: the one that was begun first, else all that is due. None while one is leased.
with waiting as materialized (
    select event_id, leased_until, due_at from notification_mails
    where user_id = $1 and sent_at is null
), chosen as (
    select event_id from waiting
    where due_at <= now() and leased_until is not distinct from (select min(leased_until) from waiting)
        and not exists (select from waiting l where l.leased_until > now())
    order by event_id
    limit 5000
)
update notification_mails m
set leased_until = now() + make_interval(secs => $2::float8), due_at = now() + make_interval(secs => $2::float8)
from chosen
where m.user_id = $1 and m.event_id = chosen.event_id and m.sent_at is null
returning m.event_id, m.attempts, m.leased_until, m.doubted;

-- name: reader
-- Mail goes to verified addresses only.
select username, locale, email from users
where id = $1 and email is not null and email_verified_at is not null;

-- name: items
-- What the mail tells, in order: of what was leased that which can still be seen, which the reader has not muted, and
-- which they still want by mail. A digest stands for types of every kind.
select m.user_id, e.id, e.type, e.target_type, e.target_id, e.data, e.release_id, r.slug, r.title,
       trim_scale(ep.ordinal)::text as ordinal, author.username as actor, false as read, u.locale, e.created_at
from notification_mails m
join notification_events e on e.id = m.event_id
join users u on u.id = m.user_id
join notification_preferences p on p.user_id = m.user_id
left join releases r on r.id = e.release_id and r.visible
left join episodes ep on e.target_type = 'episode' and ep.id = e.target_id and ep.deleted_at is null
left join users author on author.id = case
    when e.type = 'reply' and e.data ->> 'author_id' ~ '^[0-9]{1,18}$' then (e.data ->> 'author_id')::bigint end
where m.user_id = $1 and m.event_id = any ($2::bigint[]) and m.sent_at is null
    and (e.release_id is null or r.id is not null)
    and (e.target_type <> 'episode' or ep.id is not null)
    and (p.email_instant | p.email_daily | p.email_weekly) & case e.type
        when 'new_episode' then 2 when 'new_release' then 4 when 'recommendation' then 8 when 'reply' then 16
        when 'moderation' then 32 else 62 end <> 0
    and (e.type = 'moderation' or not exists (
        select from notification_mutes s
        where s.user_id = m.user_id and case s.target_type
            when 'release' then s.target_id = r.id
            when 'franchise' then s.target_id = r.franchise_id
            else e.type in ('new_release', 'recommendation') and s.target_id = any (r.genre_ids) end))
order by e.id;

-- name: mark_sent
-- Not if the lease is another's by now: what becomes of the mail is theirs to say.
update notification_mails set sent_at = now()
where user_id = $1 and event_id = any ($2::bigint[]) and sent_at is null and leased_until = $3;

-- name: drop_mails
delete from notification_mails
where user_id = $1 and event_id = any ($2::bigint[]) and sent_at is null and leased_until = $3;

-- name: retry
-- What came meanwhile waits with it: the same address would most likely refuse that as well.
update notification_mails
set due_at = now() + make_interval(secs => $5::float8),
    leased_until = case when event_id = any ($2::bigint[]) then now() + make_interval(secs => $5::float8) end,
    attempts = case when event_id = any ($2::bigint[]) then $4 else attempts end,
    doubted = doubted or ($6::boolean and event_id = any ($2::bigint[]))
where user_id = $1 and sent_at is null
    and (event_id = any ($2::bigint[]) and leased_until = $3
        or leased_until is null and due_at <= now() + make_interval(secs => $5::float8));

-- name: oldest_due
-- For how many seconds the oldest mail that could go out has waited.
select extract(epoch from now() - min(due_at))::float8
from notification_mails where sent_at is null and due_at <= now();
