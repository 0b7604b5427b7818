-- name: lock_revision
-- From here to the end of the transaction nobody else writes to this user's library. The account is locked before its
-- counter, as erasing does, so that the two never wait for each other. What is said of the time is said once the lock
-- is there.
with locked as materialized (
    select r.revision
    from users u
    join user_revisions r on r.user_id = u.id
    where u.id = $1
    for key share of u
    for no key update of r
)
select revision, clock_timestamp() as moment from locked;

-- name: start_revisions
insert into user_revisions (user_id) values ($1) on conflict (user_id) do nothing;

-- name: entries_before
select w.kind, w.release_id, r.id is not null as known, e.value, e.deleted, e.changed_at
from unnest($2::smallint[], $3::bigint[]) as w (kind, release_id)
left join releases r on r.id = w.release_id and r.visible
left join library_entries e on e.user_id = $1 and e.kind = w.kind and e.release_id = w.release_id;

-- name: progress_before
-- With each episode: whether it is its release's last, whether the user has watched anything of that release, and the
-- collection the release is in.
select w.episode_id,
       coalesce(e.release_id, p.release_id) as release_id,
       r.id is not null as known,
       e.duration_seconds,
       r.id is not null and coalesce(r.status = 'finished' or e.ordinal >= r.episodes_total, false) and not exists (
           select from episodes later
           where later.release_id = e.release_id and later.deleted_at is null and later.ordinal > e.ordinal
       ) as is_last,
       exists (
           select from progress any_of
           where any_of.user_id = $1 and any_of.release_id = e.release_id and not any_of.deleted
       ) as started,
       p.position_seconds, p.completed, p.watched_seconds, p.deleted, p.changed_at, p.restarted_at,
       c.value as collection, c.deleted as collection_deleted, c.changed_at as collection_changed_at
from unnest($2::bigint[]) as w (episode_id)
left join episodes e on e.id = w.episode_id
left join releases r on r.id = e.release_id and r.visible and e.deleted_at is null
left join progress p on p.user_id = $1 and p.episode_id = w.episode_id
left join library_entries c on c.user_id = $1 and c.kind = 2 and c.release_id = e.release_id;

-- name: store
-- The new revision and every row that carries it, at once.
with raised as (
    update user_revisions set revision = $2 where user_id = $1
), kept as (
    insert into library_entries as stored (user_id, kind, release_id, value, deleted, changed_at, updated_at, revision)
    select $1, w.kind, w.release_id, w.value, w.deleted, w.changed_at, $3, $2
    from unnest($4::smallint[], $5::bigint[], $6::smallint[], $7::boolean[], $8::timestamptz[])
        as w (kind, release_id, value, deleted, changed_at)
    on conflict (user_id, kind, release_id) do update
        set value = excluded.value, deleted = excluded.deleted, changed_at = excluded.changed_at,
            updated_at = excluded.updated_at, revision = excluded.revision
)
insert into progress as stored (user_id, episode_id, release_id, position_seconds, completed, watched_seconds, deleted,
                                changed_at, restarted_at, updated_at, revision)
select $1, w.episode_id, w.release_id, w.position_seconds, w.completed, w.watched_seconds, w.deleted, w.changed_at,
       w.restarted_at, $3, $2
from unnest($9::bigint[], $10::bigint[], $11::integer[], $12::boolean[], $13::integer[], $14::boolean[],
            $15::timestamptz[], $16::timestamptz[])
    as w (episode_id, release_id, position_seconds, completed, watched_seconds, deleted, changed_at, restarted_at)
on conflict (user_id, episode_id) do update
    set position_seconds = excluded.position_seconds, completed = excluded.completed,
        watched_seconds = excluded.watched_seconds, deleted = excluded.deleted, changed_at = excluded.changed_at,
        restarted_at = excluded.restarted_at, updated_at = excluded.updated_at, revision = excluded.revision;
