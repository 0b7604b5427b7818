-- name: list_episodes
select episode_json(e) as episode
from episodes e
where e.release_id = $1 and e.deleted_at is null
order by e.ordinal
limit $2 offset $3;

-- name: count_episodes
select count(*) from episodes where release_id = $1 and deleted_at is null;

-- name: get_episode
select e.release_id, episode_json(e) as episode
from episodes e
join releases r on r.id = e.release_id and r.visible
where e.id = $1 and e.deleted_at is null;

-- name: aired_between
select e.air_at,
       '{"id":' || r.id || ',"slug":' || to_json(r.slug) || ',"title":' || to_json(r.title) || '}' as release,
       episode_json(e) as episode
from episodes e
join releases r on r.id = e.release_id and r.visible
where e.deleted_at is null and e.air_at >= $1 and e.air_at < $2
order by e.air_at, e.id
limit $3;
