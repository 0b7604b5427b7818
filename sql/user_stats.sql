-- name: apply
-- $1 is a list of {"user_id", "at", and a change for each counter}, one a user. Accounts are locked in the order of
-- their ids: who has been erased meanwhile is left out, and nobody can be until this is committed.
with given as materialized (
    select *
    from jsonb_to_recordset($1::jsonb) as said (
        user_id bigint, at timestamptz, episodes_watched integer, watch_seconds bigint, favorites integer,
        planned integer, watching integer, completed integer, postponed integer, dropped integer, ratings integer,
        rating_sum integer, comments integer, reviews integer)
), living as materialized (
    select id from users where id = any (array(select user_id from given)) order by id for key share
)
insert into user_stats as s (
    user_id, last_activity_at, episodes_watched, watch_seconds, favorites, planned, watching, completed, postponed,
    dropped, ratings, rating_sum, comments, reviews)
select user_id, at, episodes_watched, watch_seconds, favorites, planned, watching, completed, postponed, dropped,
       ratings, rating_sum, comments, reviews
from given
join living on living.id = given.user_id
order by user_id
on conflict (user_id) do update set
    last_activity_at = greatest(s.last_activity_at, excluded.last_activity_at),
    episodes_watched = s.episodes_watched + excluded.episodes_watched,
    watch_seconds = s.watch_seconds + excluded.watch_seconds,
    favorites = s.favorites + excluded.favorites,
    planned = s.planned + excluded.planned,
    watching = s.watching + excluded.watching,
    completed = s.completed + excluded.completed,
    postponed = s.postponed + excluded.postponed,
    dropped = s.dropped + excluded.dropped,
    ratings = s.ratings + excluded.ratings,
    rating_sum = s.rating_sum + excluded.rating_sum,
    comments = s.comments + excluded.comments,
    reviews = s.reviews + excluded.reviews;

-- name: refresh_genres
-- What these users like, from what they keep: a favourite weighs 3, a release watched to its end 2, one they are
-- watching 1, a dropped one -1, and a rating (rating - 5.5) / 1.5, which is 3 for a ten and -3 for a one. A genre weighs
-- what its releases weigh together; shown are the ten heaviest above nothing, as shares of the first.
-- With $2 users are left alone who did something that is not counted yet: their turn comes with that event.
with weighed as (
    select user_id, release_id, sum(case
               when kind = 1 then 3
               when kind = 2 and value = 3 then 2
               when kind = 2 and value = 2 then 1
               when kind = 2 and value = 5 then -1
               when kind = 3 then (value - 5.5) / 1.5
               else 0 end) as weight
    from library_entries
    where user_id = any ($1::bigint[]) and kind between 1 and 3 and not deleted
    group by user_id, release_id
), by_genre as (
    select w.user_id, genre_id, sum(w.weight) as weight
    from weighed w
    join releases r on r.id = w.release_id
    cross join unnest(r.genre_ids) as genre_id
    group by w.user_id, genre_id
    having sum(w.weight) > 0
), ranked as (
    select user_id, genre_id, round(weight / max(weight) over (partition by user_id), 2) as share,
           row_number() over (partition by user_id order by weight desc, genre_id) as place
    from by_genre
), lists as (
    select user_id, jsonb_agg(jsonb_build_object('id', genre_id, 'weight', share) order by place) as genres
    from ranked
    where place <= 10 and share > 0
    group by user_id
)
update user_stats s set favorite_genres = coalesce(lists.genres, '[]')
from unnest($1::bigint[]) as asked (user_id)
left join lists on lists.user_id = asked.user_id
where s.user_id = asked.user_id and s.favorite_genres <> coalesce(lists.genres, '[]')
  and not ($2::boolean and exists (select from user_stats_waiting w where w.user_id = asked.user_id))
returning s.user_id;

-- name: get_stats
-- What is counted and what waits to be, in one snapshot: one's own write shows at once.
select u.is_public, (select row_to_json(shown)::text from (select
    coalesce(s.episodes_watched, 0) + w.episodes_watched as "episodes_watched",
    n.completed as "releases_completed",
    coalesce(s.watch_seconds, 0) + w.watch_seconds as "watch_seconds",
    coalesce(s.favorites, 0) + w.favorites as "favorites_count",
    n.planned + n.watching + n.completed + n.postponed + n.dropped as "collections_count",
    n as "collections",
    coalesce(s.reviews, 0) + w.reviews as "reviews_count",
    coalesce(s.comments, 0) + w.comments as "comments_count",
    round((coalesce(s.rating_sum, 0) + w.rating_sum)::numeric / nullif(coalesce(s.ratings, 0) + w.ratings, 0), 2) as "mean_rating",
    to_json(array(
        select row_to_json(genre) from (
            select g.id, g.name, (liked.value ->> 'weight')::numeric as weight
            from jsonb_array_elements(s.favorite_genres) with ordinality as liked (value, place)
            join genres g on g.id = (liked.value ->> 'id')::bigint and g.deleted_at is null
            order by liked.place
        ) genre)) as "favorite_genres",
    rfc3339(u.created_at) as "joined_at",
    rfc3339(greatest(s.last_activity_at, w.at)) as "last_activity_at"
) shown) as stats
from users u
left join user_stats s on s.user_id = u.id
cross join lateral (
    select max(created_at) as at,
           coalesce(sum((delta ->> 'episodes_watched')::integer), 0) as episodes_watched,
           coalesce(sum((delta ->> 'watch_seconds')::integer), 0) as watch_seconds,
           coalesce(sum((delta ->> 'favorites')::integer), 0) as favorites,
           coalesce(sum((delta ->> 'planned')::integer), 0) as planned,
           coalesce(sum((delta ->> 'watching')::integer), 0) as watching,
           coalesce(sum((delta ->> 'completed')::integer), 0) as completed,
           coalesce(sum((delta ->> 'postponed')::integer), 0) as postponed,
           coalesce(sum((delta ->> 'dropped')::integer), 0) as dropped,
           coalesce(sum((delta ->> 'ratings')::integer), 0) as ratings,
           coalesce(sum((delta ->> 'rating_sum')::integer), 0) as rating_sum,
           coalesce(sum((delta ->> 'comments')::integer), 0) as comments,
           coalesce(sum((delta ->> 'reviews')::integer), 0) as reviews
    from user_stats_waiting
    where user_id = u.id
) w
cross join lateral (
    select coalesce(s.planned, 0) + w.planned as planned, coalesce(s.watching, 0) + w.watching as watching,
           coalesce(s.completed, 0) + w.completed as completed, coalesce(s.postponed, 0) + w.postponed as postponed,
           coalesce(s.dropped, 0) + w.dropped as dropped
) n
where u.id = $1;

-- name: user_ids
-- The next accounts behind $1.
select id from users where id > $1 order by id limit $2;

-- name: mend
-- Count what these users keep and have said anew, less what waits to be counted, and put right what differs.
with kept as (
    select user_id, max(updated_at) as at,
           count(*) filter (where kind = 1) as favorites,
           count(*) filter (where kind = 2 and value = 1) as planned,
           count(*) filter (where kind = 2 and value = 2) as watching,
           count(*) filter (where kind = 2 and value = 3) as completed,
           count(*) filter (where kind = 2 and value = 4) as postponed,
           count(*) filter (where kind = 2 and value = 5) as dropped,
           count(*) filter (where kind = 3) as ratings,
           coalesce(sum(value) filter (where kind = 3), 0) as rating_sum
    from library_entries
    where user_id = any ($1::bigint[]) and not deleted
    group by user_id
), watched as (
    select user_id, max(updated_at) as at, count(*) filter (where completed) as episodes, sum(watched_seconds) as seconds
    from progress
    where user_id = any ($1::bigint[]) and not deleted
    group by user_id
), commented as (
    select user_id, max(created_at) as at, count(*) as comments
    from comments
    where user_id = any ($1::bigint[]) and state = 'visible' and deleted_at is null
    group by user_id
), reviewed as (
    select user_id, max(created_at) as at, count(*) as reviews
    from reviews
    where user_id = any ($1::bigint[]) and state = 'visible' and deleted_at is null
    group by user_id
), waiting as (
    select user_id,
           sum((delta ->> 'episodes_watched')::integer) as episodes_watched,
           sum((delta ->> 'watch_seconds')::integer) as watch_seconds,
           sum((delta ->> 'favorites')::integer) as favorites,
           sum((delta ->> 'planned')::integer) as planned,
           sum((delta ->> 'watching')::integer) as watching,
           sum((delta ->> 'completed')::integer) as completed,
           sum((delta ->> 'postponed')::integer) as postponed,
           sum((delta ->> 'dropped')::integer) as dropped,
           sum((delta ->> 'ratings')::integer) as ratings,
           sum((delta ->> 'rating_sum')::integer) as rating_sum,
           sum((delta ->> 'comments')::integer) as comments,
           sum((delta ->> 'reviews')::integer) as reviews
    from user_stats_waiting
    where user_id = any ($1::bigint[])
    group by user_id
), differing as materialized (
    select u.id as user_id, greatest(k.at, p.at, c.at, r.at) as at, counted.*
    from users u
    left join user_stats s on s.user_id = u.id
    left join kept k on k.user_id = u.id
    left join watched p on p.user_id = u.id
    left join commented c on c.user_id = u.id
    left join reviewed r on r.user_id = u.id
    left join waiting w on w.user_id = u.id
    cross join lateral (
        select array[s.episodes_watched, s.watch_seconds, s.favorites, s.planned, s.watching, s.completed, s.postponed,
                     s.dropped, s.ratings, s.rating_sum, s.comments, s.reviews]::bigint[] as stored,
               array[coalesce(p.episodes, 0) - coalesce(w.episodes_watched, 0),
                     coalesce(p.seconds, 0) - coalesce(w.watch_seconds, 0),
                     coalesce(k.favorites, 0) - coalesce(w.favorites, 0),
                     coalesce(k.planned, 0) - coalesce(w.planned, 0),
                     coalesce(k.watching, 0) - coalesce(w.watching, 0),
                     coalesce(k.completed, 0) - coalesce(w.completed, 0),
                     coalesce(k.postponed, 0) - coalesce(w.postponed, 0),
                     coalesce(k.dropped, 0) - coalesce(w.dropped, 0),
                     coalesce(k.ratings, 0) - coalesce(w.ratings, 0),
                     coalesce(k.rating_sum, 0) - coalesce(w.rating_sum, 0),
                     coalesce(c.comments, 0) - coalesce(w.comments, 0),
                     coalesce(r.reviews, 0) - coalesce(w.reviews, 0)]::bigint[] as expected
    ) counted
    where u.id = any ($1::bigint[]) and array_replace(counted.stored, null, 0) <> counted.expected
), mended as (
    insert into user_stats as s (
        user_id, last_activity_at, episodes_watched, watch_seconds, favorites, planned, watching, completed, postponed,
        dropped, ratings, rating_sum, comments, reviews)
    select user_id, at, expected[1], expected[2], expected[3], expected[4], expected[5], expected[6], expected[7],
           expected[8], expected[9], expected[10], expected[11], expected[12]
    from differing
    order by user_id
    on conflict (user_id) do update set
        last_activity_at = greatest(s.last_activity_at, excluded.last_activity_at),
        episodes_watched = excluded.episodes_watched, watch_seconds = excluded.watch_seconds,
        favorites = excluded.favorites, planned = excluded.planned, watching = excluded.watching,
        completed = excluded.completed, postponed = excluded.postponed, dropped = excluded.dropped,
        ratings = excluded.ratings, rating_sum = excluded.rating_sum, comments = excluded.comments,
        reviews = excluded.reviews
)
select d.user_id, counter.name, coalesce(d.stored[counter.place], 0) as stored, d.expected[counter.place] as expected
from differing d
cross join unnest(array['episodes_watched', 'watch_seconds', 'favorites', 'planned', 'watching', 'completed', 'postponed',
                        'dropped', 'ratings', 'rating_sum', 'comments', 'reviews']) with ordinality as counter (name, place)
where coalesce(d.stored[counter.place], 0) <> d.expected[counter.place]
order by d.user_id, counter.place;
