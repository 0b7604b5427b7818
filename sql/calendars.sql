-- name: put_calendar
-- Another token takes the place of the one before it.
insert into calendar_tokens (token_hash, user_id)
select $2::bytea, u.id from users u where u.id = $1 for key share
on conflict (user_id) do update set token_hash = excluded.token_hash, created_at = now(), last_used_at = null
returning true;

-- name: calendar_state
select row_to_json(shown)::text
from (
    select c.user_id is not null as exists, rfc3339(c.created_at) as created_at, rfc3339(c.last_used_at) as last_used_at
    from (select 1) always
    left join calendar_tokens c on c.user_id = $1
) shown;

-- name: delete_calendar
delete from calendar_tokens where user_id = $1;

-- name: calendar_owner
-- Programs ask every hour; that they did is written down once an hour.
with used as (
    update calendar_tokens set last_used_at = now()
    where token_hash = $1 and (last_used_at is null or last_used_at < now() - interval '1 hour')
)
select u.id as user_id, u.locale, u.time_zone
from calendar_tokens c
join users u on u.id = c.user_id
where c.token_hash = $1;

-- name: airings
-- Episodes between $2 and $3 of what a user follows: releases, franchises, and what is planned or being watched. What
-- was cancelled since $4 is shown as that: the episode or its release deleted, or a release hidden again that was shown.
-- Of the latter nothing that was written since: that was never public.
with followed as materialized (
    select s.target_id as release_id
    from subscriptions s
    where s.user_id = $1 and s.subscription_type = 'release' and s.deleted_at is null
    union
    select r.id
    from subscriptions s
    join releases r on r.franchise_id = s.target_id
    where s.user_id = $1 and s.subscription_type = 'franchise' and s.deleted_at is null
    union
    select l.release_id
    from library_entries l
    where l.user_id = $1 and l.kind = 2 and l.value in (1, 2) and not l.deleted
)
select
    e.id as episode_id, r.id as release_id, r.title as release_title, trim_scale(e.ordinal)::text as ordinal, e.title,
    e.air_at, e.duration_seconds, e.calendar_sequence as sequence, greatest(e.updated_at, r.updated_at, r.deleted_at) as modified,
    not r.visible or e.deleted_at is not null as cancelled
from (
    select id, release_id, ordinal, title, air_at, duration_seconds, calendar_sequence, updated_at, deleted_at
    from episodes
    where deleted_at is null and air_at >= $2::timestamptz and air_at < $3::timestamptz
    union all
    select id, release_id, ordinal, title, air_at, duration_seconds, calendar_sequence,
           greatest(updated_at, deleted_at), deleted_at
    from episodes
    where deleted_at is not null and air_at is not null and deleted_at >= $4::timestamptz
        and air_at >= $2::timestamptz and air_at < $3::timestamptz
) e
join followed f on f.release_id = e.release_id
join releases r on r.id = e.release_id
where r.visible or (
    r.announced and greatest(r.updated_at, r.deleted_at) >= $4::timestamptz
    and e.updated_at <= coalesce((select max(hid.created_at) from revisions hid
                                  where hid.noun = 'release' and hid.entity_id = r.id
                                    and (hid.action = 'deleted' or hid.diff ? 'is_published')), 'infinity')
)
order by e.air_at, e.id
limit $5;
