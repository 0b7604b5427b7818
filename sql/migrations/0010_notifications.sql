-- Notifications: what happened, whom it reaches, how many an hour, and by which channels.

-- Something people are told of. Fan-out goes through its subscribers by user id; `after_user` is how far it has come.
create table notification_events (
    id bigint generated always as identity primary key,
    type text not null constraint notification_events_type_known
        check (type in ('new_episode', 'new_release', 'recommendation', 'reply', 'moderation', 'digest')),
    -- What it is about: `release`, `episode`, `comment`, `review`; a digest is about its user.
    target_type text not null,
    target_id bigint not null,
    release_id bigint,
    -- Null: whoever follows it.
    recipient_id bigint,
    data jsonb not null default '{}',
    created_at timestamptz not null default now(),
    after_user bigint not null default 0,
    reached integer not null default 0,
    held integer not null default 0,
    done_at timestamptz
) with (fillfactor = 80);
create index notification_events_open on notification_events (type, id) where done_at is null;
create index notification_events_recent on notification_events (target_id, type, created_at);
create index notification_events_by_recipient on notification_events (recipient_id, id) where recipient_id is not null;
create index notification_events_by_age on notification_events (created_at);

-- Ids are given under the lock of the user's budget: one user's notifications appear in the order of their ids. No
-- foreign keys: a fan-out would pay them a hundred thousand times; whoever erases an account sweeps up after it.
create table notifications (
    user_id bigint not null,
    id bigint generated always as identity,
    event_id bigint not null,
    read_at timestamptz,
    created_at timestamptz not null default now(),
    primary key (user_id, id)
) with (autovacuum_vacuum_scale_factor = 0.05);
create unique index notifications_once on notifications (user_id, event_id);
create index notifications_unread on notifications (user_id, id) where read_at is null;
create index notifications_read on notifications (read_at) where read_at is not null;
create index notifications_by_age on notifications (created_at);

-- One row a user: the hour that runs, how much of it is used up, how much waits for the next one, how much is unread.
create table notification_budgets (
    user_id bigint primary key,
    window_start timestamptz not null,
    used integer not null default 0,
    held integer not null default 0,
    unread integer not null default 0,
    -- how many the statement that counted last delivered, and how many of the others it held as rows
    delivered integer not null default 0,
    kept integer not null default 0,
    -- what is held beyond the most rows anybody has, as counts by type; null where there is none
    held_more jsonb
) with (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05);
create index notification_budgets_waiting on notification_budgets (window_start, user_id) where held > 0;

create table held_notifications (
    user_id bigint not null,
    event_id bigint not null,
    created_at timestamptz not null default now(),
    primary key (user_id, event_id)
);

-- Bits are 1 << type: 1 new_episode, 2 new_release, 3 recommendation, 4 reply, 5 moderation. No row: the defaults.
create table notification_preferences (
    user_id bigint primary key references users (id) on delete cascade,
    in_app smallint not null default 62,
    email_instant smallint not null default 0,
    email_daily smallint not null default 0,
    email_weekly smallint not null default 0,
    quiet_start time,
    quiet_end time,
    time_zone text not null default 'UTC',
    updated_at timestamptz not null default now(),
    constraint notification_preferences_one_mail check (
        email_instant & email_daily = 0 and email_instant & email_weekly = 0 and email_daily & email_weekly = 0),
    constraint notification_preferences_quiet_whole check ((quiet_start is null) = (quiet_end is null))
);

create table notification_mutes (
    user_id bigint not null references users (id) on delete cascade,
    target_type text not null constraint notification_mutes_type_known
        check (target_type in ('release', 'genre', 'franchise')),
    target_id bigint not null,
    created_at timestamptz not null default now(),
    primary key (user_id, target_type, target_id)
);
create index notification_mutes_by_target on notification_mutes (target_type, target_id, user_id);

-- What goes out by e-mail; what is due at the same time goes in one mail. Kept a while after it was sent.
create table notification_mails (
    user_id bigint not null,
    event_id bigint not null,
    mode text not null constraint notification_mails_mode_known check (mode in ('instant', 'daily', 'weekly')),
    due_at timestamptz not null,
    attempts integer not null default 0,
    leased_until timestamptz,
    -- whether the mail server has had it once without an answer
    doubted boolean not null default false,
    sent_at timestamptz,
    created_at timestamptz not null default now(),
    primary key (user_id, event_id)
) with (fillfactor = 80);
create index notification_mails_due on notification_mails (due_at, user_id) where sent_at is null;
create index notification_mails_sent on notification_mails (sent_at) where sent_at is not null;

-- When a mail is due that is written now: at once, at the next 08:00, or on the next Monday at 08:00, by the user's clock;
-- and if that is within the quiet hours, when they end. The clocks of a zone that this server does not know are UTC.
create function notification_due(
    mode text, moment timestamptz, zone text, quiet_start time, quiet_end time
) returns timestamptz language plpgsql stable as $$
declare
    here timestamp;
    clock time;
begin
    begin
        here := moment at time zone zone;
    exception when invalid_parameter_value then
        zone := 'UTC';
        here := moment at time zone zone;
    end;
    if mode <> 'instant' then
        here := date_trunc(case mode when 'daily' then 'day' else 'week' end, here - interval '8 hours')
            + case mode when 'daily' then interval '1 day' else interval '1 week' end + interval '8 hours';
    end if;
    clock := here::time;
    if quiet_start < quiet_end and clock >= quiet_start and clock < quiet_end then
        here := here::date + quiet_end;
    elsif quiet_start > quiet_end and clock >= quiet_start then
        here := here::date + 1 + quiet_end;
    elsif quiet_start > quiet_end and clock < quiet_end then
        here := here::date + quiet_end;
    elsif mode = 'instant' then
        -- By the clock on the wall an hour of autumn comes twice: what is due at once is due now.
        return moment;
    end if;
    return greatest(moment, here at time zone zone);
end $$;

-- How far the recommendations of a day have come.
create table recommendation_rounds (
    day date primary key,
    after_user bigint not null default 0,
    done_at timestamptz
);

-- Tickets for the live stream: used once, within seconds.
create table stream_tickets (
    ticket_hash bytea primary key,
    user_id bigint not null references users (id) on delete cascade,
    session_id uuid,
    expires_at timestamptz not null
);
create index stream_tickets_by_expiry on stream_tickets (expires_at);

-- Who follows something again gets the row of before.
create index subscriptions_deleted on subscriptions (user_id, subscription_type, target_id, id) where deleted_at is not null;

-- A subscription from beginning to end in one round trip. The account is locked and then its revision, as in every write
-- that devices hear of; what is looked at afterwards is seen by snapshots younger than that lock, so of two that come at
-- once the second finds the first. `outcome` says what became of it: made, unknown, gone, full or known.
create function subscribe(
    follower bigint, kind text, target bigint, most integer,
    out outcome text, out id bigint, out title text, out created_at text
) language plpgsql as $$
declare
    raised bigint;
begin
    title := case kind
        when 'release' then (select r.title from releases r where r.id = target and r.visible)
        when 'genre' then (select g.name from genres g where g.id = target and g.deleted_at is null)
        when 'franchise' then (select f.name from franchises f where f.id = target and f.deleted_at is null)
    end;
    if title is null then
        outcome := 'unknown';
        return;
    end if;
    select r.revision + 1 into raised
    from users u join user_revisions r on r.user_id = u.id
    where u.id = follower
    for key share of u for no key update of r;
    if raised is null then
        insert into user_revisions as r (user_id) select u.id from users u where u.id = follower for key share
        on conflict (user_id) do update set revision = r.revision
        returning r.revision + 1 into raised;
    end if;
    outcome := case
        when raised is null then 'gone'
        when (select count(*) from (
            select from subscriptions s where s.user_id = follower and s.deleted_at is null limit most
        ) active) >= most then 'full'
        when exists (
            select from subscriptions s
            where s.user_id = follower and s.subscription_type = kind and s.target_id = target and s.deleted_at is null
        ) then 'known'
        else 'made'
    end;
    if outcome <> 'made' then
        return;
    end if;
    update user_revisions set revision = raised where user_id = follower;
    update subscriptions s set deleted_at = null, revision = raised, created_at = now()
    where s.id = (
        select d.id from subscriptions d
        where d.user_id = follower and d.subscription_type = kind and d.target_id = target and d.deleted_at is not null
        order by d.id desc
        limit 1
    )
    returning s.id, rfc3339(s.created_at) into subscribe.id, subscribe.created_at;
    if not found then
        insert into subscriptions as s (user_id, subscription_type, target_id, revision)
        values (follower, kind, target, raised)
        returning s.id, rfc3339(s.created_at) into subscribe.id, subscribe.created_at;
    end if;
    insert into outbox (topic, entity, user_id, payload)
    values ('subscription', 'user:' || follower, follower,
            jsonb_build_object('subscription_type', kind, 'target_id', target));
end $$;
