-- name: open_types
-- The types of which something waits to be told.
select t.type
from unnest(array['reply', 'moderation', 'new_episode', 'new_release', 'recommendation']) as t (type)
where exists (select from notification_events e where e.type = t.type and e.done_at is null);

-- name: fan_out
-- One slice of the open events of type $1, whose number is $2: the oldest $3 of them, each for its share of $4 users; $5
-- notifications a window of $6 seconds (0: as many as come), $7 whether mails go out.
--
-- The next followers of each event, in the order of their ids, without those who muted what it is about or have switched
-- the type off. Everybody's budget is locked in that same order, by whoever gets there first, and says how many of the
-- user's events are delivered; the others are held. Nothing else here waits for anybody. Whoever is killed in the midst of
-- it has done nothing, for the events' cursors move in the same statement.
with taken as materialized (
    select id, target_type, target_id, release_id, recipient_id, after_user
    from notification_events
    where type = $1 and done_at is null
    order by id
    limit $3
    for update skip locked
), share as materialized (
    select greatest(1, $4::integer / greatest(1, count(*) filter (where recipient_id is null))) as users from taken
), topics as materialized (
    -- Who follows which of these is told; whoever has muted one is not. Decisions of moderators are told in any case.
    select e.id as event_id, t.topic_type, t.topic_id, t.followed
    from taken e
    join releases r on r.id = e.release_id and r.visible
    cross join lateral (
        select 'release' as topic_type, r.id as topic_id, $1 = 'new_episode' as followed
        union all
        select 'franchise', f.id, $1 in ('new_episode', 'new_release')
        from franchises f where f.id = r.franchise_id and f.deleted_at is null
        union all
        select 'genre', g.id, $1 = 'new_release'
        from genres g where $1 in ('new_release', 'recommendation') and g.id = any (r.genre_ids) and g.deleted_at is null
    ) t
    where $1 <> 'moderation' and (e.target_type <> 'episode' or exists (
        select from episodes p where p.id = e.target_id and p.deleted_at is null))
), reached as materialized (
    select e.id as event_id, follower.user_id
    from taken e
    cross join lateral (
        select next.user_id
        from topics t
        cross join lateral (
            select s.user_id
            from subscriptions s
            where s.subscription_type = t.topic_type and s.target_id = t.topic_id and s.deleted_at is null
              and s.user_id > e.after_user
            order by s.user_id
            limit (select users from share)
        ) next
        where t.event_id = e.id and t.followed
        group by next.user_id
        order by next.user_id
        limit (select users from share)
    ) follower
    where e.recipient_id is null
    union all
    select id, recipient_id from taken where recipient_id is not null
), extent as materialized (
    select event_id, min(user_id) as first_user, max(user_id) as last_user, count(*) as users from reached group by event_id
), muted as materialized (
    select distinct t.event_id, m.user_id
    from topics t
    join extent x on x.event_id = t.event_id
    join notification_mutes m on m.target_type = t.topic_type and m.target_id = t.topic_id
        and m.user_id between x.first_user and x.last_user
), wanted as materialized (
    select r.event_id, r.user_id, c.in_app, c.mode, p.time_zone, p.quiet_start, p.quiet_end
    from reached r
    left join notification_preferences p on p.user_id = r.user_id
    cross join lateral (
        select coalesce(p.in_app, 62) >> $2::integer & 1 = 1 as in_app,
               case when not $7::boolean then null
                    when p.email_instant >> $2::integer & 1 = 1 then 'instant'
                    when p.email_daily >> $2::integer & 1 = 1 then 'daily'
                    when p.email_weekly >> $2::integer & 1 = 1 then 'weekly' end as mode
    ) c
    where (c.in_app or c.mode is not null)
      and not exists (select from muted m where m.event_id = r.event_id and m.user_id = r.user_id)
), counted as (
    insert into notification_budgets as b (user_id, window_start, used, held, unread, delivered)
    select w.user_id, now(), d.delivered, w.events - d.delivered, case when w.in_app then d.delivered else 0 end, d.delivered
    from (select user_id, count(*)::integer as events, bool_or(in_app) as in_app from wanted group by user_id) w
    cross join lateral (
        select case when $5::integer = 0 then w.events else least(w.events, $5) end as delivered
    ) d
    order by w.user_id
    on conflict (user_id) do update set (window_start, used, held, unread, delivered) = (
        select case when turned then excluded.window_start else b.window_start end,
               case when turned then d.delivered else b.used + d.delivered end,
               b.held + n.events - d.delivered,
               b.unread + case when excluded.unread > 0 then d.delivered else 0 end,
               d.delivered
        from (select excluded.used + excluded.held as events,
                     b.held = 0 and b.window_start <= excluded.window_start - make_interval(secs => $6) as turned) n
        cross join lateral (
            -- As long as something is held, what comes later waits with it.
            select case when b.held > 0 then 0
                        when $5 = 0 then n.events
                        when turned then least(n.events, $5)
                        else greatest(0, least(n.events, $5 - b.used)) end as delivered
        ) d
    )
    returning user_id, window_start, delivered
), placed as materialized (
    select w.*, c.window_start,
           row_number() over (partition by w.user_id order by w.event_id) <= c.delivered as delivered
    from wanted w
    join counted c on c.user_id = w.user_id
), told as (
    insert into notifications (user_id, event_id, created_at)
    -- Whoever began earlier may have waited for one that opened the window.
    select user_id, event_id, greatest(now(), window_start) from placed where delivered and in_app order by user_id, event_id
), waiting as (
    insert into held_notifications (user_id, event_id)
    select user_id, event_id from placed where not delivered order by user_id, event_id
), mailed as (
    insert into notification_mails (user_id, event_id, mode, due_at)
    select user_id, event_id, mode, notification_due(mode, now(), time_zone, quiet_start, quiet_end)
    from placed
    where delivered and mode is not null
    order by user_id, event_id
), sums as materialized (
    select event_id, count(*) filter (where delivered) as delivered, count(*) filter (where not delivered) as held
    from placed
    group by event_id
), moved as (
    update notification_events e
    set after_user = coalesce(x.last_user, e.after_user),
        reached = e.reached + coalesce(s.delivered, 0),
        held = e.held + coalesce(s.held, 0),
        done_at = case when t.recipient_id is not null or coalesce(x.users, 0) < (select users from share) then now() end
    from taken t
    left join extent x on x.event_id = t.id
    left join sums s on s.event_id = t.id
    where e.id = t.id
    returning e.done_at
), news as (
    select count(*) filter (where delivered) as delivered, count(*) filter (where not delivered) as held,
           min(user_id) filter (where delivered and in_app) as first_user,
           max(user_id) filter (where delivered and in_app) as last_user
    from placed
)
select (select count(*)::integer from taken) as events, (select count(done_at)::integer from moved) as finished,
       delivered::integer, held::integer, coalesce(first_user, 0) as first_user, coalesce(last_user, 0) as last_user,
       case when first_user is not null
            then pg_notify('yojohan_invalidate', 'unread:' || first_user || '-' || last_user)::text end as notified
from news;

-- name: lock_turned
-- Up to $2 users for whom something is held and whose window of $1 seconds is over, locked in the order of their ids and
-- written as an array that is not for reading: the next statement takes it, and sees all that is held for them.
select array_agg(user_id)::text
from (
    select user_id
    from notification_budgets
    where held > 0 and window_start <= now() - make_interval(secs => $1)
      and user_id = any (array(
          select user_id
          from notification_budgets
          where held > 0 and window_start <= now() - make_interval(secs => $1)
          order by window_start, user_id
          limit $2
      ))
    order by user_id
    for update skip locked
) turned;

-- name: deliver_held
-- What is held for the locked users $1 arrives as one notification, the first of their next window: by itself where it is
-- one, else as a digest. $2: whether mails go out. The most urgent of the channels of what is in it is the digest's.
with turned as materialized (
    select user_id from unnest($1::text::bigint[]) as user_id
), held as materialized (
    select h.user_id, h.event_id, e.type, c.in_app, c.mode, p.time_zone, p.quiet_start, p.quiet_end
    from turned t
    join held_notifications h on h.user_id = t.user_id
    join notification_events e on e.id = h.event_id
    left join notification_preferences p on p.user_id = h.user_id
    cross join lateral (
        select array_position(array['new_episode', 'new_release', 'recommendation', 'reply', 'moderation'], e.type) as bit
    ) n
    cross join lateral (
        select coalesce(p.in_app, 62) >> n.bit & 1 = 1 as in_app,
               case when not $2::boolean then null
                    when p.email_instant >> n.bit & 1 = 1 then 1
                    when p.email_daily >> n.bit & 1 = 1 then 2
                    when p.email_weekly >> n.bit & 1 = 1 then 3 end as mode
    ) c
    -- Who has switched a type off meanwhile does not want it now.
    where c.in_app or c.mode is not null
), counts as materialized (
    select user_id, jsonb_object_agg(type, events) as counts
    from (select user_id, type, count(*) as events from held group by user_id, type) by_type
    group by user_id
), gathered as materialized (
    select user_id, count(*) as events, (array_agg(event_id order by event_id))[1:20] as event_ids,
           bool_or(in_app) as in_app, (array['instant', 'daily', 'weekly'])[min(mode)] as mode,
           min(time_zone) as time_zone, min(quiet_start) as quiet_start, min(quiet_end) as quiet_end
    from held
    group by user_id
), made as (
    insert into notification_events (type, target_type, target_id, recipient_id, data, reached, done_at)
    select 'digest', 'user', g.user_id, g.user_id, jsonb_build_object('counts', c.counts, 'events', g.event_ids), 1, now()
    from gathered g
    join counts c on c.user_id = g.user_id
    where g.events > 1
    order by g.user_id
    returning recipient_id, id
), arriving as materialized (
    select g.*, coalesce(m.id, g.event_ids[1]) as event_id
    from gathered g
    left join made m on m.recipient_id = g.user_id
), counted as (
    update notification_budgets b
    set held = 0,
        window_start = case when a.user_id is null then b.window_start else now() end,
        used = case when a.user_id is null then b.used else 1 end,
        unread = b.unread + coalesce(a.in_app, false)::integer,
        delivered = (a.user_id is not null)::integer
    from turned t
    left join arriving a on a.user_id = t.user_id
    where b.user_id = t.user_id
), released as (
    delete from held_notifications h using turned t where h.user_id = t.user_id
), told as (
    insert into notifications (user_id, event_id)
    select user_id, event_id from arriving where in_app order by user_id
), mailed as (
    insert into notification_mails (user_id, event_id, mode, due_at)
    select user_id, event_id, mode, notification_due(mode, now(), time_zone, quiet_start, quiet_end)
    from arriving
    where mode is not null
    order by user_id
), news as (
    select count(*) as users, coalesce(sum(events) filter (where events > 1), 0) as collapsed,
           count(*) filter (where events > 1) as digests,
           min(user_id) filter (where in_app) as first_user, max(user_id) filter (where in_app) as last_user
    from arriving
)
select users::integer, digests::integer, collapsed::integer,
       coalesce(first_user, 0) as first_user, coalesce(last_user, 0) as last_user,
       case when first_user is not null
            then pg_notify('yojohan_invalidate', 'unread:' || first_user || '-' || last_user)::text end as notified
from news;

-- name: measure
-- How many events are open, counted up to $1, and for how many seconds the oldest has been.
select count(*)::integer as open, coalesce(extract(epoch from now() - min(created_at)), 0)::float8 as oldest_seconds
from (select created_at from notification_events where done_at is null limit $1) waiting;
