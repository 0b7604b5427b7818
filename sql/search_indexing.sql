-- name: state
-- How it stands, asked every half second: who indexes, what there is, and whether anything waits for the live index.
-- `elsewhere`: the database was restored from another server, whose transactions mean nothing here. What waits is looked
-- for along the index; the order sees to that.
select
    i.alias,
    i.holder = $1::uuid and i.held_until > now() + interval '40 seconds' as ours,
    i.holder is distinct from $1::uuid and i.held_until > now() as taken,
    i.place <> '' and (
        i.place <> (select md5(d.oid || d.datname) from pg_database d where d.datname = current_database())
        or exists (select from search_indexes x where x.xid > pg_snapshot_xmax(pg_current_snapshot()))
    ) as elsewhere,
    s.rebuilds, s.rules > 0 as complete,
    exists (
        select from search_indexes x
        cross join lateral (
            select from search_documents d
            where (d.changed, d.slot) > (x.xid, x.slot) and d.changed < pg_snapshot_xmin(pg_current_snapshot())
            order by d.changed, d.slot
            limit 1
        ) waiting
        where x.live
    ) as behind
from search_indexing i
cross join search_state s;

-- name: indexes
select name, live, shape, rebuilds, filled_to, xid::text as xid, slot from search_indexes order by live desc;

-- name: hold
-- Index for the next minute, if nobody else does; with $2 everything starts over under another name.
update search_indexing set
    holder = $1::uuid, held_until = now() + interval '1 minute',
    alias = case when $2::boolean then 'yojohan-' || left(md5(gen_random_uuid()::text), 10) else alias end,
    place = (select md5(d.oid || d.datname) from pg_database d where d.datname = current_database())
where holder is not distinct from $1::uuid or held_until is null or held_until < now()
returning alias;

-- name: let_go
update search_indexing set holder = null, held_until = null where holder = $1::uuid;

-- name: forget_all
delete from search_indexes;

-- name: begin
-- A new index to be filled; every change from now on will be followed as well.
insert into search_indexes (name, shape, rebuilds, xid)
values ($1, $2::integer, $3::integer, pg_snapshot_xmin(pg_current_snapshot()))
on conflict do nothing;

-- name: forget
delete from search_indexes where name = $1;

-- name: filled_to
update search_indexes x set filled_to = $3::bigint
where x.name = $2 and exists (select from search_indexing i where i.holder = $1::uuid and i.held_until > now());

-- name: followed_to
update search_indexes x set xid = $3::text::xid8, slot = $4::integer
where x.name = $2 and exists (select from search_indexing i where i.holder = $1::uuid and i.held_until > now());

-- name: retire
delete from search_indexes where live;

-- name: promote
update search_indexes set live = true where name = $1;

-- name: next_ids
-- The next documents by id, for an index that is being filled.
select release_id from search_documents where release_id > $1 order by release_id limit $2::integer;

-- name: changes
-- Documents that changed behind this place, in order; below the oldest transaction under way no more can come.
select release_id, changed::text as xid, slot
from search_documents
where (changed, slot) > ($1::text::xid8, $2::integer) and changed < pg_snapshot_xmin(pg_current_snapshot())
order by changed, slot
limit $3::integer;

-- name: documents
-- As Elasticsearch gets them; no document where the release is not shown. The version is the first transaction that this
-- snapshot does not see: what is read later never has a smaller one.
select
    wanted.id as release_id,
    pg_snapshot_xmax(pg_current_snapshot())::text::bigint as version,
    coalesce(m.popularity_score, 0) as popularity,
    coalesce(m.average_rating, 0)::real as rating,
    case when r.visible then json_strip_nulls(json_build_object(
        'id', r.id, 'slot', d.slot,
        'names', tsvector_to_array(d.names),
        'words', tsvector_to_array(d.words), 'first', w.a, 'second', w.b,
        'keys', d.keys,
        'types', r.type, 'statuses', r.status, 'seasons', r.season, 'age_ratings', r.age_rating, 'years', r.year,
        'genres', r.genre_ids, 'tags', r.tag_ids, 'franchises', r.franchise_id,
        'rating', rated.average,
        'ratings', rated.least || '-' || rated.least + 1,
        'popularity', coalesce(m.popularity_score, 0),
        'updated', (extract(epoch from r.updated_at) * 1000000)::bigint,
        'title', left(r.sort_title, 80)
    ))::text end as document
from unnest($1::bigint[]) as wanted (id)
left join search_documents d on d.release_id = wanted.id
left join releases r on r.id = d.release_id
left join popularity_metrics m on m.release_id = r.id
left join lateral (
    -- As it is shown.
    select shown.average::float8 as average, least(9, floor(shown.average))::integer as least
    from (select round(m.average_rating::numeric, 2) as average) shown
    where m.rating_count > 0 and m.average_rating > 0
) rated on r.visible
left join lateral (
    select
        array_agg(lexeme) filter (where 'A' = any (weights)) as a,
        array_agg(lexeme) filter (where 'B' = any (weights)) as b
    from unnest(d.words)
) w on r.visible;

-- name: stems
-- The words of a text as these configurations know them, without those that say nothing.
select tsvector_to_array(to_tsvector(c.config::regconfig, $2::text)) as stems from unnest($1::text[]) as c (config);

-- name: note_sent
insert into search_indexed as i (release_id, popularity, rating)
select said.id, said.popularity, said.rating
from unnest($1::bigint[], $2::float8[], $3::real[]) as said (id, popularity, rating)
where exists (select from releases r where r.id = said.id)
order by said.id
on conflict (release_id) do update set popularity = excluded.popularity, rating = excluded.rating
where (i.popularity, i.rating) is distinct from (excluded.popularity, excluded.rating);

-- name: moved
-- Of the next $2 documents behind $1: the last one, and those whose numbers are others than those that were sent.
-- Popularity fades by the minute: the fiftieth part is left alone.
select max(part.release_id) as last_id,
       coalesce(array_agg(part.release_id order by part.release_id) filter (
           where m.average_rating <> part.rating
               or abs(m.popularity_score - part.popularity) > 0.02 * part.popularity
       ), '{}') as ids
from (select * from search_indexed where release_id > $1 order by release_id limit $2::integer) part
join popularity_metrics m on m.release_id = part.release_id;
