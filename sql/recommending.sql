-- name: claim_alone
-- Held until the session ends: one worker at a time.
select pg_try_advisory_lock(hashtextextended('recommending', 0));

-- name: state
-- When audiences were last worked out, how much libraries had changed by then and have by now, the catalogue, and now.
select audience_at, library_seen, library_changes, catalogue_changes, clock_timestamp() as moment from recommending_state;

-- name: note_audiences
-- They have been worked out anew, from so many people ($1) and releases ($2), when libraries had changed $3 times.
update recommending_state set audience_at = now(), audience_users = $1, audience_items = $2, library_seen = $3;

-- name: mark_compared
-- Of these releases ($1) the audiences are new, so what they are like has to be worked out anew. As all who write several of
-- these rows it takes them in the order of their ids, so that nobody waits in a ring.
with taken as (
    select release_id from release_neighbours where release_id = any ($1::bigint[]) and not stale
    order by release_id for no key update
)
update release_neighbours n set stale = true from taken t where n.release_id = t.release_id;

-- name: finish
-- A run has ended well that began when the catalogue had changed so many times.
update recommending_state set catalogue_seen = $1, finished_at = now(), runs = runs + 1;

-- name: people
-- About how many people there are.
select greatest(reltuples, 0)::bigint from pg_class where oid = 'users'::regclass;

-- name: libraries
-- What the next $2 people behind $1 keep, of a sample of them ($3 of 1024): favourites, collections and ratings by release,
-- the latest first, at most $4 each. The last row is there in any case, and says how far this went.
with chosen as materialized (
    select id, hashint8(id) & 1023 < $3 as taken from users where id > $1 order by id limit $2
)
select c.id, kept.release_ids, kept.ratings, kept.collections, kept.favorites
from chosen c
left join lateral (
    select array_agg(release_id) as release_ids, array_agg(rating) as ratings, array_agg(collection) as collections,
           array_agg(favorite) as favorites
    from (
        select release_id, coalesce(max(value) filter (where kind = 3), 0)::integer as rating,
               coalesce(max(value) filter (where kind = 2), 0)::integer as collection, bool_or(kind = 1) as favorite
        from library_entries
        where user_id = c.id and kind = any ('{1,2,3}'::smallint[]) and not deleted
        group by release_id
        order by max(changed_at) desc, release_id
        limit $4
    ) entry
) kept on c.taken
where c.taken or c.id = (select max(id) from chosen)
order by c.id;

-- name: catalogue
-- The next $2 visible releases behind $1.
select r.id, f.id as franchise_id, r.genre_ids, r.tag_ids, coalesce(m.popularity_score, 0)::float8 as popularity
from releases r
left join franchises f on f.id = r.franchise_id and f.deleted_at is null
left join popularity_metrics m on m.release_id = r.id
where r.visible and r.id > $1
order by r.id
limit $2;

-- name: due
-- Visible releases behind $1 whose neighbours are missing, stale, or left behind by a run that did not get to store them;
-- at most $2.
select r.id
from releases r
left join release_neighbours n on n.release_id = r.id
where r.visible and r.id > $1 and (n.release_id is null or n.stale or n.computed_at <= 'epoch')
order by r.id
limit $2;

-- name: claim
-- These are about to be worked out anew. Committed before anything is read of them: whoever marks one as stale from here
-- on finds a row that is not. Without a time of its own it is due until it is stored.
with taken as (
    select release_id from release_neighbours where release_id = any ($1::bigint[]) and stale
    order by release_id for no key update
)
update release_neighbours n set
    stale = false, computed_at = least(n.computed_at, 'epoch')
from taken t
where n.release_id = t.release_id;

-- name: wanted
-- What these releases are about, as of now.
select r.id, f.id as franchise_id, r.genre_ids, r.tag_ids
from releases r
left join franchises f on f.id = r.franchise_id and f.deleted_at is null
where r.id = any ($1::bigint[]) and r.visible
order by r.id;

-- name: store_neighbours
-- One row for each of $1; its part of $4, $5 and $6 begins at $2 and ends at $3.
insert into release_neighbours as n (release_id, neighbours, scores, shared)
select id, ($4::bigint[])[first:last], ($5::real[])[first:last], ($6::integer[])[first:last]
from unnest($1::bigint[], $2::integer[], $3::integer[]) as w (id, first, last)
order by id
on conflict (release_id) do update set
    neighbours = excluded.neighbours, scores = excluded.scores, shared = excluded.shared, computed_at = now();

-- name: changed
-- Those of these releases that are new, or have changed since their neighbours were worked out.
select w.id from unnest($1::bigint[]) as w (id)
where not exists (select from release_neighbours n where n.release_id = w.id and n.computed_at > '-infinity');

-- name: mark_beside
-- Releases ($1) that each have a new or changed one ($2) beside them which is so much ($3) like them that it belongs among their own
-- neighbours, of which there are at most $4; but for those worked out since $5, when it was so already.
with taken as (
    select n.release_id
    from release_neighbours n
    where n.release_id = any ($1::bigint[]) and not n.stale and n.computed_at < $5 and exists (
        select from unnest($1::bigint[], $2::bigint[], $3::real[]) as beside (id, fresh, score)
        where beside.id = n.release_id and beside.fresh <> all (n.neighbours)
            -- Not for what sums in another order differ by.
            and (cardinality(n.scores) < $4 or n.scores[cardinality(n.scores)] < beside.score - 0.0001)
    )
    order by n.release_id
    for no key update
)
update release_neighbours n set stale = true from taken t where n.release_id = t.release_id;

-- name: store_rows
-- Rows of the model, as above.
insert into release_audience as a (release_id, others, weights, computed_at)
select id, ($4::bigint[])[first:last], ($5::real[])[first:last], now()
from unnest($1::bigint[], $2::integer[], $3::integer[]) as w (id, first, last)
order by id
on conflict (release_id) do update set
    others = excluded.others, weights = excluded.weights, computed_at = excluded.computed_at;

-- name: forget_rows
-- Rows of the model that the latest one ($1: its releases) no longer has.
delete from release_audience where release_id <> all ($1::bigint[]);

-- name: forget_neighbours
-- Neighbours of what is no longer shown.
delete from release_neighbours n
where not exists (select from releases r where r.id = n.release_id and r.visible);

-- name: of_mal
-- Releases by MyAnimeList's numbers.
select external_id, release_id from external_ids where source = 'mal' and external_id = any ($1::text[]);

-- name: ratings
-- The next $2 people behind $1 with their ratings.
with chosen as materialized (
    select id from users where id > $1 order by id limit $2
)
select c.id, rated.release_ids, rated.ratings
from chosen c
left join lateral (
    select array_agg(release_id) as release_ids, array_agg(value) as ratings
    from library_entries
    where user_id = c.id and kind = 3 and not deleted
) rated on true
order by c.id;

-- name: parts
-- What the choice of what is shown asks of these releases: their genres, their franchises, and which part of it they are.
with wanted as materialized (
    select r.id, f.id as franchise_id, r.genre_ids
    from unnest($1::bigint[]) as w (id)
    join releases r on r.id = w.id and r.visible
    left join franchises f on f.id = r.franchise_id and f.deleted_at is null
), parts as (
    select p.id, row_number() over (partition by p.franchise_id order by p.year, p.id) - 1 as part
    from releases p
    where p.visible and p.franchise_id in (select franchise_id from wanted)
)
select w.id, w.franchise_id, coalesce(parts.part, 0) as part, w.genre_ids
from wanted w
left join parts using (id);
