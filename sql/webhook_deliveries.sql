-- name: anybody_listens
select exists (select from webhooks where deleted_at is null and disabled_at is null);

-- name: enqueue
-- One row for each event and each webhook that wants it, in the order of the events: `seq` is given after sorting.
insert into webhook_deliveries (webhook_id, topic, entity, subject_id, created_at)
select w.id, happened.topic, 'release:' || happened.release_id, happened.subject_id, happened.created_at
from (
    select said.release_id, said.subject_id, said.created_at, said.place,
        -- A release that was shown and is hidden again is gone for everybody outside.
        case when hidden.id is null then said.topic else 'release.deleted' end as topic
    from unnest($1::text[], $2::bigint[], $3::bigint[], $4::timestamptz[])
        with ordinality said (topic, release_id, subject_id, created_at, place)
    left join releases hidden on said.topic = 'release.updated' and hidden.id = said.release_id
        and hidden.announced and not hidden.visible and hidden.deleted_at is null
) happened
join webhooks w on w.deleted_at is null and w.disabled_at is null
    and (cardinality(w.topics) = 0 or happened.topic = any (w.topics))
order by happened.place, w.id;

-- name: enqueue_ping
insert into webhook_deliveries (webhook_id, topic, entity, subject_id, body)
select w.id, 'ping', 'ping:' || gen_random_uuid(), w.id,
    '{"type":"ping","timestamp":"' || rfc3339(now()) || '","data":{"webhook_id":' || w.id || '}}'
from webhooks w
where w.id = $1 and w.deleted_at is null
returning id, (select disabled_at is null from webhooks where id = $1) as enabled;

-- name: lock_receivers
-- Webhooks that something could be sent to now; what somebody else is busy with comes next time.
select w.id, w.failures, (
    select count(*) from webhook_deliveries d
    where d.webhook_id = w.id and d.status = 'pending' and d.leased_until > now()
)::integer as on_their_way
from webhooks w
where w.deleted_at is null and w.disabled_at is null and (w.paused_until is null or w.paused_until <= now())
    and exists (
        select from webhook_deliveries d where d.webhook_id = w.id and d.status = 'pending' and d.due_at <= now()
    )
order by w.id
for no key update of w skip locked;

-- name: postpone_followers
-- What is due but stands behind something that is not waits as long as that does.
update webhook_deliveries d
set due_at = held.until
from (
    select due.id, first.due_at as until
    from unnest($1::bigint[]) w (id)
    cross join lateral (
        select id, entity, seq from webhook_deliveries
        where webhook_id = w.id and status = 'pending' and due_at <= now()
        order by due_at, seq
        limit $2
    ) due
    cross join lateral (
        select seq, due_at from webhook_deliveries e
        where e.webhook_id = w.id and e.entity = due.entity and e.status = 'pending'
        order by e.seq
        limit 1
    ) first
    where first.seq < due.seq and first.due_at > now()
) held
where d.id = held.id;

-- name: ready
-- Of the entities that have something due, the first delivery each, where it is due itself.
select first.id, waiting.webhook_id
from (
    select distinct w.id as webhook_id, due.entity
    from unnest($1::bigint[]) w (id)
    cross join lateral (
        select entity from webhook_deliveries
        where webhook_id = w.id and status = 'pending' and due_at <= now()
        order by due_at, seq
        limit $2
    ) due
) waiting
cross join lateral (
    select id, seq, due_at from webhook_deliveries e
    where e.webhook_id = waiting.webhook_id and e.entity = waiting.entity and e.status = 'pending'
    order by e.seq
    limit 1
) first
where first.due_at <= now()
order by waiting.webhook_id, first.due_at, first.seq;

-- name: lease
-- The body is written when it is needed first: thousands of them may wait after an import. Nothing (null) where there is
-- nothing left to show.
update webhook_deliveries d
set leased_until = now() + make_interval(secs => $2), due_at = now() + make_interval(secs => $2),
    body = coalesce(d.body, '{"type":"' || d.topic || '","timestamp":"' || rfc3339(d.created_at) || '","data":' ||
        case
            when d.topic = 'release.deleted' then '{"id":' || d.subject_id || '}'
            when d.topic = 'episode.deleted' then
                '{"id":' || d.subject_id || ',"release_id":' || substr(d.entity, length('release:') + 1) || '}'
            when d.topic in ('release.created', 'release.updated') then (
                select release_json(stored.document, m)
                from releases r
                join release_documents stored on stored.release_id = r.id
                left join popularity_metrics m on m.release_id = r.id
                where r.id = d.subject_id and r.visible)
            else (
                select episode_json(e)
                from episodes e
                join releases r on r.id = e.release_id and r.visible
                where e.id = d.subject_id and e.deleted_at is null)
        end || '}')
from webhooks w
where d.id = any ($1::uuid[]) and w.id = d.webhook_id
returning d.id, d.webhook_id, d.entity, d.body, d.attempts, d.leased_until, w.url, w.salt,
    case when w.previous_until > now() then w.previous_salt end as previous_salt;

-- name: drop_empty
delete from webhook_deliveries where id = any ($1::uuid[]);

-- name: promote
-- The next of its entity need not wait any longer.
update webhook_deliveries d
set due_at = now()
from unnest($1::bigint[], $2::text[]) of_one (webhook_id, entity)
cross join lateral (
    select id from webhook_deliveries e
    where e.webhook_id = of_one.webhook_id and e.entity = of_one.entity and e.status = 'pending'
    order by e.seq
    limit 1
) next
where d.id = next.id and d.due_at > now() and (d.leased_until is null or d.leased_until <= now());

-- name: lock_receiver
select failures from webhooks where id = $1 for no key update;

-- name: settle
update webhook_deliveries
set status = $3, attempts = attempts + 1, due_at = now() + make_interval(secs => $4), leased_until = null,
    response_status = $5, response = $6, error = $7, duration_ms = $8, attempted_at = now(),
    finished_at = case when $3 = 'pending' then null else now() end
where id = $1 and status = 'pending' and leased_until = $2;

-- name: put_back
update webhook_deliveries set leased_until = null, due_at = now()
where id = $1 and status = 'pending' and leased_until = $2;

-- name: note_success
update webhooks set failures = 0, failing_since = null, paused_until = null
where id = $1 and failures > 0;

-- name: note_failure
-- $2: seconds it is left alone; $3: it wants nothing any more. Whoever has failed for days, and often, is given up.
update webhooks
set failures = failures + 1, failing_since = coalesce(failing_since, now()),
    paused_until = greatest(paused_until, now() + make_interval(secs => $2)),
    disabled_at = case when $3 or over then now() end,
    disabled_reason = case when $3 then 'gone' when over then 'failing' end
from (
    select failures + 1 >= $4 and failing_since <= now() - make_interval(days => $5) as over from webhooks where id = $1
) judged
where id = $1 and deleted_at is null and disabled_at is null
returning disabled_reason;

-- name: list_deliveries
select d.seq, (select row_to_json(shown)::text from (
    select d.id, d.topic as type, d.entity, d.status, d.attempts,
        case when d.status = 'pending' then rfc3339(d.due_at) end as next_attempt_at,
        d.response_status, d.response, d.error, d.duration_ms, rfc3339(d.attempted_at) as attempted_at,
        rfc3339(d.finished_at) as finished_at, rfc3339(d.created_at) as created_at
) shown) as delivery
from webhook_deliveries d
where d.webhook_id = $1 and ($2::text is null or d.status = $2) and ($3::bigint is null or d.seq < $3)
order by d.seq desc
limit $4;

-- name: count_deliveries
select count(*)
from (
    select from webhook_deliveries where webhook_id = $1 and ($2::text is null or status = $2) limit $3
) counted;

-- name: replay
-- One that is on its way just now stays there. To a webhook that is switched off nothing would go.
with found as materialized (
    select d.id, w.disabled_at is null as enabled
    from webhook_deliveries d
    join webhooks w on w.id = d.webhook_id and w.deleted_at is null
    where d.id = $1
), again as (
    update webhook_deliveries d
    set status = 'pending', attempts = 0, finished_at = null, error = null,
        due_at = case when d.status = 'pending' and d.leased_until > now() then d.due_at else now() end,
        leased_until = case when d.status = 'pending' and d.leased_until > now() then d.leased_until end
    from found
    where d.id = found.id and found.enabled
)
select enabled from found;

-- name: measure
select
    (select count(*) from (
        select
        from webhooks w
        cross join lateral (
            select from webhook_deliveries d where d.webhook_id = w.id and d.status = 'pending' limit $1
        ) waiting
        where w.deleted_at is null and w.disabled_at is null
        limit $1
    ) counted)::integer as pending,
    coalesce(greatest(0, extract(epoch from now() - (
        select min(oldest.due_at)
        from webhooks w
        cross join lateral (
            select due_at from webhook_deliveries d
            where d.webhook_id = w.id and d.status = 'pending'
            order by d.due_at
            limit 1
        ) oldest
        where w.deleted_at is null and w.disabled_at is null
    ))), 0)::float8 as oldest_seconds,
    (select count(*) from webhooks where deleted_at is null and disabled_at is not null)::integer as disabled;
