-- name: create_operation
insert into operations (user_id, kind, request, file) values ($1, $2, $3, $4)
returning id, user_id, kind, request, file, attempts;

-- name: claim_operations
-- The next ones nobody works on: queued, or left behind by a process that no longer renews its lease.
update operations set
    status = 'running', attempts = attempts + 1, leased_until = now() + interval '60 seconds',
    started_at = coalesce(started_at, now()), done = 0, total = 0
where id in (
    select id from operations
    where status in ('queued', 'running') and (leased_until is null or leased_until < now())
      and attempts < $3 and kind = any ($1::text[])
    order by created_at, id
    limit $2
    for update skip locked
)
returning id, user_id, kind, request, file, attempts;

-- name: give_up_operations
-- Those that were begun too often and never came to an end.
update operations set
    status = 'failed', leased_until = null, finished_at = now(), file = null,
    errors = jsonb_build_array(jsonb_build_object('row', null, 'detail', $1::text))
where id in (
    select id from operations
    where status in ('queued', 'running') and leased_until < now() and attempts >= $2
    limit 100
    for update skip locked
);

-- name: renew_operations
-- Progress of what still runs under this lease. What is missing from the answer has been lost to somebody else.
update operations o set
    done = mine.done, total = mine.total, leased_until = now() + interval '60 seconds'
from unnest($1::uuid[], $2::int[], $3::int[], $4::int[]) as mine (id, attempts, done, total)
where o.id = mine.id and o.status = 'running' and o.attempts = mine.attempts
returning o.id, o.stopping;

-- name: finish_operation
update operations set
    status = $3, done = $4, total = $5, errors = $6, result = $7, file = $8, leased_until = null, finished_at = now()
where id = $1 and status = 'running' and attempts = $2;

-- name: put_back_operation
-- Into the queue again, not to be taken up for so many seconds. An attempt that was only interrupted does not count.
update operations set
    status = 'queued', leased_until = now() + make_interval(secs => $3::float8), attempts = attempts - $4::int
where id = $1 and status = 'running' and attempts = $2;

-- name: list_operations
select operation_json(o, $2::text) as operation
from (select * from operations where user_id = $1 order by created_at desc, id desc limit $3 offset $4) o
order by o.created_at desc, o.id desc;

-- name: count_operations
select count(*) from operations where user_id = $1;

-- name: get_operation
select operation_json(o, $3::text) from operations o where o.id = $1 and o.user_id = $2;

-- name: operation_status
select status from operations where id = $1 and user_id = $2;

-- name: get_download
select kind, file, created_at from operations
where id = $1 and user_id = $2 and status = 'succeeded' and file is not null;

-- name: cancel_operation
-- Queued: over. Running: whoever runs it will hear of it. A file it brought along is swept up by and by.
update operations set
    status = case status when 'queued' then 'cancelled' else status end,
    finished_at = case status when 'queued' then now() end,
    file = case status when 'queued' then null else file end,
    leased_until = case status when 'queued' then null else leased_until end,
    stopping = true
where id = $1 and user_id = $2 and status in ('queued', 'running');

-- name: trim_operations
delete from operations where id in (
    select id from operations where finished_at < now() - interval '7 days' order by finished_at limit $1
)
returning file;

-- name: known_files
select file from operations where file = any ($1::text[]);

-- name: operations_of
select id, file from operations where user_id = $1;
