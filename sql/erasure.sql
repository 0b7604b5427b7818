-- name: take_time
-- Somebody who has watched for years has many rows.
select set_config('statement_timeout', '120s', true), set_config('lock_timeout', '10s', true);

-- name: lock_user
select id from users where id = $1 for update;

-- name: forget_comments
-- Each of these takes at most $2 things away (`0017_forgetting.sql`) and says how many, and where they stood.
select forgotten, releases from forget_comments($1, $2);

-- name: forget_reviews
select forgotten, releases from forget_reviews($1, $2);

-- name: forget_votes
select forget_votes($1, $2) as forgotten, '{}'::bigint[] as releases;

-- name: forget_reports
select forget_reports($1, $2) as forgotten, '{}'::bigint[] as releases;

-- name: forget_decisions
select forget_decisions($1, $2) as forgotten, '{}'::bigint[] as releases;

-- name: has_said
select exists (select from comments where user_id = $1) or exists (select from reviews where user_id = $1)
    or exists (select from helpful_votes where user_id = $1) or exists (select from reports where user_id = $1) as said;

-- name: publish_counts
-- What the releases lose: said in portions, naming nobody.
insert into outbox (topic, entity, payload)
select 'release_counts', 'release_counts', jsonb_build_object('changes', jsonb_agg(change))
from (
    select jsonb_build_array(
               release_id, -count(*) filter (where kind = 1), -count(*) filter (where kind = 3),
               -coalesce(sum(value) filter (where kind = 3), 0)) as change,
           row_number() over (order by release_id) / 500 as portion
    from library_entries
    where user_id = $1 and kind in (1, 3) and not deleted
    group by release_id
) lost
group by portion;

-- name: drop_events
delete from outbox where user_id = $1;

-- name: drop_deliveries
delete from outbox_deliveries where user_id = $1;

-- name: revoke
insert into revocations (user_id, credentials_version, expires_at) values ($1, $2, now() + interval '16 minutes');

-- name: release_operations
-- What was accepted of the catalogue is made, whoever asked for it is here or not; before the account goes, which would
-- take it along.
update operations set user_id = null where user_id = $1 and shared;

-- name: drop_user
delete from users where id = $1;

-- name: anonymise_views
-- The viewer becomes a visitor like any other; one number for all, so that distinct viewers stay distinct.
update view_metrics set viewer = $2 where viewer = -$1::bigint;

-- name: anonymise_viewers
update view_viewers set viewer = $2 where viewer = -$1::bigint;

-- name: drop_budget
delete from notification_budgets where user_id = $1;

-- name: drop_notifications
delete from notifications where user_id = $1;

-- name: drop_held
delete from held_notifications where user_id = $1;

-- name: drop_mails
delete from notification_mails where user_id = $1;

-- name: drop_personal_events
delete from notification_events where recipient_id = $1;

-- name: forget_author
-- What they changed stays written down, as nobody's; what was changed of their account does not.
with anonymised as (
    update revisions set actor_id = null where actor_id = $1 and (noun, entity_id) <> ('user', $1)
)
delete from revisions where noun = 'user' and entity_id = $1;

-- name: forget_webhook_author
update webhooks set created_by = null where created_by = $1;
