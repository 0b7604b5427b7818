-- name: get_release
select r.slug, release_json(d.document, m) as release
from releases r
join release_documents d on d.release_id = r.id
left join popularity_metrics m on m.release_id = r.id
where r.id = $1 and r.visible;

-- name: get_release_by_slug
select r.slug, release_json(d.document, m) as release
from releases r
join release_documents d on d.release_id = r.id
left join popularity_metrics m on m.release_id = r.id
where r.slug = $1 and r.visible;

-- name: current_slug
-- Where a slug that a release once had leads now.
select r.slug from release_slugs s join releases r on r.id = s.release_id where s.slug = $1 and r.visible;

-- name: resolve
-- The id of a visible release, or NULL.
select id from releases where id = $1 and visible;

-- name: resolve_slug
select id from releases where slug = $1 and visible;

-- name: total
select total from catalogue_totals where name = 'releases';

-- name: latest
select release_json(d.document, m) as release
from (select id, updated_at from releases where visible order by updated_at desc, id desc limit $1) r
join release_documents d on d.release_id = r.id
left join popularity_metrics m on m.release_id = r.id
order by r.updated_at desc, r.id desc;

-- name: id_range
select coalesce(min(id), 0) as first, coalesce(max(id), 0) as last from releases where visible;

-- name: random_ids
-- Ids drawn evenly from the range; those that hit a gap fall out, which keeps the draw even.
select distinct r.id
from (select $1::bigint + floor(random() * ($2::bigint - $1::bigint + 1))::bigint as id from generate_series(1, $3::integer)) drawn
join releases r on r.id = drawn.id and r.visible;

-- name: documents
select release_json(d.document, m) as release
from unnest($1::bigint[]) with ordinality as wanted (id, position)
join release_documents d on d.release_id = wanted.id
left join popularity_metrics m on m.release_id = wanted.id
order by wanted.position;

-- name: related
-- Of the same franchise, in the order in which they came out.
select release_json(d.document, m) as release, count(*) over () as total
from releases self
join releases r on r.franchise_id = self.franchise_id and r.id <> self.id and r.visible
join release_documents d on d.release_id = r.id
left join popularity_metrics m on m.release_id = r.id
where self.id = $1 and self.visible
order by coalesce(r.year, 9999), r.id
limit $2 offset $3;
