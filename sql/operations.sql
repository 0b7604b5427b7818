-- name: lock_acceptance
-- So that `seq` is the order of commits wherever order matters: for the catalogue as a whole against a barrier ($2 says
-- whether this is one), and entity by entity. Names share 64 locks, since a batch has hundreds; taken in one order by all.
with locks as materialized (
    select -1 as bucket union select hashtext(entity) & 63 from unnest($1::text[]) as entity order by bucket
)
select count(case when bucket < 0 and not $2
                  then pg_advisory_xact_lock_shared(hashtext('yojohan operations'), bucket)::text
                  else pg_advisory_xact_lock(hashtext('yojohan operations'), bucket)::text end)
from locks;

-- name: create_operation
insert into operations (user_id, kind, request, file, entities, barrier, shared) values ($1, $2, $3, $4, $5, $6, $7)
returning id, user_id, kind, request, file, attempts, done, total, checkpoint, seq, created_at;

-- name: claim_operations
-- The next ones nobody works on: queued, or left behind by a process that no longer renews its lease.
-- In order of acceptance: only the first of all open ones that name an entity may run. The head of the queue is enough to
-- see that, since whatever comes before one of these is among them; it keeps the look cheap however long the queue is.
-- It is long enough that many edits of one thing do not hide the others, and ends early where batches name hundreds.
with first_ones as materialized (
    select o.id, o.seq, o.entities, o.barrier
    from unnest($1::text[]) as wanted (kind)
    cross join lateral (
        select id, seq, entities, barrier from operations
        where kind = wanted.kind and status in ('queued', 'running') order by seq limit 500
    ) o
    order by o.seq limit 500
), head as materialized (
    select id, seq, entities, barrier from (
        select *, row_number() over (order by seq) as place, sum(cardinality(entities)) over (order by seq) as named
        from first_ones
    ) counted
    where place <= 50 or named <= 5000
), later as (
    select seq from (
        select seq, rank() over (partition by entity order by seq) as place from head, unnest(entities) as entity
    ) line where place > 1
), free as (
    select id from head
    where seq not in (select seq from later)
      and not (barrier and exists (select from operations earlier where earlier.status in ('queued', 'running')
                                   and earlier.shared and earlier.seq < head.seq))
)
update operations set
    status = 'running', attempts = attempts + 1, leased_until = now() + interval '20 seconds',
    started_at = coalesce(started_at, now()),
    done = case when checkpoint is null then 0 else done end, total = case when checkpoint is null then 0 else total end
where id in (
    select id from operations
    where id = any (array(select id from free)) and status in ('queued', 'running')
      and (leased_until is null or leased_until < now())
      and (attempts < $3 or checkpoint is not null and kind in ('edit', 'batch'))
    order by seq
    limit $2
    for update skip locked
)
returning id, user_id, kind, request, file, attempts, done, total, checkpoint, seq, created_at;

-- name: checkpoint_operation
-- In the transaction of the effect: what is done by this attempt, or by none. With $6 also if it has been asked to stop.
update operations set
    checkpoint = $3, done = coalesce($4, done), total = coalesce($5, total), leased_until = now() + interval '20 seconds'
where id = $1 and status = 'running' and attempts = $2 and (not stopping or $6);

-- name: give_up_operations
-- Those that were begun too often and never came to an end. Not edits whose effect is there: those go on until what
-- follows from it is done.
update operations set
    status = 'failed', leased_until = null, finished_at = now(), file = null,
    errors = jsonb_build_array(jsonb_build_object('row', null, 'detail', $1::text))
where id in (
    select id from operations
    where status in ('queued', 'running') and leased_until < now() and attempts >= $2
      and not (checkpoint is not null and kind in ('edit', 'batch'))
    limit 100
    for update skip locked
);

-- name: take_time
-- For this transaction, which may have to wait for another that writes many releases; below the client's own limit.
select set_config('lock_timeout', '9s', true), set_config('statement_timeout', '9s', true);

-- name: renew_operations
-- Progress of what still runs under this lease. What is missing from the answer has been lost to somebody else.
update operations o set
    done = mine.done, total = mine.total, leased_until = now() + interval '20 seconds'
from unnest($1::uuid[], $2::int[], $3::int[], $4::int[]) as mine (id, attempts, done, total)
where o.id = mine.id and o.status = 'running' and o.attempts = mine.attempts
returning o.id, o.stopping;

-- name: finish_operation
update operations set
    status = $3, done = $4, total = $5, errors = $6, result = $7, file = $8, leased_until = null, finished_at = now()
where id = $1 and status = 'running' and attempts = $2;

-- name: has_checkpoint
-- Whether anything is committed of it; not if it is no longer this attempt's.
select checkpoint is not null from operations where id = $1 and status = 'running' and attempts = $2;

-- name: put_back_operation
-- Into the queue again, not to be taken up for so many seconds. An attempt that was only interrupted does not count.
update operations set
    status = 'queued', leased_until = now() + make_interval(secs => $3::float8), attempts = attempts - $4::int
where id = $1 and status = 'running' and attempts = $2;

-- name: list_operations
select operation_json(o, $2::text) as operation
from (select * from operations where user_id = $1 and (not shared or $5) order by created_at desc, id desc limit $3 offset $4) o
order by o.created_at desc, o.id desc;

-- name: count_operations
select count(*) from operations where user_id = $1 and (not shared or $2);

-- name: list_shared_operations
select operation_json(o, $1::text) as operation
from (
    select * from operations
    where shared and ($2::text is null or status = $2) and ($3::text is null or kind = $3)
    order by seq desc limit $4 offset $5
) o
order by o.seq desc;

-- name: count_shared_operations
-- Up to one more than pages lead.
select count(*) from (
    select from operations
    where shared and ($1::text is null or status = $1) and ($2::text is null or kind = $2)
    limit 10001
) found;

-- name: get_operation
-- Without a user: one that administrators share. One's own of these with $4 only.
select operation_json(o, $3::text) from operations o
where o.id = $1 and (o.user_id = $2 and (not o.shared or $4) or ($2 is null and o.shared));

-- name: operation_status
select status from operations where id = $1 and (user_id = $2 and not shared or ($2 is null and shared));

-- name: get_download
select kind, file, created_at from operations
where id = $1 and user_id = $2 and (not shared or $3) and status = 'succeeded' and file is not null;

-- name: cancel_operation
-- Queued: over. Running: whoever runs it will hear of it, and so will who takes up again what was interrupted after a
-- part of it was done. A file it brought along is swept up by and by. Whose it is as above.
update operations set
    status = case when status = 'queued' and checkpoint is null then 'cancelled' else status end,
    finished_at = case when status = 'queued' and checkpoint is null then now() end,
    file = case when status = 'queued' and checkpoint is null then null else file end,
    leased_until = case status when 'queued' then null else leased_until end,
    stopping = true
where id = $1 and (user_id = $2 and (not shared or $3) or ($2 is null and shared)) and status in ('queued', 'running');

-- name: trim_operations
delete from operations where id in (
    select id from operations where finished_at < now() - interval '7 days' order by finished_at limit $1
)
returning file;

-- name: known_files
select file from operations where file = any ($1::text[]);

-- name: operations_of
-- Only what goes with the account: what administrators share stays.
select id, file from operations where user_id = $1 and not shared;
