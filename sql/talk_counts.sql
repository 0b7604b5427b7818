-- name: comment_keys
-- The next comments behind the key $1, the newest first: a key is 2^62 less the id.
select (1::bigint << 62) - id as key from comments where id < (1::bigint << 62) - $1::bigint order by id desc limit $2::integer;

-- name: mend_comments
-- $1 is a run of ids without gaps. Answers are younger than what they answer: those above the run have been put right
-- already. A comment stands in its list if it can be read, or if an answer to it stands in its own.
with recursive chosen as materialized (
    select c.id, c.parent_id, c.state = 'visible' and c.deleted_at is null as alive, c.counted, c.listed, c.replies, c.reports
    from comments c
    where c.id = any ($1::bigint[])
), above as materialized (
    select c.parent_id as id, count(*) as replies
    from comments c
    where c.parent_id = any ($1::bigint[]) and c.parent_id is not null and c.listed
      and c.id > (select max(id) from chosen)
    group by c.parent_id
), standing as (
    select c.id, c.parent_id from chosen c left join above a on a.id = c.id where c.alive or a.id is not null
    union
    select c.id, c.parent_id from standing s join chosen c on c.id = s.parent_id
), within as materialized (
    select parent_id as id, count(*) as replies from standing where parent_id is not null group by parent_id
), differing as materialized (
    select c.id, array[c.counted::integer, c.listed::integer, c.replies, c.reports] as stored, e.expected
    from chosen c
    left join above a on a.id = c.id
    left join within w on w.id = c.id
    left join standing s on s.id = c.id
    cross join lateral (
        select array[
            c.alive::integer, (s.id is not null)::integer, (coalesce(a.replies, 0) + coalesce(w.replies, 0))::integer,
            (select count(*) from reports r
             where r.target_type = 'comment' and r.target_id = c.id and r.closed_at is null)::integer] as expected
    ) e
    where array[c.counted::integer, c.listed::integer, c.replies, c.reports] <> e.expected
), mended as (
    update comments c set
        counted = d.expected[1] = 1, listed = d.expected[2] = 1, replies = d.expected[3], reports = d.expected[4],
        announced = c.announced or d.expected[1] = 1
    from differing d
    where c.id = d.id
)
select d.id, counter.name, d.stored[counter.place]::bigint as stored, d.expected[counter.place]::bigint as expected
from differing d
cross join unnest(array['counted', 'listed', 'replies', 'reports']) with ordinality as counter (name, place)
where d.stored[counter.place] <> d.expected[counter.place]
order by d.id, counter.place;

-- name: review_ids
-- The next reviews behind $1.
select id from reviews where id > $1 order by id limit $2::integer;

-- name: mend_reviews
with counts as (
    select v.id, array[v.counted::integer, v.helpful, v.reports] as stored, array[
        (v.state = 'visible' and v.deleted_at is null)::integer,
        (select count(*) from helpful_votes h where h.review_id = v.id)::integer,
        (select count(*) from reports r
         where r.target_type = 'review' and r.target_id = v.id and r.closed_at is null)::integer] as expected
    from reviews v
    where v.id = any ($1::bigint[])
), differing as materialized (
    select * from counts where stored <> expected
), mended as (
    update reviews v set
        counted = d.expected[1] = 1, helpful = d.expected[2], reports = d.expected[3],
        announced = v.announced or d.expected[1] = 1
    from differing d
    where v.id = d.id
)
select d.id, counter.name, d.stored[counter.place]::bigint as stored, d.expected[counter.place]::bigint as expected
from differing d
cross join unnest(array['counted', 'helpful', 'reports']) with ordinality as counter (name, place)
where d.stored[counter.place] <> d.expected[counter.place]
order by d.id, counter.place;

-- name: release_ids
-- The next releases behind $1.
select id from releases where id > $1 order by id limit $2::integer;

-- name: mend_releases
-- What is said under these releases, by what stands in the lists: all that can be read is reached from there.
with recursive standing as (
    select c.id, c.release_id, c.parent_id, c.counted
    from comments c
    where c.release_id = any ($1::bigint[]) and c.listed and c.parent_id is null
    union all
    select c.id, c.release_id, c.parent_id, c.counted
    from standing s
    join comments c on c.parent_id = s.id and c.parent_id is not null and c.listed
), said as (
    select release_id, count(*) filter (where counted) as comments, count(*) filter (where parent_id is null) as threads
    from standing
    group by release_id
), judged as (
    select release_id, count(*) as reviews, sum(rating) as rating_sum
    from reviews
    where release_id = any ($1::bigint[]) and counted
    group by release_id
), differing as materialized (
    select asked.id, counts.*
    from unnest($1::bigint[]) as asked (id)
    left join release_talk t on t.release_id = asked.id
    left join said s on s.release_id = asked.id
    left join judged j on j.release_id = asked.id
    cross join lateral (
        select array[coalesce(t.comments, 0), coalesce(t.threads, 0), coalesce(t.reviews, 0),
                     coalesce(t.review_rating_sum, 0)]::bigint[] as stored,
               array[coalesce(s.comments, 0), coalesce(s.threads, 0), coalesce(j.reviews, 0),
                     coalesce(j.rating_sum, 0)]::bigint[] as expected
    ) counts
    where counts.stored <> counts.expected
), mended as (
    insert into release_talk as t (release_id, comments, threads, reviews, review_rating_sum)
    select id, expected[1], expected[2], expected[3], expected[4] from differing order by id
    on conflict (release_id) do update set
        comments = excluded.comments, threads = excluded.threads, reviews = excluded.reviews,
        review_rating_sum = excluded.review_rating_sum
)
select d.id, counter.name, d.stored[counter.place] as stored, d.expected[counter.place] as expected
from differing d
cross join unnest(array['comments', 'threads', 'reviews', 'review_rating_sum']) with ordinality as counter (name, place)
where d.stored[counter.place] <> d.expected[counter.place]
order by d.id, counter.place;
