-- Each query deletes at most $1 rows whose time is over and says how many. Another rule is another query: the actor
-- runs all there are. Rows that somebody holds are left for the next round.

-- name: revocations
with gone as (
    delete from revocations where id in (
        select id from revocations where expires_at <= now() order by expires_at limit $1 for update skip locked
    )
    returning 1
)
select count(*) from gone;

-- name: account_tokens
with gone as (
    delete from account_tokens where token_hash in (
        select token_hash from account_tokens where expires_at <= now() order by expires_at limit $1
        for update skip locked
    )
    returning 1
)
select count(*) from gone;

-- name: refresh_tokens
-- Used ones are kept to notice that one comes again; after thirty days the next of them has expired, too.
with gone as (
    delete from refresh_tokens where token_hash in (
        select token_hash from refresh_tokens where used_at < now() - interval '30 days' order by used_at limit $1
        for update skip locked
    )
    returning 1
)
select count(*) from gone;

-- name: sessions
-- A session takes its refresh tokens along, of which there may be thousands.
with gone as (
    delete from sessions where id in (
        select id from sessions where expires_at <= now() order by expires_at limit greatest(1, $1::bigint / 20)
        for update skip locked
    )
    returning 1
)
select count(*) from gone;

-- name: library_tombstones
-- The user's revision is locked first, as by everybody who writes there. Devices that have not synchronised since a
-- tombstone went have to start over: `forgotten` tells them.
with old as (
    select user_id, kind, release_id from library_entries
    where deleted and updated_at < now() - interval '90 days'
    order by updated_at limit $1
), locked as (
    select user_id from user_revisions where user_id in (select user_id from old) for update skip locked
), gone as (
    delete from library_entries e using old, locked
    where e.user_id = old.user_id and e.kind = old.kind and e.release_id = old.release_id
        and locked.user_id = old.user_id and e.deleted and e.updated_at < now() - interval '90 days'
    returning e.user_id, e.revision
), raised as (
    update user_revisions r set forgotten = greatest(r.forgotten, highest.revision)
    from (select user_id, max(revision) as revision from gone group by user_id) highest
    where r.user_id = highest.user_id
)
select count(*) from gone;

-- name: progress_tombstones
with old as (
    select user_id, episode_id from progress
    where deleted and updated_at < now() - interval '90 days'
    order by updated_at limit $1
), locked as (
    select user_id from user_revisions where user_id in (select user_id from old) for update skip locked
), gone as (
    delete from progress p using old, locked
    where p.user_id = old.user_id and p.episode_id = old.episode_id
        and locked.user_id = old.user_id and p.deleted and p.updated_at < now() - interval '90 days'
    returning p.user_id, p.revision
), raised as (
    update user_revisions r set forgotten = greatest(r.forgotten, highest.revision)
    from (select user_id, max(revision) as revision from gone group by user_id) highest
    where r.user_id = highest.user_id
)
select count(*) from gone;

-- name: subscription_tombstones
with old as (
    select id, user_id from subscriptions
    where deleted_at < now() - interval '90 days'
    order by deleted_at limit $1
), locked as (
    select user_id from user_revisions where user_id in (select user_id from old) for update skip locked
), gone as (
    delete from subscriptions s using old
    where s.id = old.id and s.deleted_at < now() - interval '90 days'
        -- Who has no revision has no device to tell.
        and (old.user_id in (select user_id from locked)
            or not exists (select from user_revisions r where r.user_id = old.user_id))
    returning s.user_id, s.revision
), raised as (
    update user_revisions r set forgotten = greatest(r.forgotten, highest.revision)
    from (select user_id, max(revision) as revision from gone group by user_id) highest
    where r.user_id = highest.user_id
)
select count(*) from gone;

-- name: idempotency_keys
with gone as (
    delete from idempotency_keys where (user_id, key, method, path) in (
        select user_id, key, method, path from idempotency_keys
        where created_at < now() - interval '24 hours'
        order by created_at limit $1
        for update skip locked
    )
    returning 1
)
select count(*) from gone;

-- name: dead_deliveries
with gone as (
    delete from outbox_deliveries where id in (
        select id from outbox_deliveries
        where dead_at < now() - interval '30 days'
        order by dead_at, id limit $1
        for update skip locked
    )
    returning 1
)
select count(*) from gone;

-- name: activity
with gone as (
    delete from activity where seq in (
        select seq from activity
        where created_at < now() - interval '365 days'
        order by created_at limit $1
        for update skip locked
    )
    returning 1
)
select count(*) from gone;

-- name: recommendation_rounds
with gone as (
    delete from recommendation_rounds where day in (
        select day from recommendation_rounds where day < current_date - 90 order by day limit $1 for update skip locked
    )
    returning 1
)
select count(*) from gone;

-- name: revisions
with gone as (
    delete from revisions where id in (
        select id from revisions
        where created_at < now() - interval '2 years'
        order by created_at limit $1
        for update skip locked
    )
    returning 1
)
select count(*) from gone;

-- name: webhook_deliveries
-- What has come to an end, what nobody has been there for in a month, and what is of webhooks that were deleted.
with gone as (
    delete from webhook_deliveries where id in (
        (select id from webhook_deliveries
         where finished_at < now() - interval '30 days'
         order by finished_at limit $1)
        union all
        (select id from webhook_deliveries
         where status = 'pending' and due_at < now() - interval '30 days'
         order by due_at limit $1)
        union all
        (select d.id
         from webhooks w
         cross join lateral (
             select id from webhook_deliveries where webhook_id = w.id order by seq limit $1
         ) d
         where w.deleted_at is not null
         limit $1)
        limit $1
    )
    returning 1
)
select count(*) from gone;

-- name: webhooks
with gone as (
    delete from webhooks where id in (
        select w.id from webhooks w
        where w.deleted_at < now() - interval '30 days'
            and not exists (select from webhook_deliveries d where d.webhook_id = w.id)
        order by w.id limit $1
        for update skip locked
    )
    returning 1
)
select count(*) from gone;

-- name: stream_tickets
with gone as (
    delete from stream_tickets where ticket_hash in (
        select ticket_hash from stream_tickets where expires_at <= now() order by expires_at limit $1
        for update skip locked
    )
    returning 1
)
select count(*) from gone;

-- name: forgotten_reports
-- Open ones about what has not come into the queue of moderators, so that nobody will close them. Of what they are about,
-- and of them, only what nobody holds: others lock those in another order.
with old as materialized (
    select o.target_type, o.target_id, o.user_id
    from reports o
    where o.closed_at is null and o.created_at < now() - interval '2 years'
        and not exists (
            select from comments c where o.target_type = 'comment' and c.id = o.target_id and c.queued_at is not null)
        and not exists (
            select from reviews r where o.target_type = 'review' and r.id = o.target_id and r.queued_at is not null)
    order by o.created_at limit $1
), commented as materialized (
    select id from comments
    where id in (select target_id from old where target_type = 'comment') and queued_at is null
    for no key update skip locked
), reviewed as materialized (
    select id from reviews
    where id in (select target_id from old where target_type = 'review') and queued_at is null
    for no key update skip locked
), gone as (
    delete from reports where (target_type, target_id, user_id) in (
        select o.target_type, o.target_id, o.user_id
        from reports o
        join old using (target_type, target_id, user_id)
        where o.closed_at is null and (
            target_type = 'comment' and target_id in (select id from commented)
            or target_type = 'review' and target_id in (select id from reviewed))
        for update of o skip locked
    )
    returning target_type, target_id
), fewer as (
    select target_type, target_id, count(*) as reports from gone group by target_type, target_id
), lowered_comments as (
    update comments c set reports = greatest(0, c.reports - f.reports)
    from fewer f
    where f.target_type = 'comment' and c.id = f.target_id
), lowered_reviews as (
    update reviews r set reports = greatest(0, r.reports - f.reports)
    from fewer f
    where f.target_type = 'review' and r.id = f.target_id
)
select count(*) from gone;

-- name: reports
-- Those that are open wait for a moderator.
with gone as (
    delete from reports where (target_type, target_id, user_id) in (
        select target_type, target_id, user_id from reports
        where closed_at < now() - interval '180 days'
        order by closed_at limit $1
        for update skip locked
    )
    returning 1
)
select count(*) from gone;

-- name: moderation_decisions
with gone as (
    delete from moderation_decisions where id in (
        select id from moderation_decisions
        where created_at < now() - interval '2 years'
        order by created_at limit $1
        for update skip locked
    )
    returning 1
)
select count(*) from gone;

-- name: search_misses
with gone as (
    delete from search_misses where (day, query) in (
        select day, query from search_misses where day < current_date - 90 order by day, query limit $1
        for update skip locked
    )
    returning 1
)
select count(*) from gone;
