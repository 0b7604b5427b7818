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
create index notification_events_open on notification_events (id) where done_at is null;
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
    -- what the statement that changed the row last decided: delivered, or held
    delivered boolean not null default true
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
    sent_at timestamptz,
    created_at timestamptz not null default now(),
    primary key (user_id, event_id)
) with (fillfactor = 80);
create index notification_mails_due on notification_mails (due_at, user_id) where sent_at is null;
create index notification_mails_sent on notification_mails (sent_at) where sent_at is not null;

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
