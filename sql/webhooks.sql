-- name: lock_webhooks
-- They are made one after another, so that their number holds.
select pg_advisory_xact_lock(hashtextextended('webhooks', 0));

-- name: count_webhooks
select count(*) from webhooks where deleted_at is null;

-- name: create_webhook
insert into webhooks (url, description, topics, salt, created_by) values ($1, $2, $3, $4, $5) returning id;

-- name: list_webhooks
select row_to_json(shown)::text as webhook
from (
    select id, url, description, topics, disabled_at is null as enabled, failures,
        rfc3339(failing_since) as failing_since, rfc3339(disabled_at) as disabled_at, disabled_reason,
        case when previous_until > now() then rfc3339(previous_until) end as previous_secret_until,
        rfc3339(created_at) as created_at, rfc3339(updated_at) as updated_at
    from webhooks
    where deleted_at is null
    order by webhooks.id desc
    limit $1 offset $2
) shown;

-- name: get_webhook
select row_to_json(shown)::text as webhook
from (
    select id, url, description, topics, disabled_at is null as enabled, failures,
        rfc3339(failing_since) as failing_since, rfc3339(disabled_at) as disabled_at, disabled_reason,
        case when previous_until > now() then rfc3339(previous_until) end as previous_secret_until,
        rfc3339(created_at) as created_at, rfc3339(updated_at) as updated_at
    from webhooks
    where id = $1 and deleted_at is null
) shown;

-- name: lock_webhook
select url, description, topics, disabled_at is null as enabled
from webhooks
where id = $1 and deleted_at is null
for no key update;

-- name: change_webhook
-- $6: it gets another chance, whatever it did before.
update webhooks
set url = $2, description = $3, topics = $4,
    disabled_at = case when $5::boolean then null else coalesce(disabled_at, now()) end,
    disabled_reason = case when $5::boolean then null else coalesce(disabled_reason, 'manual') end,
    failures = case when $6::boolean then 0 else failures end,
    failing_since = case when $6::boolean then null else failing_since end,
    paused_until = case when $6::boolean then null else paused_until end,
    updated_at = now()
where id = $1;

-- name: hurry
-- What waits for its time is due now; what is on its way is not.
update webhook_deliveries
set due_at = now()
where webhook_id = $1 and status = 'pending' and due_at > now() and (leased_until is null or leased_until <= now());

-- name: rotate_salt
update webhooks
set previous_salt = salt, previous_until = now() + interval '24 hours', salt = $2, updated_at = now()
where id = $1 and deleted_at is null
returning previous_until;

-- name: delete_webhook
update webhooks set deleted_at = now(), updated_at = now() where id = $1 and deleted_at is null;

-- name: record_revision
insert into revisions (noun, entity_id, action, origin, actor_id, diff) values ('webhook', $1, $2, 'cms', $3, $4);
