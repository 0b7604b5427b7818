-- name: feed_genre
select id, slug, name from genres where slug = $1 and deleted_at is null;

-- name: newest_releases
-- By when they could be seen first. Nothing is published before it is made: so who is not among the newest made is among
-- the newest of those that were drafts, or there are enough newer ones.
with newest as materialized (
    select id, published_at
    from (
        (select id, coalesce(published_at, created_at) as published_at from releases
         where visible
         order by created_at desc, id desc
         limit $1)
        union
        (select id, published_at from releases
         where visible and published_at is not null
         order by published_at desc, id desc
         limit $1)
    ) either
    order by published_at desc, id desc
    limit $1
)
select
    r.id, r.title, left(r.synopsis, 2000) as synopsis,
    array(select g.slug from genres g where g.id = any (r.genre_ids) and g.deleted_at is null order by g.name_key, g.id) as terms,
    array(select g.name from genres g where g.id = any (r.genre_ids) and g.deleted_at is null order by g.name_key, g.id) as labels,
    newest.published_at, r.updated_at
from newest
join releases r on r.id = newest.id
order by newest.published_at desc, r.id desc;

-- name: newest_releases_of_genre
with newest as materialized (
    select id, published_at
    from (
        (select id, coalesce(published_at, created_at) as published_at from releases
         where visible and genre_ids @> array[$2::bigint]
         order by created_at desc, id desc
         limit $1)
        union
        (select id, published_at from releases
         where visible and published_at is not null and genre_ids @> array[$2::bigint]
         order by published_at desc, id desc
         limit $1)
    ) either
    order by published_at desc, id desc
    limit $1
)
select
    r.id, r.title, left(r.synopsis, 2000) as synopsis,
    array(select g.slug from genres g where g.id = any (r.genre_ids) and g.deleted_at is null order by g.name_key, g.id) as terms,
    array(select g.name from genres g where g.id = any (r.genre_ids) and g.deleted_at is null order by g.name_key, g.id) as labels,
    newest.published_at, r.updated_at
from newest
join releases r on r.id = newest.id
order by newest.published_at desc, r.id desc;
