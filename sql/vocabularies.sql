-- name: list_genres
select w.id, w.name, w.slug, coalesce(c.releases, 0)::bigint as releases
from genres w
left join (
    select word, count(*) as releases from releases cross join unnest(genre_ids) as word where visible group by word
) c on c.word = w.id
where w.deleted_at is null
order by w.name_key
limit $1 offset $2;

-- name: count_genres
select count(*) from genres where deleted_at is null;

-- name: list_tags
select w.id, w.name, w.slug, coalesce(c.releases, 0)::bigint as releases
from tags w
left join (
    select word, count(*) as releases from releases cross join unnest(tag_ids) as word where visible group by word
) c on c.word = w.id
where w.deleted_at is null
order by w.name_key
limit $1 offset $2;

-- name: count_tags
select count(*) from tags where deleted_at is null;

-- name: find_genres
select id, slug, name_key
from genres
where deleted_at is null and (slug = any ($1::text[]) or name_key = any ($2::text[]) or id = any ($3::bigint[]));

-- name: find_tags
select id, slug, name_key
from tags
where deleted_at is null and (slug = any ($1::text[]) or name_key = any ($2::text[]) or id = any ($3::bigint[]));

-- name: find_franchises
select id, slug, name_key
from franchises
where deleted_at is null and (slug = any ($1::text[]) or name_key = any ($2::text[]) or id = any ($3::bigint[]));

-- name: list_franchises
select f.id, f.slug, f.name, c.releases, c.first_year, c.last_year, c.episodes_total
from (
    select id, slug, name, name_key from franchises where deleted_at is null order by name_key, id limit $1 offset $2
) f
cross join lateral (
    select count(*) as releases, min(r.year) as first_year, max(r.year) as last_year,
           coalesce(sum(r.episodes_total), 0)::bigint as episodes_total
    from releases r where r.franchise_id = f.id and r.visible
) c
order by f.name_key, f.id;

-- name: count_franchises
select count(*) from franchises where deleted_at is null;

-- name: get_franchise
select f.id, f.slug, f.name, c.releases, c.first_year, c.last_year, c.episodes_total
from franchises f
cross join lateral (
    select count(*) as releases, min(r.year) as first_year, max(r.year) as last_year,
           coalesce(sum(r.episodes_total), 0)::bigint as episodes_total
    from releases r where r.franchise_id = f.id and r.visible
) c
where f.id = $1 and f.deleted_at is null;

-- name: franchise_releases
select release_json(d.document, m) as release
from (
    select id, year from releases where franchise_id = $1 and visible order by year, id limit $2
) r
join release_documents d on d.release_id = r.id
left join popularity_metrics m on m.release_id = r.id
order by r.year, r.id;
