-- name: lock_preferences
-- Taken before the mails go: who wants them back at the same time comes after.
select user_id from notification_preferences where user_id = $1 for update;

-- name: switch_off
update notification_preferences
set email_instant = email_instant & ~$2::smallint,
    email_daily = email_daily & ~$2::smallint,
    email_weekly = email_weekly & ~$2::smallint,
    updated_at = now()
where user_id = $1 and (email_instant | email_daily | email_weekly) & $2::smallint <> 0;

-- name: drop_waiting
-- What is in somebody's hand just now goes out. A digest goes where no type is left that wants mail.
delete from notification_mails m
using notification_events e
where m.user_id = $1 and m.sent_at is null and (m.leased_until is null or m.leased_until <= now())
    and e.id = m.event_id
    and case e.type
        when 'new_episode' then 2 when 'new_release' then 4 when 'recommendation' then 8 when 'reply' then 16
        when 'moderation' then 32 else 62 end & ~$2::integer = 0;
