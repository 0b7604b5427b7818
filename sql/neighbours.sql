-- name: note_changes
-- The catalogue has changed so many times more.
update recommending_state set catalogue_changes = catalogue_changes + $1;

-- name: mark_stale
-- What was worked out from these releases ($1): their own rows, those of their neighbours, and of their franchises.
-- They are taken in the order of their ids, as everywhere. What has changed itself is as if it were new: without a time.
with concerned as materialized (
    select unnest($1::bigint[]) as id
    union
    select unnest(near.neighbours) from release_neighbours near where near.release_id = any ($1)
    union
    select part.id
    from releases r
    join releases part on part.franchise_id = r.franchise_id and part.visible
    where r.id = any ($1)
), taken as (
    select n.release_id
    from concerned c
    join release_neighbours n on n.release_id = c.id
        and (not n.stale or n.computed_at > '-infinity' and n.release_id = any ($1))
    order by n.release_id
    for no key update of n
)
update release_neighbours n set
    stale = true, computed_at = case when n.release_id = any ($1) then '-infinity' else n.computed_at end
from taken t
where n.release_id = t.release_id;

-- name: mark_own_stale
-- Of so many releases at once only their own rows.
with taken as (
    select release_id from release_neighbours
    where release_id = any ($1::bigint[]) and (not stale or computed_at > '-infinity')
    order by release_id for no key update
)
update release_neighbours n set stale = true, computed_at = '-infinity' from taken t where n.release_id = t.release_id;

-- name: look
-- What there is to do: whether words were never counted or the catalogue has changed since, how much libraries have
-- changed, how many rows are stale (counted up to $1), and whether anybody is at it. How often libraries were written is
-- what statistics say; after a crash, or in a restored database, they begin anew.
select s.catalogue_changes, s.catalogue_seen, s.catalogue_counted, s.counted_at, s.library_seen, s.started_at, s.finished_at,
       s.library_changes + case when written.rows < s.library_written then written.rows
                                else written.rows - s.library_written end as library_changes,
       written.rows as library_written,
       (select count(*) from (select from release_neighbours where stale limit $1) found) as stale,
       coalesce(s.leased_until > clock_timestamp(), false) as leased,
       s.failures, s.audience_at, s.audience_users, s.audience_items
from recommending_state s
cross join lateral (
    select coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint as rows
    from pg_stat_user_tables where relid = 'library_entries'::regclass
) written;

-- name: count_alone
-- For the transaction: time for the whole catalogue, and whether nobody else is counting already.
select pg_try_advisory_xact_lock(hashtextextended('counting words', 0))
from set_config('statement_timeout', '60s', true);

-- name: count_words
-- In how many visible releases each genre and tag stands; those that stand in none go.
with counted as materialized (
    select 'genre' as kind, word_id, count(*)::integer as releases
    from releases cross join unnest(genre_ids) as word_id
    where visible
    group by word_id
    union all
    select 'tag', word_id, count(*)::integer
    from releases cross join unnest(tag_ids) as word_id
    where visible
    group by word_id
), gone as (
    delete from word_frequencies f
    where not exists (select from counted c where c.kind = f.kind and c.word_id = f.word_id)
), noted as (
    update recommending_state set catalogue_counted = $1, counted_at = clock_timestamp()
)
insert into word_frequencies as f (kind, word_id, releases)
select kind, word_id, releases from counted
on conflict (kind, word_id) do update set releases = excluded.releases where f.releases <> excluded.releases;

-- name: take_lease
-- Begin a run for $2 seconds, unless somebody else is at it; how much libraries have changed is written down ($3, as of the
-- statistics' $4).
update recommending_state
set leased_by = $1, leased_until = clock_timestamp() + $2 * interval '1 second', started_at = clock_timestamp(),
    library_changes = $3, library_written = $4
where leased_until is null or leased_until <= clock_timestamp()
returning true;

-- name: renew_lease
update recommending_state set leased_until = clock_timestamp() + $2 * interval '1 second' where leased_by = $1
returning true;

-- name: end_run
-- The run is over: well ($2), then the worker has written down itself what it has seen, or not.
update recommending_state
set leased_by = null, leased_until = null, failures = case when $2 then 0 else failures + 1 end
where leased_by = $1
returning failures;

-- name: leave
-- The run was stopped from outside: nothing has been seen, nothing has failed.
update recommending_state set leased_by = null, leased_until = null where leased_by = $1;
