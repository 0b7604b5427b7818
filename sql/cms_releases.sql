-- name: find_releases
-- These releases, and the living ones that have these slugs.
select id, slug, deleted_at is not null as deleted from releases where id = any ($1::bigint[])
union
select id, slug, false from releases where slug = any ($2::text[]) and deleted_at is null;

-- name: forgotten_words
-- Names nothing living bears any more, but something deleted does: by kind and key.
select 'genre' as noun, said.key, max(gone.id) as id
from unnest($1::text[]) as said (key)
join genres gone on gone.name_key = said.key and gone.deleted_at is not null
where not exists (select from genres living where living.name_key = said.key and living.deleted_at is null)
group by said.key
union all
select 'tag', said.key, max(gone.id)
from unnest($2::text[]) as said (key)
join tags gone on gone.name_key = said.key and gone.deleted_at is not null
where not exists (select from tags living where living.name_key = said.key and living.deleted_at is null)
group by said.key
union all
select 'franchise', said.key, max(gone.id)
from unnest($3::text[]) as said (key)
join franchises gone on gone.name_key = said.key and gone.deleted_at is not null
where not exists (select from franchises living where living.name_key = said.key and living.deleted_at is null)
group by said.key;

-- name: hidden_words
-- Genres and tags of these releases that were deleted: no body can name them.
select r.id,
       array(select g.id from genres g where g.id = any (r.genre_ids) and g.deleted_at is not null) as genres,
       array(select t.id from tags t where t.id = any (r.tag_ids) and t.deleted_at is not null) as tags
from releases r where r.id = any ($1::bigint[]);

-- name: keep_words
-- Beside those they have.
update releases r set
    genre_ids = array(select unnest(r.genre_ids) union select g.id from genres g where g.id = any (k.genres) order by 1),
    tag_ids = array(select unnest(r.tag_ids) union select t.id from tags t where t.id = any (k.tags) order by 1)
from jsonb_to_recordset($1) as k (id bigint, genres bigint[], tags bigint[])
where r.id = k.id;

-- name: set_states
-- Published, a draft, or a draft until a moment to come. NULL as `published` leaves that as it is, unless a moment is
-- said: one to come makes a draft, one that is past publishes. Returned are those that are in another state now.
with said as (
    select s.*, r.is_published as was_published, r.publish_at as was_at,
           r.visible as was_visible, r.announced as was_announced
    from unnest($1::bigint[], $2::boolean[], $3::boolean[], $4::timestamptz[]) as s (id, published, dated, publish_at)
    join releases r on r.id = s.id
), decided as (
    select said.*,
           case when publish_at > now() then false
                else coalesce(published, publish_at is not null or was_published) end as is_published
    from said
), target as (
    select id, is_published, was_visible, was_announced,
           case when is_published then null
                when not dated then was_at
                when publish_at > now() then publish_at end as publish_at
    from decided
)
update releases r set
    is_published = t.is_published, publish_at = t.publish_at, announced = t.was_announced or t.is_published,
    updated_at = now()
from target t
where r.id = t.id and (r.is_published, r.publish_at) is distinct from (t.is_published, t.publish_at)
returning r.id, t.was_visible, r.visible, t.was_announced as announced;

-- name: delete_releases
update releases set deleted_at = now(), updated_at = now()
where id = any ($1::bigint[]) and deleted_at is null
returning id;

-- name: restore_releases
update releases set deleted_at = null, updated_at = now()
where id = any ($1::bigint[]) and deleted_at is not null
returning id;

-- name: release_documents
-- As editors see them. A word that was deleted is not shown, as no body may name it.
select r.id, (select row_to_json(release)::text from (select
    r.id as "id",
    r.slug as "slug",
    r.title as "title",
    (select coalesce('{' || string_agg(to_json(t.language) || ':' || to_json(t.title), ',' order by t.language) || '}', '{}')::json
     from release_titles t where t.release_id = r.id) as "titles",
    to_json(array(select s.synonym from release_synonyms s where s.release_id = r.id order by s.position)) as "synonyms",
    r.synopsis as "synopsis",
    r.type as "type",
    r.status as "status",
    r.season as "season",
    r.year as "year",
    r.age_rating as "age_rating",
    r.episodes_total as "episodes_total",
    to_json(array(select g.name from genres g where g.id = any (r.genre_ids) and g.deleted_at is null
                  order by g.name_key)) as "genres",
    to_json(array(select g.name from tags g where g.id = any (r.tag_ids) and g.deleted_at is null
                  order by g.name_key)) as "tags",
    (select f.name from franchises f where f.id = r.franchise_id and f.deleted_at is null) as "franchise",
    (select coalesce('{' || string_agg(
         to_json(x.source) || ':' || case when x.is_number then x.external_id::bigint::text else to_json(x.external_id)::text end,
         ',' order by x.source) || '}', '{}')::json
     from external_ids x where x.release_id = r.id) as "external_ids",
    r.is_published as "is_published",
    rfc3339(r.publish_at) as "publish_at",
    rfc3339(r.created_at) as "created_at",
    rfc3339(r.updated_at) as "updated_at",
    rfc3339(r.deleted_at) as "deleted_at"
) release) as document
from releases r
where r.id = any ($1::bigint[]) and ($2::boolean or r.deleted_at is null);
