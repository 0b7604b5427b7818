-- name: lock_idempotency_key
-- Until the end of the transaction; false if somebody else holds it.
select pg_try_advisory_xact_lock($1);

-- name: find_idempotent_answer
select body_hash, status, headers, body from idempotency_keys
where user_id = $1 and key = $2 and method = $3 and path = $4 and created_at > now() - interval '24 hours';

-- name: store_idempotent_answer
-- Under the lock of its key: what is replaced can only be older than a day.
insert into idempotency_keys (user_id, key, method, path, body_hash, status, headers, body)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (user_id, key, method, path) do update set
    body_hash = excluded.body_hash, status = excluded.status, headers = excluded.headers, body = excluded.body,
    created_at = now();
