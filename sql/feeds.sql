-- name: feed_genre
select id, slug, name from genres where slug = $1 and deleted_at is null;

-- name: newest_releases
select
    r.id, r.title, left(r.synopsis, 2000) as synopsis,
    array(select g.slug from genres g where g.id = any (r.genre_ids) and g.deleted_at is null order by g.name_key, g.id) as terms,
    array(select g.name from genres g where g.id = any (r.genre_ids) and g.deleted_at is null order by g.name_key, g.id) as labels,
    r.created_at, r.updated_at
from (
    select id, title, synopsis, genre_ids, created_at, updated_at from releases
    where visible
    order by created_at desc, id desc
    limit $1
) r
order by r.created_at desc, r.id desc;

-- name: newest_releases_of_genre
select
    r.id, r.title, left(r.synopsis, 2000) as synopsis,
    array(select g.slug from genres g where g.id = any (r.genre_ids) and g.deleted_at is null order by g.name_key, g.id) as terms,
    array(select g.name from genres g where g.id = any (r.genre_ids) and g.deleted_at is null order by g.name_key, g.id) as labels,
    r.created_at, r.updated_at
from (
    select id, title, synopsis, genre_ids, created_at, updated_at from releases
    where visible and genre_ids @> array[$2::bigint]
    order by created_at desc, id desc
    limit $1
) r
order by r.created_at desc, r.id desc;
