-- name: sources
-- What documents are made from, of these releases; deleted words are not seen, as in their JSON.
select r.id, r.title,
       array(select t.language from release_titles t where t.release_id = r.id order by t.language) as languages,
       array(select t.title from release_titles t where t.release_id = r.id order by t.language) as titles,
       array(select s.synonym from release_synonyms s where s.release_id = r.id order by s.position) as synonyms,
       array(select g.name from genres g where g.id = any (r.genre_ids) and g.deleted_at is null order by g.name_key) as genres,
       array(select t.name from tags t where t.id = any (r.tag_ids) and t.deleted_at is null order by t.name_key) as tags,
       (select f.name from franchises f where f.id = r.franchise_id and f.deleted_at is null) as franchise,
       r.synopsis
from releases r
where r.id = any ($1::bigint[])
order by r.id;

-- name: word_names
-- What these words are called, by the table they stand in; not those that were deleted.
select 'genres' as noun, id, name from genres where id = any ($1::bigint[]) and deleted_at is null
union all
select 'tags', id, name from tags where id = any ($2::bigint[]) and deleted_at is null
union all
select 'franchises', id, name from franchises where id = any ($3::bigint[]) and deleted_at is null;

-- name: write
-- Documents of these releases, in the order of their ids. With $8 those whose release may have changed in what filters
-- read: all of them are marked as changed; without it only those that differ from what is there. How many were written.
-- New rows are written by a plain insert: each `on conflict` would take a slot for nothing.
with said as (
    select s.id, s.names::tsvector as names,
           s.words::tsvector
               || case when s.config = 'simple' then '' else setweight(to_tsvector(s.config::regconfig, s.titles), 'A') end
               || setweight(to_tsvector(s.config::regconfig, s.synopsis), 'C') as words,
           string_to_array(nullif(s.titles, ''), E'\n') as keys, s.config,
           (select case when m.rating_count > 0 then floor(m.average_rating)::smallint end
            from popularity_metrics m where m.release_id = s.id) as rating
    from unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
        as s (id, names, words, titles, config, synopsis)
), ready as materialized (
    select id, names, words, coalesce(keys, '{}') as keys, config, rating from said order by id
), there as materialized (
    select d.release_id from search_documents d where d.release_id = any ($1::bigint[])
    order by d.release_id for no key update
), updated as (
    update search_documents d set
        names = r.names, words = r.words, keys = r.keys, config = r.config, rules = $7::smallint, rating = r.rating,
        changed = pg_current_xact_id()
    from ready r, there t
    where t.release_id = r.id and d.release_id = r.id
      and ($8::boolean or (d.names, d.words, d.keys, d.config, d.rules, d.rating)
                          is distinct from (r.names, r.words, r.keys, r.config, $7::smallint, r.rating))
    returning 1
), added as (
    insert into search_documents (release_id, names, words, keys, config, rules, rating)
    select id, names, words, keys, config, $7::smallint, rating
    from ready
    where id not in (select release_id from there)
    order by id
    returning 1
)
select (select count(*) from updated) + (select count(*) from added);

-- name: stir
-- What filters read of these releases changed, not their words.
with moved as materialized (
    select release_id from search_documents where release_id = any ($1::bigint[]) order by release_id for no key update
)
update search_documents d set changed = pg_current_xact_id() from moved m where d.release_id = m.release_id;

-- name: lock
-- The rows that a transaction is going to write in several statements, in the order of their ids.
select release_id from search_documents where release_id = any ($1::bigint[]) order by release_id for no key update;

-- name: rate
-- Ratings of these releases, rounded down, where they are others now.
with moved as materialized (
    select d.release_id, r.rating
    from search_documents d
    join popularity_metrics m on m.release_id = d.release_id
    cross join lateral (select case when m.rating_count > 0 then floor(m.average_rating)::smallint end as rating) r
    where d.release_id = any ($1::bigint[]) and d.rating is distinct from r.rating
    order by d.release_id
    for no key update of d
)
update search_documents d set rating = m.rating, changed = pg_current_xact_id()
from moved m
where d.release_id = m.release_id;

-- name: any_behind
-- Whether any document was changed behind this place (transaction, slot), be it by one that others do not see past yet.
select (
    select slot from search_documents where (changed, slot) > ($1::bigint::text::xid8, $2::integer)
    order by changed, slot limit 1
) is not null;

-- name: tidy
-- What was written lately waits beside the indexes, and each search reads through it.
select gin_clean_pending_list('search_documents_names') + gin_clean_pending_list('search_documents_words');

-- name: state
select rules, rebuilt_to, rebuilds, counted_at from search_state;

-- name: count_releases
-- About: by the statistics where there are any.
select coalesce(nullif(reltuples::bigint, -1), 0) from pg_class where oid = 'releases'::regclass;

-- name: next_ids
-- The next releases behind $1, shown or not.
select id from releases where id > $1 order by id limit $2::integer;

-- name: lacking
-- Of the next $3 releases behind $1: the last one, and those whose document is missing or older than the rules $2.
select max(r.id) as last_id,
       coalesce(array_agg(r.id order by r.id) filter (where d.rules is null or d.rules < $2::smallint), '{}') as ids
from (select id from releases where id > $1 order by id limit $3::integer) r
left join search_documents d on d.release_id = r.id;

-- name: take_turn
-- Whether this transaction is the one that builds: one instance at a time.
select pg_try_advisory_xact_lock(hashtext('yojohan search builder'));

-- name: reach_rules
-- Every release has a document by these rules or newer ones.
update search_state set rules = $1::smallint where rules < $1::smallint;

-- name: order_rebuild
-- One that is under way goes on.
update search_state set rebuilt_to = 0 where rebuilt_to is null;

-- name: rebuilt_to
update search_state set rebuilt_to = $1::bigint;

-- name: end_rebuild
update search_state set rebuilt_to = null, rebuilds = rebuilds + 1;
