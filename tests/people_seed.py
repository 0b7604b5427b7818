"""People made by SQL alone, over any catalogue: accounts, libraries, progress, activity, the same at every run.

Multiplications modulo primes spread what they keep over the catalogue. Counters of releases and statistics of users
are what a recomputation would find.
"""

from __future__ import annotations

from typing import Any

from sql.query import parse

ENTRIES = 12
MOMENT = "timestamptz '2026-01-01'"

QUERIES = parse(f"""
-- name: users
insert into users (username, username_key, email, email_key, email_verified_at, created_at)
select 'Reader' || g, 'reader' || g, 'reader' || g || '@example.org', 'reader' || g || '@example.org', now(),
       {MOMENT} + g * interval '1 minute'
from generate_series(1, $1::integer) g;

-- name: numbered_people
create temporary table people as
select id, row_number() over (order by id) as number from users where username_key like 'reader%';

-- name: numbered_episodes
create temporary table numbered as
select id as episode_id, release_id, coalesce(duration_seconds, 1400) as seconds,
       row_number() over (order by id) as number
from episodes where deleted_at is null;

-- name: index_episodes
create unique index on numbered (number);

-- name: numbered_releases
create temporary table chosen as
select id as release_id, row_number() over (order by id) as number from releases where visible;

-- name: index_releases
create unique index on chosen (number);

-- name: revisions
insert into user_revisions (user_id, revision) select id, $1::integer + {ENTRIES} from people order by id;

-- name: entries
insert into library_entries (user_id, kind, release_id, value, changed_at, updated_at, revision)
select p.id, 1 + k % 4, c.release_id,
       case k % 4 when 1 then 1 + (p.number + k) % 5 when 2 then 1 + (p.number + k) % 10 else 0 end,
       {MOMENT} + (p.number + k) * interval '1 second', {MOMENT} + (p.number + k) * interval '1 second', k
from people p
cross join generate_series(1, {ENTRIES}) as k
join chosen c on c.number = 1 + (p.number * 7919 + k * 104729) % (select count(*) from chosen)
on conflict do nothing;

-- name: progress
insert into progress (user_id, episode_id, release_id, position_seconds, completed, watched_seconds, changed_at,
                      updated_at, revision)
select p.id, n.episode_id, n.release_id, case when k % 5 > 0 then n.seconds else n.seconds / 2 end, k % 5 > 0,
       case when k % 5 > 0 then n.seconds else n.seconds / 2 end,
       {MOMENT} + (p.number + k * 60) * interval '1 second', {MOMENT} + (p.number + k * 60) * interval '1 second',
       {ENTRIES} + k
from people p
cross join generate_series(1, $1::integer) as k
join numbered n on n.number = 1 + (p.number * 6151 + k) % (select count(*) from numbered)
on conflict do nothing;

-- name: subscriptions
insert into subscriptions (user_id, subscription_type, target_id)
select p.id, 'release', c.release_id
from people p
cross join generate_series(1, 3) as k
join chosen c on c.number = 1 + (p.number * 7919 + k * 104729) % (select count(*) from chosen)
on conflict do nothing;

-- name: stats
insert into user_stats (user_id, episodes_watched, watch_seconds)
select p.id, w.episodes, w.seconds
from people p
join (
    select user_id, count(*) filter (where completed) as episodes, sum(watched_seconds) as seconds
    from progress group by user_id
) w on w.user_id = p.id
on conflict (user_id) do nothing;

-- name: presence
insert into user_presence (user_id, last_active_at) select id, {MOMENT} + number * interval '1 minute' from people;

-- name: activity
insert into activity (actor_id, action_type, target_type, target_id, created_at)
select p.id, 'rated', 'release', c.release_id, {MOMENT} + k * interval '1 hour' + p.number * interval '1 second'
from generate_series(1, $1::integer) as k
cross join people p
join chosen c on c.number = 1 + (p.number * 31 + k * 104729) % (select count(*) from chosen);

-- name: sessions
insert into sessions (user_id, expires_at)
select id, now() + interval '30 days' from people cross join generate_series(1, 2);

-- name: refresh_tokens
insert into refresh_tokens (token_hash, session_id, used_at)
select sha256((id::text || k)::bytea), id, case when k = 1 then now() end
from sessions cross join generate_series(1, 2) k;

-- name: api_tokens
insert into api_tokens (user_id, name, token_hash, scopes)
select id, 'machine', sha256(('token' || id)::bytea), '{{read}}' from people;

-- name: account_tokens
insert into account_tokens (token_hash, user_id, purpose, email_key, expires_at)
select sha256(('account' || id)::bytea), id, 'verify', 'reader' || number || '@example.org', now() + interval '1 day'
from people;

-- name: operations
insert into operations (user_id, kind, status, finished_at, file)
select id, 'export', 'succeeded', now(), 'exports/' || id from people;

-- name: idempotency_keys
insert into idempotency_keys (user_id, key, method, path, body_hash, status, headers, body)
select id, 'key', 'POST', '/api/v1/subscriptions', ''::bytea, 201, '{{}}', ''::bytea from people;

-- name: unmatched
insert into unmatched_entries (user_id, source, external_id, entry, reason)
select id, 'mal', (1000000 + number * 7 + k)::text, '{{}}', 'none' from people cross join generate_series(1, 3) as k;

-- name: drop
drop table people, numbered, chosen;
""")
STATISTICS = (
    "analyze users, user_revisions, library_entries, progress, subscriptions, user_stats, user_presence, activity, "
    "sessions, refresh_tokens, api_tokens, account_tokens, operations, idempotency_keys, unmatched_entries"
)
INDEXES = "select indexdef from pg_indexes where indexname in ('progress_by_revision', 'progress_by_time')"


async def fill(conn: Any, people: int, *, progress: int = 50, activity: int = 3) -> None:
    """Make so many people over the catalogue that is there, each with `progress` episodes and `activity` events."""
    # Rows by the million: checked and indexed once, at the end.
    indexes = [row["indexdef"] for row in await conn.fetch(INDEXES)]
    await conn.execute("set session_replication_role = replica")
    await conn.execute("drop index progress_by_revision, progress_by_time")
    parameters = {"users": people, "revisions": progress, "progress": progress, "activity": activity}
    for name, query in QUERIES.items():
        await query.execute(conn, *([parameters[name]] if name in parameters else []))
    for definition in indexes:
        await conn.execute(definition)
    await conn.execute("reset session_replication_role")
    await conn.execute(STATISTICS)
