-- name: in_force
select pattern, kind, action from word_rules where enabled order by id limit $1;

-- name: lock_rules
-- They are made one after another, so that their number holds.
select pg_advisory_xact_lock(hashtextextended('word rules', 0));

-- name: count_rules
select count(*) from word_rules;

-- name: create_rule
insert into word_rules (pattern, kind, action, note, enabled, created_by) values ($1, $2, $3, $4, $5, $6)
on conflict (pattern, kind) do nothing
returning id;

-- name: list_rules
select row_to_json(shown)::text as rule
from (
    select w.id, w.pattern, w.kind, w.action, w.note, w.enabled,
        (select row_to_json(who) from (select u.id, u.username from users u where u.id = w.created_by) who) as created_by,
        rfc3339(w.created_at) as created_at, rfc3339(w.updated_at) as updated_at
    from word_rules w
    order by w.id desc
    limit $1 offset $2
) shown;

-- name: get_rule
select row_to_json(shown)::text as rule
from (
    select w.id, w.pattern, w.kind, w.action, w.note, w.enabled,
        (select row_to_json(who) from (select u.id, u.username from users u where u.id = w.created_by) who) as created_by,
        rfc3339(w.created_at) as created_at, rfc3339(w.updated_at) as updated_at
    from word_rules w
    where w.id = $1
) shown;

-- name: lock_rule
select pattern, kind, action, note, enabled from word_rules where id = $1 for update;

-- name: rule_exists
select exists (select from word_rules where pattern = $1 and kind = $2 and id <> $3);

-- name: change_rule
update word_rules set pattern = $2, kind = $3, action = $4, note = $5, enabled = $6, updated_at = now() where id = $1;

-- name: delete_rule
delete from word_rules where id = $1;

-- name: tell
-- Once this transaction commits.
select pg_notify('yojohan_invalidate', $1);

-- name: newest_comments
select id, text from comments where deleted_at is null order by id desc limit $1;

-- name: show_comments
-- In the order of the ids given.
select row_to_json(shown)::text as comment
from (
    select c.id, c.release_id,
        (select row_to_json(who) from (select u.id, u.username from users u where u.id = c.user_id) who) as author,
        c.text, c.state, rfc3339(c.created_at) as created_at
    from unnest($1::bigint[]) with ordinality as wanted (id, place)
    join comments c on c.id = wanted.id
    order by wanted.place
) shown;
