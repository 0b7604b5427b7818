-- Sets of slots come as bytes, four for each: tens of thousands of them are read in a fraction of a millisecond.

-- name: places
-- Where reading begins: what was changed by transactions below `fence` is all there, and whether documents are complete.
select pg_snapshot_xmin(pg_current_snapshot())::text::bigint as fence,
       (select rules > 0 from search_state) or not exists (select from releases) as complete;

-- name: documents_by_slot
-- The next documents behind a slot, with what filters and facets read of their releases.
select d.slot, d.release_id, coalesce(r.visible, false) as visible, r.type, r.status, r.season, r.age_rating, r.year,
       case when m.rating_count > 0 then m.average_rating end as rating, r.genre_ids, r.tag_ids,
       d.config
from (select slot, release_id, config from search_documents where slot > $1 order by slot limit $2) d
left join releases r on r.id = d.release_id
left join popularity_metrics m on m.release_id = d.release_id
order by d.slot;

-- name: documents_changed
-- The next documents changed behind a place, by transactions that are over, and all before them too.
select d.slot, d.release_id, coalesce(r.visible, false) as visible, r.type, r.status, r.season, r.age_rating, r.year,
       case when m.rating_count > 0 then m.average_rating end as rating, r.genre_ids, r.tag_ids,
       d.config, d.changed::text::bigint as changed
from (
    select slot, release_id, config, changed
    from search_documents
    where (changed, slot) > ($1::bigint::text::xid8, $2::integer) and changed < pg_snapshot_xmin(pg_current_snapshot())
    order by changed, slot
    limit $3
) d
left join releases r on r.id = d.release_id
left join popularity_metrics m on m.release_id = d.release_id
order by d.changed, d.slot;

-- name: by_popularity
-- All slots from the most popular on.
select coalesce(string_agg(int4send(d.slot), '' order by m.popularity_score desc, m.release_id), '')
from search_documents d
join popularity_metrics m on m.release_id = d.release_id;

-- name: ratings
-- The slots that somebody has rated, and the average rating of each (4 bytes).
select coalesce(string_agg(int4send(d.slot), '' order by d.slot), '') as slots,
       coalesce(string_agg(float4send(m.average_rating), '' order by d.slot), '') as ratings
from popularity_metrics m
join search_documents d on d.release_id = m.release_id
where m.average_rating > 0 and m.rating_count > 0;

-- name: match
-- The first of these readings by which a name is found (its place, from 1 on), and what it finds; and what is found
-- anywhere by words, of which there may be none. See the functions. Everything is the text of tsqueries but `$6`, plain
-- text for the configurations in `$7`, and `$8`, the most that names are to find.
select named.reading, named.by_whole, named.by_name,
       case when $5::text <> '' then search_anywhere($5, $6::text, $7::text[]) else '' end as by_word
from search_named($1::text[], $2::text[], $3::text[], $4::text[], $8::integer) named;

-- name: keys
-- The names of these documents, normalised.
select slot, keys from search_documents where slot = any ($1::integer[]);

-- name: weighed
-- The names of these documents, and for each word of the query ten points where it stands in a name, five in a genre,
-- tag or franchise, one in the synopsis.
select d.slot, d.keys, coalesce((
    select sum(case when d.words @@ (q.word || 'A')::tsquery then 10
                    when d.words @@ (q.word || 'B')::tsquery then 5
                    else 1 end)
    from unnest($2::text[]) as q (word)
), 0)::integer as points
from search_documents d
where d.slot = any ($1::integer[]);

-- name: of_franchises
select coalesce(string_agg(int4send(d.slot), ''), '') as slots
from releases r
join search_documents d on d.release_id = r.id
where r.franchise_id = any ($1::bigint[]) and r.visible;

-- name: sounding
-- Words of the vocabulary with one of these sounds, the commonest first; at most forty a sound.
select sound.sound, word.word
from unnest($1::text[]) as sound (sound)
cross join lateral (
    select w.word, w.frequency from search_words w
    where w.skeleton = sound.sound collate "C"
    order by w.frequency desc, w.word
    limit 40
) word
order by word.frequency desc, word.word;

-- name: near
-- For each word those of the vocabulary that share a deletion variant with it and are as long, but for so many letters:
-- those that begin or end alike first, then the commonest. Words that the vocabulary has are not asked for others unless
-- `$4`: they come by themselves.
select said.word as typed, near.word, near.frequency
from unnest($1::text[], $2::text[], $3::integer[]) as said (word, variants, most)
left join search_words known on known.word = said.word collate "C" and not $4::boolean
cross join lateral (
    select known.word, known.frequency where known.word is not null
    union all
    (
        select w.word, w.frequency from search_words w
        where known.word is null
          and w.variants && said.variants::integer[] and abs(length(w.word) - length(said.word)) <= said.most
        order by left(w.word, 2) <> left(said.word, 2) and right(w.word, 2) <> right(said.word, 2),
                 w.frequency desc, w.word
        limit 200
    )
) near;

-- name: labels
-- The names of these genres ($1) and tags ($2).
select 'genres' as facet, id, name from genres where id = any ($1::bigint[]) and deleted_at is null
union all
select 'tags', id, name from tags where id = any ($2::bigint[]) and deleted_at is null;

-- name: found
-- The releases of a page. For the bound see `get_releases`.
select release_json(d.document, m) as release
from unnest($1::bigint[]) with ordinality as wanted (id, position)
join releases r on r.id = wanted.id and r.visible
join release_documents d on d.release_id = r.id
left join popularity_metrics m on m.release_id = r.id
where wanted.position <= 1000
order by wanted.position;

-- name: suggested
-- The documents of releases that are suggested. For the bound see `get_releases`.
select d.document
from unnest($1::bigint[]) with ordinality as wanted (id, position)
join releases r on r.id = wanted.id and r.visible
join release_documents d on d.release_id = r.id
where wanted.position <= 1000
order by wanted.position;

-- name: plainly
-- While documents are missing: releases with a name that contains the text, the most popular first.
select r.id
from releases r
left join popularity_metrics m on m.release_id = r.id
where r.visible and (
    r.title ilike $1
    or exists (select from release_titles t where t.release_id = r.id and t.title ilike $1)
    or exists (select from release_synonyms s where s.release_id = r.id and s.synonym ilike $1)
)
order by m.popularity_score desc nulls last, r.id desc
limit $2;
