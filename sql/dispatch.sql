-- name: open_types
-- The types of which something waits to be told.
select t.type
from unnest(array['reply', 'moderation', 'new_episode', 'new_release', 'recommendation']) as t (type)
where exists (select from notification_events e where e.type = t.type and e.done_at is null);

-- name: fan_out
-- One slice of the open events of type $1, whose number is $2: the oldest $3 of them, each for its share of $4 users; $5
-- notifications a window of $6 seconds (0: as many as come), $7 whether mails go out, $8 the most rows held for anybody.
--
-- The next followers of each event, in the order of their ids, without those who muted what it is about or have switched
-- the type off. Everybody's budget is locked in that same order, by whoever gets there first, and says how many of the
-- user's events are delivered; the others are held, those beyond $8 as a count by type. Nothing else here waits for anybody.
-- Whoever is killed in the midst of it has done nothing, for the events' cursors move in the same statement.
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
    insert into notification_budgets as b (user_id, window_start, used, held, unread, delivered, kept, held_more)
    select w.user_id, now(), d.delivered, k.kept, case when w.in_app then d.delivered else 0 end, d.delivered, k.kept,
           case when w.events > d.delivered + k.kept then jsonb_build_object($1::text, w.events - d.delivered - k.kept) end
    from (select user_id, count(*)::integer as events, bool_or(in_app) as in_app from wanted group by user_id) w
    cross join lateral (
        select case when $5::integer = 0 then w.events else least(w.events, $5) end as delivered
    ) d
    cross join lateral (select least(w.events - d.delivered, $8::integer) as kept) k
    order by w.user_id
    on conflict (user_id) do update set (window_start, used, held, unread, delivered, kept, held_more) = (
        select case when turned then excluded.window_start else b.window_start end,
               case when turned then d.delivered else b.used + d.delivered end,
               b.held + k.kept,
               b.unread + case when excluded.unread > 0 then d.delivered else 0 end,
               d.delivered,
               k.kept,
               case when n.events = d.delivered + k.kept then b.held_more
                    else coalesce(b.held_more, '{}') || jsonb_build_object($1::text,
                        coalesce((b.held_more ->> $1)::integer, 0) + n.events - d.delivered - k.kept) end
        from (select excluded.used + excluded.held + coalesce((excluded.held_more ->> $1)::integer, 0) as events,
                     b.held = 0 and b.window_start <= excluded.window_start - make_interval(secs => $6) as turned) n
        cross join lateral (
            -- As long as something is held, what comes later waits with it.
            select case when b.held > 0 then 0
                        when $5 = 0 then n.events
                        when turned then least(n.events, $5)
                        else greatest(0, least(n.events, $5 - b.used)) end as delivered
        ) d
        cross join lateral (select least(n.events - d.delivered, greatest(0, $8 - b.held)) as kept) k
    )
    returning user_id, window_start, delivered, kept
), placed as materialized (
    select w.*, c.window_start, w.place <= c.delivered as delivered, w.place <= c.delivered + c.kept as kept
    from (select *, row_number() over (partition by user_id order by event_id) as place from wanted) w
    join counted c on c.user_id = w.user_id
), told as (
    insert into notifications (user_id, event_id, created_at)
    -- Whoever began earlier may have waited for one that opened the window.
    select user_id, event_id, greatest(now(), window_start) from placed where delivered and in_app order by user_id, event_id
), waiting as (
    insert into held_notifications (user_id, event_id)
    select user_id, event_id from placed where kept and not delivered order by user_id, event_id
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
-- Up to $2 users for whom something is held and whose window of $1 seconds is over, as many as have $3 rows together but
-- always one, locked in the order of their ids and written as an array that is not for reading: the next statement takes
-- it, and sees all that is held for them.
select array_agg(user_id)::text
from (
    select user_id
    from notification_budgets
    where held > 0 and window_start <= now() - make_interval(secs => $1)
      and user_id = any (array(
          select user_id
          from (
              select user_id, held, sum(held) over (order by window_start, user_id) as rows
              from (
                  select user_id, window_start, held
                  from notification_budgets
                  where held > 0 and window_start <= now() - make_interval(secs => $1)
                  order by window_start, user_id
                  limit $2
              ) longest
          ) added
          where rows <= $3::bigint or rows = held
      ))
    order by user_id
    for update skip locked
) turned;

-- name: deliver_held
-- What is held for the locked users $1 arrives as one notification, the first of their next window: by itself where it is
-- one, else as a digest. $2: whether mails go out. The most urgent of the channels of what is in it is the digest's; it
-- counts apart what is for the list and what is for the mail. Whatever was hidden, muted or switched off meanwhile does
-- not arrive; of what was only counted this is known by its type alone.
with turned as materialized (
    select b.user_id, b.held_more from unnest($1::text::bigint[]) as locked (user_id)
    join notification_budgets b on b.user_id = locked.user_id
), wanted as materialized (
    select t.user_id, n.type, c.in_app, c.mode
    from turned t
    left join notification_preferences p on p.user_id = t.user_id
    cross join unnest(array['new_episode', 'new_release', 'recommendation', 'reply', 'moderation'])
        with ordinality as n (type, place)
    cross join lateral (select n.place::integer as bit) b
    cross join lateral (
        select coalesce(p.in_app, 62) >> b.bit & 1 = 1 as in_app,
               case when not $2::boolean then null
                    when p.email_instant >> b.bit & 1 = 1 then 1
                    when p.email_daily >> b.bit & 1 = 1 then 2
                    when p.email_weekly >> b.bit & 1 = 1 then 3 end as mode
    ) c
    where c.in_app or c.mode is not null
), waiting as materialized (
    select h.user_id, h.event_id from turned t join held_notifications h on h.user_id = t.user_id
), events as materialized (
    -- Decisions of moderators are told in any case.
    select e.id, e.type, e.release_id, r.franchise_id, r.genre_ids
    from (select distinct event_id from waiting) w
    join notification_events e on e.id = w.event_id
    left join releases r on r.id = e.release_id and r.visible
    where e.type = 'moderation' or (e.release_id is null or r.id is not null) and (
        e.target_type <> 'episode' or exists (select from episodes p where p.id = e.target_id and p.deleted_at is null))
), muted as materialized (
    select distinct topics.event_id, m.user_id
    from turned t
    join notification_mutes m on m.user_id = t.user_id
    join (
        select e.id as event_id, topic.topic_type, topic.topic_id
        from events e
        cross join lateral (
            select 'release' as topic_type, e.release_id as topic_id
            union all
            select 'franchise', e.franchise_id
            union all
            select 'genre', unnest(e.genre_ids) where e.type in ('new_release', 'recommendation')
        ) topic
        where e.type <> 'moderation'
    ) topics on topics.topic_type = m.target_type and topics.topic_id = m.target_id
), held as materialized (
    select h.user_id, h.event_id, e.type, w.in_app
    from waiting h
    join events e on e.id = h.event_id
    join wanted w on w.user_id = h.user_id and w.type = e.type
    where not exists (select from muted m where m.event_id = h.event_id and m.user_id = h.user_id)
), by_type as materialized (
    select c.user_id, c.type, w.in_app, w.mode, sum(c.events)::bigint as events
    from (
        select user_id, type, count(*) as events from held group by user_id, type
        union all
        select t.user_id, more.key, more.value::bigint from turned t cross join jsonb_each_text(t.held_more) more
    ) c
    join wanted w on w.user_id = c.user_id and w.type = c.type
    group by c.user_id, c.type, w.in_app, w.mode
), named as materialized (
    select user_id, coalesce(
        (array_agg(event_id order by event_id) filter (where in_app))[1:20],
        (array_agg(event_id order by event_id))[1:20]) as event_ids
    from held
    group by user_id
), gathered as materialized (
    select c.*, coalesce(n.event_ids, '{}') as event_ids, p.time_zone, p.quiet_start, p.quiet_end
    from (
        select user_id, sum(events) as events, bool_or(in_app) as in_app,
               (array['instant', 'daily', 'weekly'])[min(mode)] as mode,
               coalesce(jsonb_object_agg(type, events) filter (where in_app), '{}') as counts,
               jsonb_object_agg(type, events) filter (where mode is not null) as mail_counts
        from by_type
        group by user_id
    ) c
    left join named n on n.user_id = c.user_id
    left join notification_preferences p on p.user_id = c.user_id
), made as (
    insert into notification_events (type, target_type, target_id, recipient_id, data, reached, done_at)
    select 'digest', 'user', user_id, user_id,
           jsonb_build_object('counts', counts, 'events', event_ids)
               || case when mail_counts is null then '{}' else jsonb_build_object('mail_counts', mail_counts) end,
           1, now()
    from gathered
    -- What was only counted has no event of its own to arrive as.
    where events > 1 or event_ids = '{}'
    order by user_id
    returning recipient_id, id
), arriving as materialized (
    select g.*, coalesce(m.id, g.event_ids[1]) as event_id, m.id is not null as collapsed
    from gathered g
    left join made m on m.recipient_id = g.user_id
), counted as (
    update notification_budgets b
    set held = 0,
        held_more = null,
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
    select count(*) as users, coalesce(sum(events) filter (where collapsed), 0) as collapsed,
           count(*) filter (where collapsed) as digests,
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
