-- name: apply
-- Changes summed up by release. Rows are taken in the order of their ids, so that two writers never wait in a ring.
insert into popularity_metrics as m (release_id, favorites, rating_count, rating_sum, average_rating)
select release_id, favorites, ratings, rating_sum, case when ratings > 0 then rating_sum::real / ratings else 0 end
from unnest($1::bigint[], $2::integer[], $3::integer[], $4::bigint[]) as change (release_id, favorites, ratings, rating_sum)
order by release_id
on conflict (release_id) do update set
    favorites = m.favorites + excluded.favorites,
    rating_count = m.rating_count + excluded.rating_count,
    rating_sum = m.rating_sum + excluded.rating_sum,
    average_rating = case
        when m.rating_count + excluded.rating_count > 0
        then (m.rating_sum + excluded.rating_sum)::real / (m.rating_count + excluded.rating_count)
        else 0 end;

-- name: release_ids
-- The next releases behind $1, shown or not.
select id from releases where id > $1 order by id limit $2::integer;

-- name: mend
-- Count the favourites and ratings of these releases anew, less what waits to be counted, and put right what differs.
-- The average is compared in hundredths.
with kept as (
    select release_id,
           count(*) filter (where kind = 1) as favorites,
           count(*) filter (where kind = 3) as ratings,
           coalesce(sum(value) filter (where kind = 3), 0) as rating_sum
    from library_entries
    where release_id = any ($1::bigint[]) and kind in (1, 3) and not deleted
    group by release_id
), published as (
    select o.payload
    from outbox o
    left join outbox_consumers c on c.name = 'release_counts'
    where o.topic = 'release_counts' and (c.name is null or (o.xid, o.id) > (c.xid, c.id))
    union all
    select payload from outbox_deliveries where consumer = 'release_counts' and topic = 'release_counts'
), waiting as (
    select (change ->> 0)::bigint as release_id,
           sum((change ->> 1)::bigint) as favorites,
           sum((change ->> 2)::bigint) as ratings,
           sum((change ->> 3)::bigint) as rating_sum
    from published
    cross join jsonb_array_elements(payload -> 'changes') as change
    where (change ->> 0)::bigint = any ($1::bigint[])
    group by 1
), counted as (
    select w.id as release_id,
           m.release_id is null as missing,
           array[m.favorites, m.rating_count, m.rating_sum]::bigint[] as stored,
           m.average_rating as stored_average,
           array[coalesce(k.favorites, 0) - coalesce(p.favorites, 0), coalesce(k.ratings, 0) - coalesce(p.ratings, 0),
                 coalesce(k.rating_sum, 0) - coalesce(p.rating_sum, 0)]::bigint[] as expected
    from unnest($1::bigint[]) as w (id)
    left join popularity_metrics m on m.release_id = w.id
    left join kept k on k.release_id = w.id
    left join waiting p on p.release_id = w.id
), averaged as (
    select release_id,
           stored || (round(stored_average::numeric * 100))::bigint as stored,
           expected || (case when expected[2] > 0 then round(expected[3]::numeric * 100 / expected[2]) else 0 end)::bigint
               as expected
    from counted
), differing as materialized (
    select * from averaged where array_replace(stored, null, 0) <> expected
), mended as (
    insert into popularity_metrics as m (release_id, favorites, rating_count, rating_sum, average_rating)
    select release_id, expected[1], expected[2], expected[3],
           case when expected[2] > 0 then expected[3]::real / expected[2] else 0 end
    from differing
    order by release_id
    on conflict (release_id) do update set
        favorites = excluded.favorites, rating_count = excluded.rating_count, rating_sum = excluded.rating_sum,
        average_rating = excluded.average_rating
)
select d.release_id as id, counter.name, coalesce(d.stored[counter.place], 0) as stored,
       d.expected[counter.place] as expected
from differing d
cross join unnest(array['favorites', 'rating_count', 'rating_sum', 'average_rating_hundredths'])
    with ordinality as counter (name, place)
where coalesce(d.stored[counter.place], 0) <> d.expected[counter.place]
order by d.release_id, counter.place;
