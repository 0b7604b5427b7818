-- name: get_releases
-- The bound keeps the planner from taking every list for a long one: then one plan does for all, and is made once. Making
-- it takes three times as long as the query.
select r.id, release_json(d.document, m) as release
from unnest($1::bigint[]) with ordinality as wanted (id, position)
join releases r on r.id = wanted.id and r.visible
join release_documents d on d.release_id = r.id
left join popularity_metrics m on m.release_id = r.id
where wanted.position <= 1000;

-- name: get_release_by_slug
select r.id, release_json(d.document, m) as release
from releases r
join release_documents d on d.release_id = r.id
left join popularity_metrics m on m.release_id = r.id
where r.slug = $1 and r.deleted_at is null and r.visible;

-- name: current_slug
-- Where a slug that a release once had leads now.
select r.slug from release_slugs s join releases r on r.id = s.release_id where s.slug = $1 and r.visible;

-- name: resolve
-- The id of a visible release, or NULL.
select id from releases where id = $1 and visible;

-- name: resolve_slug
-- A slug it once had names it, too.
select id from releases where slug = $1 and deleted_at is null and visible
union all
select r.id from release_slugs s join releases r on r.id = s.release_id and r.visible where s.slug = $1
limit 1;

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
-- Ids drawn evenly from the range, in the order in which they were drawn; those that hit a gap fall out, which keeps the
-- draw even. (DISTINCT would put small ids first, and whoever takes the first few would draw only those.)
select r.id
from (
    select place, $1::bigint + floor(random() * ($2::bigint - $1::bigint + 1))::bigint as id
    from generate_series(1, $3::integer) as place
) drawn
join releases r on r.id = drawn.id and r.visible
group by r.id
order by min(drawn.place);

-- name: documents
select release_json(d.document, m) as release
from unnest($1::bigint[]) with ordinality as wanted (id, position)
join release_documents d on d.release_id = wanted.id
left join popularity_metrics m on m.release_id = wanted.id
order by wanted.position;

-- name: related
-- Of the same franchise, in the order in which they came out; those without a year last.
select release_json(d.document, m) as release
from (
    select r.id, r.year
    from releases self
    join franchises f on f.id = self.franchise_id and f.deleted_at is null
    join releases r on r.franchise_id = self.franchise_id and r.id <> self.id and r.visible
    where self.id = $1 and self.visible
    order by r.year, r.id
    limit $2 offset $3
) page
join release_documents d on d.release_id = page.id
left join popularity_metrics m on m.release_id = page.id
order by page.year, page.id;

-- name: count_related
select count(*)
from releases self
join franchises f on f.id = self.franchise_id and f.deleted_at is null
join releases r on r.franchise_id = self.franchise_id and r.id <> self.id and r.visible
where self.id = $1 and self.visible;
