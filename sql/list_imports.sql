-- name: match
-- Which release each id of a source means, of those we show.
select x.external_id, r.id as release_id
from external_ids x
join releases r on r.id = x.release_id and r.visible
where x.source = $1 and x.external_id = any ($2::text[]);

-- name: unseen_episodes
-- Of the first episodes of each release, as many as are asked for, those the user has not seen to their end.
select wanted.release_id, e.id as episode_id, coalesce(e.duration_seconds, 0) as duration_seconds
from unnest($1::bigint[], $2::integer[]) as wanted (release_id, episodes)
cross join lateral (
    select id, duration_seconds from episodes
    where release_id = wanted.release_id and deleted_at is null
    order by ordinal
    limit wanted.episodes
) e
where not exists (
    select from progress p where p.user_id = $3 and p.episode_id = e.id and p.completed and not p.deleted);

-- name: keep_unmatched
insert into unmatched_entries as kept (user_id, source, external_id, title, entry, reason)
select $1, $2, * from unnest($3::text[], $4::text[], $5::jsonb[], $6::text[])
on conflict (user_id, source, external_id) do update
    set title = excluded.title, entry = excluded.entry, reason = excluded.reason
    where (kept.title, kept.entry, kept.reason) is distinct from (excluded.title, excluded.entry, excluded.reason);

-- name: count_unmatched
select count(*) from unmatched_entries where user_id = $1;

-- name: list_unmatched
select json_build_object(
    'source', source, 'external_id', external_id, 'title', title, 'entry', entry, 'reason', reason,
    'created_at', rfc3339(created_at)
)::text
from unmatched_entries
where user_id = $1
order by source, external_id
limit $2 offset $3;

-- name: matchable
-- Kept rows of a user for which there is a release by now.
select u.external_id, u.title, u.entry
from unmatched_entries u
join external_ids x on x.source = u.source and x.external_id = u.external_id
join releases r on r.id = x.release_id and r.visible
where u.user_id = $1 and u.source = $2
order by u.external_id
limit $3;

-- name: forget_unmatched
delete from unmatched_entries where user_id = $1 and source = $2 and external_id = any ($3::text[]);

-- name: anybody_waits
select exists (select from unmatched_entries);

-- name: find_owner
select id from users where username_key = $1;

-- name: make_owner
-- The account that holds somebody's list of a dump; it has no password, so nobody can sign in to it.
with made as (
    insert into users (username, username_key) values ($1, $2) on conflict (username_key) do nothing returning id
)
select id from made union all select id from users where username_key = $2 limit 1;

-- name: queue_matches
-- One operation for everybody who kept a row for one of these releases, unless one waits already.
insert into operations (user_id, kind)
select distinct u.user_id, 'match_list'
from external_ids x
join unmatched_entries u on u.source = x.source and u.external_id = x.external_id
where x.release_id = any ($1::bigint[])
  and not exists (
      select from operations o where o.user_id = u.user_id and o.kind = 'match_list' and o.status = 'queued');
