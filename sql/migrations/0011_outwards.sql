-- Outwards: webhooks and calendars.

create table webhooks (
    id bigint generated always as identity primary key,
    url text not null,
    description text not null default '',
    -- event types; empty: all of them
    topics text[] not null default '{}',
    -- What the secrets are derived from with the server's key: the database alone does not give them away. The previous
    -- one signs along until `previous_until`.
    salt bytea not null,
    previous_salt bytea,
    previous_until timestamptz,
    created_by bigint,
    -- failures in a row, since when, and why it was switched off, if it was
    failures integer not null default 0,
    failing_since timestamptz,
    -- nothing is sent before: it asked for a rest (Retry-After), or does not answer
    paused_until timestamptz,
    disabled_at timestamptz,
    disabled_reason text,
    deleted_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index webhooks_live on webhooks (id) where deleted_at is null;

create table webhook_deliveries (
    -- the webhook-id header: the same at every attempt
    id uuid primary key default gen_random_uuid(),
    -- the order of events
    seq bigint generated always as identity unique,
    webhook_id bigint not null references webhooks (id) on delete cascade,
    topic text not null,
    -- what the event is about (`release:9`): of one webhook and entity one is on its way at a time, in order
    entity text not null,
    -- the release or episode
    subject_id bigint not null,
    -- Written at the first attempt, and the same at every later one.
    body text,
    status text not null default 'pending' constraint webhook_deliveries_status_known
        check (status in ('pending', 'succeeded', 'failed')),
    attempts integer not null default 0,
    due_at timestamptz not null default now(),
    leased_until timestamptz,
    response_status integer,
    -- the beginning of what it said
    response text,
    error text,
    duration_ms integer,
    attempted_at timestamptz,
    finished_at timestamptz,
    created_at timestamptz not null default now()
) with (fillfactor = 80);
create index webhook_deliveries_due on webhook_deliveries (due_at) where status = 'pending';
create index webhook_deliveries_ready on webhook_deliveries (webhook_id, due_at, seq) where status = 'pending';
create index webhook_deliveries_on_their_way on webhook_deliveries (webhook_id)
    where status = 'pending' and leased_until is not null;
create index webhook_deliveries_in_order on webhook_deliveries (webhook_id, entity, seq) where status = 'pending';
create index webhook_deliveries_log on webhook_deliveries (webhook_id, seq);
create index webhook_deliveries_given_up on webhook_deliveries (webhook_id, seq) where status = 'failed';
create index webhook_deliveries_finished on webhook_deliveries (finished_at) where finished_at is not null;

-- Whoever has the token sees the calendar; only its SHA-256 is kept.
create table calendar_tokens (
    token_hash bytea primary key,
    user_id bigint not null unique references users (id) on delete cascade,
    created_at timestamptz not null default now(),
    last_used_at timestamptz
);

-- A release that goes or comes back cancels or confirms its episodes in calendars, which only believe a greater SEQUENCE.
create function raise_calendar_sequences() returns trigger language plpgsql as $$
begin
    update episodes set calendar_sequence = calendar_sequence + 1
    where release_id = new.id and deleted_at is null and air_at > now() - interval '60 days';
    return null;
end $$;
create trigger releases_move_in_calendars after update on releases for each row
    when (old.visible is distinct from new.visible)
    execute function raise_calendar_sequences();
