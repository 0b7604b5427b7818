-- name: seed
-- What a visible release is filed under.
select id, franchise_id, genre_ids, tag_ids from releases where id = $1 and visible;

-- name: similar_page
-- What to show beside $1 of its neighbours, the most alike first: the stored ones, or those given ($5 with scores $6). Of a
-- franchise its first part that the viewer ($2, 0 for visitors) has not seen, once; `near` is the neighbour that speaks
-- for it, `users` those of the part itself. Seen is what they are through with: completed, dropped, rated, a favourite; and what they ignore is not shown
-- either, nor anything of a franchise of which they dropped or ignore a part, hidden ones too. Bodies are those of the page
-- ($3 behind $4). Before all of it (place 0) the release itself, with the number of its neighbours as `users`.
-- What is asked of each neighbour stands in indexes: their rows lie on thirty pages, and reading those is most of the price.
-- `offset 0` has a viewer's entries looked for one by one, not all of them read: there may be thousands.
with seed as materialized (
    select r.id, d.document, coalesce($5::bigint[], n.neighbours, '{}') as neighbours,
           coalesce($6::real[], n.scores, '{}') as scores, case when $5 is null then n.shared end as shared
    from releases r
    join release_documents d on d.release_id = r.id
    left join release_neighbours n on n.release_id = r.id
    where r.id = $1 and r.visible
), near as materialized (
    select r.id, w.place, w.score, w.users, f.id as franchise_id
    from seed
    cross join lateral rows from (unnest(seed.neighbours), unnest(seed.scores), unnest(seed.shared))
        with ordinality as w (id, score, users, place)
    join releases r on r.id = w.id and r.visible and r.id <> $1
    left join franchises f on f.id = r.franchise_id and f.deleted_at is null
), first_part as materialized (
    select f.franchise_id, part.id
    from (select distinct franchise_id from near where franchise_id is not null) f
    cross join lateral (
        select p.id
        from releases p
        where p.franchise_id = f.franchise_id and p.visible and p.id <> $1 and not exists (
            select from library_entries e
            where e.user_id = $2 and e.release_id = p.id and e.kind = any ('{1,2,3,4}'::smallint[]) and not e.deleted
                and (e.kind <> 2 or e.value in (3, 5))
            offset 0
        )
        order by p.year, p.id
        limit 1
    ) part
    where not exists (
        select from releases p
        where p.franchise_id = f.franchise_id and exists (
            select from library_entries e
            where e.user_id = $2 and e.release_id = p.id and e.kind = any ('{2,4}'::smallint[]) and not e.deleted
                and (e.kind = 4 or e.value = 5)
            offset 0
        )
        offset 0
    )
), spoken_for as (
    select part.id, near.id as near, near.place, near.score, own.users,
           row_number() over (partition by part.id order by near.place) as turn
    from near
    join first_part part on part.franchise_id = near.franchise_id
    left join near own on own.id = part.id
), shown as (
    select id, near, place, score, users from spoken_for where turn = 1
    union all
    select near.id, near.id, near.place, near.score, near.users
    from near
    where near.franchise_id is null and not exists (
        select from library_entries e
        where e.user_id = $2 and e.release_id = near.id and e.kind = any ('{1,2,3,4}'::smallint[]) and not e.deleted
            and (e.kind <> 2 or e.value in (3, 5))
        offset 0
    )
), ordered as (
    select *, row_number() over (order by place) - 1 as behind from shown
), paged as (
    -- Whose documents are read: an id that is null is looked for nowhere.
    select o.id, o.place, o.near, o.score, o.users, p.id as told, case when o.near <> p.id then o.near end as told_near
    from ordered o
    cross join lateral (
        select case when o.behind >= $4::integer and o.behind < $4 + $3::integer then o.id end as id
    ) p
)
select id, 0::bigint as place, id as near, null::real as score, cardinality(neighbours) as users, document as release,
       null::text as near_document
from seed
union all
select paged.id, paged.place, paged.near, paged.score, coalesce(paged.users, 0), release_json(d.document, m),
       near_document.document
from paged
left join release_documents d on d.release_id = paged.told
left join release_documents near_document on near_document.release_id = paged.told_near
left join popularity_metrics m on m.release_id = d.release_id
order by place;

-- name: frequencies
-- How many releases carry these genres ($1) and tags ($2), and how many releases there are; of what has not been counted
-- yet, nothing.
select kind, word_id, releases from word_frequencies where kind = 'genre' and word_id = any ($1::bigint[])
union all
select kind, word_id, releases from word_frequencies where kind = 'tag' and word_id = any ($2::bigint[])
union all
select 'all', 0, total::integer from catalogue_totals where name = 'releases';

-- name: candidates
-- What may be like a release ($1): of its franchise ($2), with one of these genres ($3) or tags ($4), which are rare, and
-- the most popular. At most $5 of each; what carries several of the words comes before what carries one. What carries any is
-- apart, so that it is found by its index whatever the limit may be.
with tagged as materialized (
    select id, tag_ids from releases where tag_ids && $4::bigint[] and visible and id <> $1
), filed as materialized (
    select id, genre_ids from releases where genre_ids && $3::bigint[] and visible and id <> $1
), found as (
    (select id from releases where franchise_id = $2 and visible and id <> $1 order by year, id limit $5::integer)
    union
    (select id from (select id, tag_ids from tagged limit $5 * 8) r
     order by (select count(*) from unnest(tag_ids) as word where word = any ($4)) desc, id limit $5)
    union
    (select id from (select id, genre_ids from filed limit $5 * 8) r
     order by (select count(*) from unnest(genre_ids) as word where word = any ($3)) desc, id limit $5)
    union
    (select release_id from popularity_metrics order by popularity_score desc, release_id desc limit $5)
)
select r.id, r.franchise_id, r.genre_ids, r.tag_ids, coalesce(m.popularity_score, 0) as popularity
from found
cross join lateral (
    select id, franchise_id, genre_ids, tag_ids from releases where id = found.id and visible and id <> $1 limit 1
) r
left join popularity_metrics m on m.release_id = r.id;

-- name: kept
-- All that somebody keeps or has begun, what they decided last first; of what they dropped or ignore, hidden or not, the
-- franchise, of which they want no more.
with entries as (
    select release_id, max(changed_at) as at,
           max(value) filter (where kind = 3) as rating, max(value) filter (where kind = 2) as collection,
           bool_or(kind = 1) as favorite, bool_or(kind = 4) as ignored
    from library_entries
    where user_id = $1 and kind = any ('{1,2,3,4}'::smallint[]) and not deleted
    group by release_id
), begun as (
    select release_id, max(changed_at) as at from progress where user_id = $1 and not deleted group by release_id
)
select release_id, coalesce(e.rating, 0) as rating, coalesce(e.collection, 0) as collection,
       coalesce(e.favorite, false) as favorite, coalesce(e.ignored, false) as ignored, b.at is not null as started,
       case when e.ignored or e.collection = 5 then (select franchise_id from releases where id = release_id) end as barred
from entries e
full join begun b using (release_id)
order by greatest(e.at, b.at) desc, release_id desc;

-- name: rows
-- What these releases speak for: the model's row, the first $2 entries of it, or else the stored neighbours.
select liked.id, a.others[:$2::integer] as others, a.weights[:$2::integer] as weights,
       n.neighbours[:$2::integer] as neighbours, n.scores[:$2::integer] as scores
from unnest($1::bigint[]) as liked (id)
left join release_audience a on a.release_id = liked.id
left join release_neighbours n on n.release_id = liked.id and a.release_id is null;

-- name: facts
-- What the choice asks of these releases; then, without an id, the visible parts of each of their franchises in their order.
with wanted as materialized (
    select r.id, f.id as franchise_id, r.genre_ids
    from unnest($1::bigint[]) as w (id)
    join releases r on r.id = w.id and r.visible
    left join franchises f on f.id = r.franchise_id and f.deleted_at is null
)
select id, franchise_id, genre_ids, null::bigint[] as parts from wanted
union all
select null, f.franchise_id, null, array(
    select p.id
    from releases p
    where p.franchise_id = f.franchise_id and p.visible
    order by p.year, p.id
    limit 200
)
from (select distinct franchise_id from wanted where franchise_id is not null) f;

-- name: shown
-- The JSON of these releases ($1); of those that reasons speak of ($2), what reasons say of them.
select r.id, r.slug, r.title, r.genre_ids, r.tag_ids, release_json(d.document, m) as release
from unnest(array(select unnest($1::bigint[]) union select unnest($2::bigint[]))) as wanted (id)
join releases r on r.id = wanted.id and r.visible
-- Whose documents are read: an id that is null is looked for nowhere.
cross join lateral (select case when r.id = any ($1::bigint[]) then r.id end as id) told
left join release_documents d on d.release_id = told.id
left join popularity_metrics m on m.release_id = told.id;

-- name: pools
-- What to show to somebody of whom nothing is known: best rated (of the $2 best, by at least $3 people), most popular where
-- catalogues were imported from, and newest; at most $1 of each, walking each index from its end.
(select 'top_rated' as pool, m.release_id, round(m.average_rating::numeric, 2)::float8 as value, m.rating_count as people
 from (select release_id, average_rating, rating_count, rating_sum from popularity_metrics
       where average_rating > 0 order by average_rating desc, release_id desc limit $2) m
 join releases r on r.id = m.release_id and r.visible
 where m.rating_count >= $3
 -- As if five more people had found it fair: one of a thousand voices says more than one of three.
 order by (m.rating_sum + 35.0) / (m.rating_count + 5) desc, m.release_id desc
 limit $1)
union all
(select 'popular', m.release_id, m.imported_popularity, 0
 from (select release_id, imported_popularity from popularity_metrics
       where imported_popularity > 0 order by imported_popularity desc, release_id desc limit $1 + 50) m
 join releases r on r.id = m.release_id and r.visible
 order by m.imported_popularity desc, m.release_id desc
 limit $1)
union all
(select 'newest', id, extract(epoch from created_at)::float8, 0
 from releases where visible order by created_at desc, id desc limit $1);

-- name: followed_genres
-- The genres that somebody follows.
select target_id from subscriptions
where user_id = $1 and subscription_type = 'genre' and deleted_at is null
order by target_id
limit 20;

-- name: carrying
-- The most popular ($3 are looked at) that share a genre with what somebody plans to watch ($1, the dearest first), or carry
-- one that they follow ($2); with the planned release that speaks for each, and the followed genres.
with wished as materialized (
    select r.id, r.genre_ids, u.place
    from unnest($1::bigint[]) with ordinality as u (id, place)
    join releases r on r.id = u.id and r.visible
), wanted as materialized (
    select array(select genre_id from wished cross join unnest(genre_ids) as genre_id union select unnest($2::bigint[])) as ids
), popular as materialized (
    select release_id, popularity_score from popularity_metrics order by popularity_score desc, release_id desc limit $3
)
select r.id, (select w.id from wished w where w.genre_ids && r.genre_ids order by w.place limit 1) as wished,
       array(select unnest(r.genre_ids) intersect select unnest($2::bigint[]) order by 1) as followed
from popular p
cross join wanted
cross join lateral (select id, genre_ids from releases where id = p.release_id and visible limit 1) r
where r.genre_ids && wanted.ids
order by p.popularity_score desc, r.id desc
limit $4;

-- name: new_viewers
-- Those of these users ($1) of whom the activity of the last day does not say already that they looked at recommendations.
select viewer.id
from unnest($1::bigint[]) as viewer (id)
where not exists (
    select from activity a
    where a.target_id = viewer.id and a.action_type = 'recommendation_viewed' and a.target_type = 'user'
        and a.created_at > now() - interval '1 day'
)
order by viewer.id;
