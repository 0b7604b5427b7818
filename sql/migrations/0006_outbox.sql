-- The outbox: what must happen because something was written, in the transaction that wrote it.

-- Read in the order (xid, id) and only below the oldest running transaction: a row with a smaller place can then no
-- longer appear behind the reader's back, as it could in the order of a sequence.
create table outbox (
    xid xid8 not null default pg_current_xact_id(),
    id bigint generated always as identity,
    topic text not null,
    -- What the event is about, `user:5` or `release:9`; events of one entity are handled in their order.
    entity text not null,
    -- Whose event it is, so that it can be erased with them; null where it says nothing of anybody.
    user_id bigint,
    payload jsonb not null,
    created_at timestamptz not null default now(),
    primary key (xid, id)
) with (autovacuum_vacuum_scale_factor = 0.02);
create index outbox_by_user on outbox (user_id) where user_id is not null;

-- How far each consumer has come.
create table outbox_consumers (
    name text primary key,
    xid xid8 not null default '0',
    id bigint not null default 0,
    moved_at timestamptz not null default now()
) with (fillfactor = 50);

-- What a consumer could not do at once, or does outside of the database: a copy of the event, tried until it is done
-- (the row goes) or given up (dead_at).
create table outbox_deliveries (
    id bigint generated always as identity primary key,
    consumer text not null,
    xid xid8 not null,
    event_id bigint not null,
    topic text not null,
    entity text not null,
    user_id bigint,
    payload jsonb not null,
    created_at timestamptz not null,
    attempts integer not null default 0,
    due_at timestamptz not null default now(),
    leased_until timestamptz,
    error text not null default '',
    dead_at timestamptz,
    unique (consumer, xid, event_id)
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);
create index outbox_deliveries_due on outbox_deliveries (consumer, due_at) where dead_at is null;
-- In the order in which they were parked: transaction ids start over after a restore, these do not.
create index outbox_deliveries_by_entity on outbox_deliveries (consumer, entity, id) where dead_at is null;
create index outbox_deliveries_dead on outbox_deliveries (dead_at, id) where dead_at is not null;
create index outbox_deliveries_by_user on outbox_deliveries (user_id) where user_id is not null;
