-- name: publish
insert into outbox (topic, entity, user_id, payload)
select * from unnest($1::text[], $2::text[], $3::bigint[], $4::jsonb[]);

-- name: add_consumers
insert into outbox_consumers (name) select unnest($1::text[]) on conflict do nothing;

-- name: drop_consumers
delete from outbox_consumers where name <> all ($1::text[]);

-- name: drop_deliveries_of_others
delete from outbox_deliveries where consumer <> all ($1::text[]);

-- name: peek
-- Asked every second and at every ring: no lock, no transaction id. Each question follows an index and ends soon; the
-- orders see to that. What is wanted behind thousands of others is found once the cursor has come nearer.
select
    coalesce((
        select true
        from outbox o
        where (o.xid, o.id) > (c.xid, c.id) and o.xid < pg_snapshot_xmin(pg_current_snapshot())
        order by o.xid, o.id
        limit 1
    ), false) as passable,
    coalesce((
        select bool_or(near.topic = any ($2::text[]))
        from (
            select o.topic
            from outbox o
            where (o.xid, o.id) > (c.xid, c.id) and o.xid < pg_snapshot_xmin(pg_current_snapshot())
            order by o.xid, o.id
            limit 1000
        ) near
    ), false) as wanted,
    coalesce((
        select bool_or(far.topic = any ($2::text[]))
        from (
            select o.topic
            from outbox o
            where o.xid >= pg_snapshot_xmin(pg_current_snapshot())
            order by o.xid, o.id
            limit 1000
        ) far
    ), false) as beyond,
    coalesce((
        select true
        from outbox_deliveries d
        where d.consumer = c.name and d.dead_at is null and d.due_at <= now()
            and (d.leased_until is null or d.leased_until < now())
        order by d.due_at
        limit 1
    ), false) as due
from outbox_consumers c
where c.name = $1;

-- name: lock_cursor
select xid, id from outbox_consumers where name = $1 for update skip locked;

-- name: read
-- A statement of its own after the lock: its snapshot must be younger than whatever moved the cursor last.
select xid, id, topic, entity, user_id, case when topic = any ($3::text[]) then payload end as payload, created_at
from outbox
where (xid, id) > ($1::xid8, $2::bigint) and xid < pg_snapshot_xmin(pg_current_snapshot())
order by xid, id
limit $4;

-- name: move_cursor
update outbox_consumers set xid = $2::xid8, id = $3, moved_at = now() where name = $1;

-- name: begin_attempt
savepoint attempt;

-- name: keep_attempt
release savepoint attempt;

-- name: undo_attempt
rollback to savepoint attempt;

-- name: blocked_entities
select distinct entity from outbox_deliveries where consumer = $1 and entity = any ($2::text[]) and dead_at is null;

-- name: park
-- Copied from the outbox under a lock, so that an account being erased meanwhile leaves no copy behind.
insert into outbox_deliveries
    (consumer, xid, event_id, topic, entity, user_id, payload, created_at, attempts, due_at, error)
select
    $1, o.xid, o.id, o.topic, o.entity, o.user_id, o.payload, o.created_at,
    p.attempts, now() + make_interval(secs => p.pause), p.error
from unnest($2::xid8[], $3::bigint[], $4::integer[], $5::float8[], $6::text[]) p (xid, id, attempts, pause, error)
join outbox o on (o.xid, o.id) = (p.xid, p.id)
order by o.xid, o.id
for share of o
on conflict do nothing;

-- name: lock_first_due
-- Only the first of an entity: the others wait behind it, and its lock stands for all of them. What is near is an
-- array, looked up once: joined, it was so again for each row where the planner thought the table as empty as it mostly is.
select d.id, d.entity
from outbox_deliveries d
where d.id = any (array(
        select id
        from outbox_deliveries
        where consumer = $1 and dead_at is null and due_at <= now() and (leased_until is null or leased_until < now())
        order by due_at
        limit 100
    ))
    and d.dead_at is null and d.due_at <= now() and (d.leased_until is null or d.leased_until < now())
    and not exists (
        select from outbox_deliveries earlier
        where earlier.consumer = d.consumer and earlier.entity = d.entity and earlier.dead_at is null
            and earlier.id < d.id
    )
order by d.due_at
limit 1
for update of d skip locked;

-- name: lock_first_due_of_any
-- Where many wait behind one, the next hundred are no first ones: from entity to entity, then.
with recursive firsts (entity, id) as (
    (
        select entity, id
        from outbox_deliveries
        where consumer = $1 and dead_at is null
        order by entity, id
        limit 1
    )
    union all
    select following.entity, following.id
    from firsts
    cross join lateral (
        select d.entity, d.id
        from outbox_deliveries d
        where d.consumer = $1 and d.dead_at is null and d.entity > firsts.entity
        order by d.entity, d.id
        limit 1
    ) following
)
select d.id, d.entity
from firsts
join outbox_deliveries d on d.id = firsts.id
where d.dead_at is null and d.due_at <= now() and (d.leased_until is null or d.leased_until < now())
limit 1
for update of d skip locked;

-- name: lock_parked
select id as delivery_id, xid, event_id as id, topic, entity, user_id, payload, created_at, attempts, leased_until
from outbox_deliveries
where consumer = $1 and entity = $2 and dead_at is null
order by outbox_deliveries.id
limit $3
for update;

-- name: lease
update outbox_deliveries
set leased_until = clock_timestamp() + make_interval(secs => $2)
where id = $1
returning
    id as delivery_id, xid, event_id as id, topic, entity, user_id, payload, created_at, attempts, leased_until;

-- name: done
delete from outbox_deliveries where id = any ($1::bigint[]);

-- name: retry
-- Whose lease ran out has no say any more.
update outbox_deliveries
set attempts = $3, due_at = now() + make_interval(secs => $4), error = $5, leased_until = null
where id = $1 and leased_until is not distinct from $2 and dead_at is null;

-- name: bury
update outbox_deliveries
set attempts = $3, dead_at = now(), error = $4, leased_until = null
where id = $1 and leased_until is not distinct from $2 and dead_at is null;

-- name: trim
-- Two questions to the smallest table, so that the answer bounds the index.
delete from outbox
where ctid = any (array(
    select o.ctid
    from outbox o
    where (o.xid, o.id) <= (
        (select xid from outbox_consumers order by xid, id limit 1),
        (select id from outbox_consumers order by xid, id limit 1)
    )
    order by o.xid, o.id
    limit $1
));

-- name: forget_dead
delete from outbox_deliveries
where id = any (array(
    select id from outbox_deliveries where dead_at < now() - make_interval(days => $1) order by dead_at limit $2
));

-- name: measure
-- Counts end at the bound: what is more than that is only "much".
select
    c.name,
    (
        select count(*)
        from (select from outbox o where (o.xid, o.id) > (c.xid, c.id) limit $1) waiting
    )::integer as waiting,
    coalesce((
        select extract(epoch from now() - o.created_at)
        from outbox o
        where (o.xid, o.id) > (c.xid, c.id)
        order by o.xid, o.id
        limit 1
    ), 0)::float8 as seconds,
    (
        select count(*)
        from (select from outbox_deliveries d where d.consumer = c.name and d.dead_at is null limit $1) parked
    )::integer as parked,
    coalesce(dead.count, 0)::integer as dead
from outbox_consumers c
left join (
    select given_up.consumer, count(*) as count
    from (select d.consumer from outbox_deliveries d where d.dead_at is not null limit $1) given_up
    group by given_up.consumer
) dead on dead.consumer = c.name;

-- name: dead_page
select d.id, d.dead_at, (
    select row_to_json(shown)::text
    from (
        select
            d.id, d.consumer, d.topic, d.entity, d.attempts, d.error, d.payload,
            rfc3339(d.created_at) as created_at, rfc3339(d.dead_at) as dead_at
    ) shown
) as event
from outbox_deliveries d
where d.dead_at is not null
    and (d.dead_at, d.id) < (coalesce($1::timestamptz, 'infinity'), coalesce($2::bigint, 9223372036854775807))
order by d.dead_at desc, d.id desc
limit $3;

-- name: count_dead
select count(*) from outbox_deliveries where dead_at is not null;

-- name: replay
update outbox_deliveries
set dead_at = null, attempts = 0, due_at = now(), leased_until = null, error = ''
where id = $1 and dead_at is not null
returning id;

-- name: started_over
-- Transaction ids this server has not reached were given by another one, before a backup was restored here.
select
    exists (select from outbox_consumers where xid >= pg_snapshot_xmax(pg_current_snapshot()))
    or exists (select from outbox where xid >= pg_snapshot_xmax(pg_current_snapshot())) as started_over;

-- name: lock_outbox
lock table outbox_consumers, outbox in exclusive mode;

-- name: park_everything
insert into outbox_deliveries (consumer, xid, event_id, topic, entity, user_id, payload, created_at)
select c.name, o.xid, o.id, o.topic, o.entity, o.user_id, o.payload, o.created_at
from unnest($1::text[], $2::text[]) wanted (name, topic)
join outbox_consumers c on c.name = wanted.name
join outbox o on o.topic = wanted.topic and (o.xid, o.id) > (c.xid, c.id)
order by o.xid, o.id
on conflict do nothing;

-- name: empty_outbox
delete from outbox;

-- name: reset_cursors
update outbox_consumers set xid = '0', id = 0, moved_at = now();
