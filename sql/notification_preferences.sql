-- name: get_preferences
-- What the user has chosen, or the defaults.
select coalesce(p.in_app, 62)::integer as in_app, coalesce(p.email_instant, 0)::integer as email_instant,
       coalesce(p.email_daily, 0)::integer as email_daily, coalesce(p.email_weekly, 0)::integer as email_weekly,
       to_char(p.quiet_start, 'HH24:MI') as quiet_start, to_char(p.quiet_end, 'HH24:MI') as quiet_end,
       coalesce(p.time_zone, u.time_zone) as time_zone
from users u
left join notification_preferences p on p.user_id = u.id
where u.id = $1;

-- name: list_mutes
select target_type, target_id from notification_mutes where user_id = $1 order by created_at, target_type, target_id limit $2;

-- name: lock_owner
-- Whoever writes preferences or mutes waits here for others who do, and for whoever erases the account. What is counted
-- or looked up by the statements after it is seen as those left it.
select id from users where id = $1 for no key update;

-- name: put_preferences
-- The time zone is asked for the time it shows: one that this server does not know is an error of whoever sent it.
insert into notification_preferences
    (user_id, in_app, email_instant, email_daily, email_weekly, quiet_start, quiet_end, time_zone)
select u.id, $2, $3, $4, $5, $6::text::time, $7::text::time, coalesce($8, p.time_zone, u.time_zone)
from users u
left join notification_preferences p on p.user_id = u.id
where u.id = $1 and now() at time zone coalesce($8, 'UTC') is not null
on conflict (user_id) do update set
    in_app = excluded.in_app, email_instant = excluded.email_instant, email_daily = excluded.email_daily,
    email_weekly = excluded.email_weekly, quiet_start = excluded.quiet_start, quiet_end = excluded.quiet_end,
    time_zone = excluded.time_zone, updated_at = now();

-- name: drop_other_mutes
delete from notification_mutes m
where m.user_id = $1 and not exists (
    select from unnest($2::text[], $3::bigint[]) as w (target_type, target_id)
    where w.target_type = m.target_type and w.target_id = m.target_id
);

-- name: unknown_mutes
-- The places, from 0, of those that name nothing there is. What is muted already may have gone since.
select w.place::integer - 1 as place
from unnest($2::text[], $3::bigint[]) with ordinality as w (target_type, target_id, place)
where not exists (
        select from notification_mutes m
        where m.user_id = $1 and m.target_type = w.target_type and m.target_id = w.target_id)
    and not case w.target_type
        when 'release' then exists (select from releases r where r.id = w.target_id and r.visible)
        when 'genre' then exists (select from genres g where g.id = w.target_id and g.deleted_at is null)
        else exists (select from franchises f where f.id = w.target_id and f.deleted_at is null) end
order by w.place;

-- name: add_mutes
insert into notification_mutes (user_id, target_type, target_id)
select u.id, w.target_type, w.target_id
from users u
cross join unnest($2::text[], $3::bigint[]) as w (target_type, target_id)
where u.id = $1
order by w.target_type, w.target_id
on conflict do nothing;

-- name: mute
-- What became of it: `muted`, `known` already, `unknown` target, or `full`: $4 are muted.
with target as (
    select from releases where $2 = 'release' and id = $3 and visible
    union all
    select from genres where $2 = 'genre' and id = $3 and deleted_at is null
    union all
    select from franchises where $2 = 'franchise' and id = $3 and deleted_at is null
), muted as (
    insert into notification_mutes (user_id, target_type, target_id)
    select u.id, $2, $3
    from users u
    where u.id = $1 and exists (select from target)
      and (select count(*) from notification_mutes where user_id = $1) < $4::integer
    on conflict do nothing
    returning user_id
)
select case when exists (select from muted) then 'muted'
            when exists (select from notification_mutes where user_id = $1 and target_type = $2 and target_id = $3) then 'known'
            when not exists (select from target) then 'unknown'
            else 'full' end;

-- name: unmute
delete from notification_mutes where user_id = $1 and target_type = $2 and target_id = $3;
