-- People: accounts, their sessions and tokens, what has been revoked, when they were last seen.

alter table users
    -- An address may be claimed by several accounts until one of them proves it: that a claim is refused would tell
    -- whose addresses are known here.
    add column email text,
    add column email_key text,
    add column email_verified_at timestamptz,
    add column password_hash text,
    add column role text not null default 'user'
        constraint users_role_known check (role in ('user', 'moderator', 'admin')),
    -- Raised whenever role or password change: access tokens carry the version they were made under.
    add column credentials_version integer not null default 1,
    add column name text not null default '',
    add column bio text not null default '',
    add column locale text not null default 'en',
    add column time_zone text not null default 'UTC',
    add column is_public boolean not null default true,
    -- The user's revision when the profile changed last.
    add column revision bigint not null default 0,
    add column updated_at timestamptz not null default now(),
    add constraint users_email_whole check ((email is null) = (email_key is null));
create unique index users_by_verified_email on users (email_key) where email_verified_at is not null;
create index users_by_email on users (email_key, id) where email_key is not null;
create index users_by_username on users (username_key text_pattern_ops) where is_public;
create index users_by_role on users (role, id) where role <> 'user';

-- A session is a family of refresh tokens: one sign-in on one device.
create table sessions (
    id uuid primary key default gen_random_uuid(),
    user_id bigint not null references users (id) on delete cascade,
    user_agent text not null default '',
    network text not null default '',
    created_at timestamptz not null default now(),
    last_used_at timestamptz not null default now(),
    expires_at timestamptz not null,
    revoked_at timestamptz
);
create index sessions_by_user on sessions (user_id, last_used_at);
create index sessions_by_expiry on sessions (expires_at);

-- SHA-256 of each refresh token ever given out in a session. Used ones stay, so that reuse is noticed.
create table refresh_tokens (
    token_hash bytea primary key,
    session_id uuid not null references sessions (id) on delete cascade,
    issued_at timestamptz not null default now(),
    used_at timestamptz
);
create index refresh_tokens_by_session on refresh_tokens (session_id);
create index refresh_tokens_by_use on refresh_tokens (used_at) where used_at is not null;

create table api_tokens (
    id uuid primary key default gen_random_uuid(),
    user_id bigint not null references users (id) on delete cascade,
    name text not null,
    token_hash bytea not null unique,
    scopes text[] not null,
    created_at timestamptz not null default now(),
    last_used_at timestamptz,
    expires_at timestamptz
);
create index api_tokens_by_user on api_tokens (user_id, created_at);

-- One-time tokens that mails carry, hashed.
create table account_tokens (
    token_hash bytea primary key,
    user_id bigint not null references users (id) on delete cascade,
    purpose text not null constraint account_tokens_purpose_known check (purpose in ('verify', 'reset')),
    email_key text not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null
);
create index account_tokens_by_user on account_tokens (user_id, purpose);
create index account_tokens_by_expiry on account_tokens (expires_at);

-- What access tokens no longer count, until the last of them has expired. No foreign keys: an erased account's tokens
-- have to be refused, too.
create table revocations (
    id bigint generated always as identity primary key,
    session_id uuid,
    token_id uuid,
    user_id bigint,
    -- tokens of the user made under an earlier version are void
    credentials_version integer,
    expires_at timestamptz not null
);
create index revocations_by_expiry on revocations (expires_at);

-- When a user was last seen, to the minute. A table of its own: it changes far more often than the account.
create table user_presence (
    user_id bigint primary key references users (id) on delete cascade,
    last_active_at timestamptz not null
) with (fillfactor = 70);
create index user_presence_by_time on user_presence (last_active_at);

-- Views of signed-in users must be found when one of them is erased; those of visitors are nobody's.
create index view_metrics_by_user on view_metrics (viewer) where viewer < 0;
create index view_viewers_by_user on view_viewers (viewer) where viewer < 0;
