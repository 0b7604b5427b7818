-- name: unknown
-- Those of these words that the vocabulary lacks, or has by older rules than $2.
select said.word from unnest($1::text[]) as said (word)
where not exists (select from search_words w where w.word = said.word collate "C" and w.rules >= $2::smallint);

-- name: add
-- Words, how they sound, and the hashes of what is left of them when letters are missing, as an array's text. Taken in
-- the order of the words, so that two writers never wait in a ring.
insert into search_words as w (word, skeleton, variants, rules)
select word, skeleton, variants::integer[], $4::smallint
from unnest($1::text[], $2::text[], $3::text[]) as said (word, skeleton, variants)
order by word collate "C"
on conflict (word) do update set skeleton = excluded.skeleton, variants = excluded.variants, rules = excluded.rules
where (w.skeleton, w.variants, w.rules) is distinct from (excluded.skeleton, excluded.variants, excluded.rules);

-- name: count_words
-- About: by the statistics where there are any.
select coalesce(nullif(reltuples::bigint, -1), 0) from pg_class where oid = 'search_words'::regclass;

-- name: next
-- The next words behind $1.
select word from search_words where word > $1 collate "C" order by word limit $2::integer;

-- name: recount
-- Count in how many documents these words stand, and drop those that are in none. Whoever writes documents must be kept
-- out meanwhile: a word on its way in would be counted as used by nobody.
with counted as materialized (
    select w.word, w.frequency as before, (
        select count(*) from search_documents d
        where d.names @@ ('''' || replace(replace(w.word, '\', '\\'), '''', '''''') || '''')::tsquery
    )::integer as frequency
    from search_words w
    where w.word = any ($1::text[])
), dropped as (
    delete from search_words w using counted c where w.word = c.word and c.frequency = 0
), put_right as (
    update search_words w set frequency = c.frequency
    from counted c
    where w.word = c.word and c.frequency > 0 and c.frequency <> c.before
)
select count(*) filter (where frequency = 0) as dropped,
       count(*) filter (where frequency > 0 and frequency <> before) as put_right
from counted;

-- name: begin_count
-- Begin to count all words, unless that was begun less than $1 ago or nothing changed since: the transaction below which
-- such a count sees everything.
update search_state s set counted_at = now()
where (s.counted_at is null or s.counted_at < now() - $1::interval)
  and exists (select from search_documents d where d.changed >= s.counted)
returning pg_snapshot_xmin(pg_current_snapshot())::text as mark;

-- name: end_count
update search_state set counted = $1::text::xid8;
