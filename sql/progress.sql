-- name: page
-- How far the user has watched, the latest first; of one release, or of all.
select '{"episode_id":' || episode_id || ',"release_id":' || release_id || ',"position_seconds":' || position_seconds
       || ',"completed":' || completed || ',"changed_at":"' || rfc3339(changed_at) || '"}' as progress
from progress
where user_id = $1 and not deleted
order by changed_at desc, episode_id desc
limit $2 offset $3;

-- name: count
select count(*) from progress where user_id = $1 and not deleted;

-- name: page_of_release
select '{"episode_id":' || episode_id || ',"release_id":' || release_id || ',"position_seconds":' || position_seconds
       || ',"completed":' || completed || ',"changed_at":"' || rfc3339(changed_at) || '"}' as progress
from progress
where user_id = $1 and release_id = $2 and not deleted
order by changed_at desc, episode_id desc
limit $3 offset $4;

-- name: count_of_release
select count(*) from progress where user_id = $1 and release_id = $2 and not deleted;

-- name: get
select '{"episode_id":' || episode_id || ',"release_id":' || release_id || ',"position_seconds":' || position_seconds
       || ',"completed":' || completed || ',"changed_at":"' || rfc3339(changed_at) || '"}' as progress
from progress
where user_id = $1 and episode_id = $2 and not deleted;

-- name: history
-- Episodes by when they were last watched, from behind a place on. Cut over ids first.
select '{"release":' || release_json(d.document, m) || ',"episode":' || episode_json(page.episode)
       || ',"position_seconds":' || page.position_seconds || ',"completed":' || page.completed
       || ',"watched_at":"' || rfc3339(page.changed_at) || '"}' as entry,
       page.changed_at as key,
       page.episode_id as id
from (
    select p.episode_id, p.release_id, p.position_seconds, p.completed, p.changed_at, e as episode
    from progress p
    join episodes e on e.id = p.episode_id and e.deleted_at is null
    join releases r on r.id = p.release_id and r.visible
    where p.user_id = $1 and not p.deleted and (p.changed_at, p.episode_id) < ($2::timestamptz, $3::bigint)
    order by p.changed_at desc, p.episode_id desc
    limit $4
) page
join release_documents d on d.release_id = page.release_id
left join popularity_metrics m on m.release_id = page.release_id
order by page.changed_at desc, page.episode_id desc;

-- name: count_history
select count(*)
from progress p
join episodes e on e.id = p.episode_id and e.deleted_at is null
join releases r on r.id = p.release_id and r.visible
where p.user_id = $1 and not p.deleted;

-- name: continue_with
-- Of each release the episode watched last: it, if it is not through, else the one after it. Releases come by when they
-- were watched last. Cut before documents are joined.
with aside as materialized (
    select release_id
    from library_entries
    where user_id = $1 and kind in (2, 4) and not deleted and (kind = 4 or value in (3, 5))
), latest as (
    select distinct on (release_id) release_id, changed_at, episode_id
    from progress
    where user_id = $1 and not deleted
    order by release_id, changed_at desc, episode_id desc
)
select '{"release":' || release_json(d.document, m) || ',"episode":' || episode_json(page.episode)
       || ',"position_seconds":' || page.position_seconds
       || ',"watched_at":"' || rfc3339(page.changed_at) || '"}' as entry
from (
    select latest.release_id, latest.changed_at, latest.episode_id, n.episode, n.position_seconds
    from latest
    join releases r on r.id = latest.release_id and r.visible
    join progress p on p.user_id = $1 and p.episode_id = latest.episode_id
    join episodes e on e.id = latest.episode_id
    cross join lateral (
        select e2 as episode, case when p2.completed then 0 else coalesce(p2.position_seconds, 0) end as position_seconds
        from episodes e2
        left join progress p2 on p2.user_id = $1 and p2.episode_id = e2.id and not p2.deleted
        where e2.release_id = latest.release_id and e2.deleted_at is null
          and e2.ordinal >= e.ordinal and (e2.id <> e.id or not p.completed)
        order by e2.ordinal
        limit 1
    ) n
    where latest.release_id not in (select release_id from aside)
    order by latest.changed_at desc, latest.episode_id desc
    limit $2
) page
join release_documents d on d.release_id = page.release_id
left join popularity_metrics m on m.release_id = page.release_id
order by page.changed_at desc, page.episode_id desc;
