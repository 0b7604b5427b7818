-- name: post
-- All of it happens in the function: a transaction of one statement, one round trip, one commit.
select outcome, comment_id, release_id, state, document, used, frees_at, "at"
from post_comment($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12);

-- name: post_many
-- Many at once: parallel arrays, from the author to what the rules say.
select outcome, comment_id, release_id, state, document, used, frees_at, "at"
from post_comments($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);

-- name: edit
select outcome, release_id, document, published from edit_comment($1, $2, $3, $4, $5, $6, $7, $8);

-- name: erase
select outcome, release_id, published from delete_comment($1, $2, $3);

-- name: threads
-- A page of what stands under the release $1 without a parent, or under its episode $5 alone: after the id $7, or before
-- it where the newest come first ($6). For the reader $2, or nobody; $3: moderates; $4: wants to read spoilers. Of the four
-- ways to read, each along its index, those not asked for are not taken. Nothing if there is no such release.
with place as materialized (
    select r.id,
           coalesce(t.threads, 0) as threads,
           case when $4::boolean then null else reached_episode($2::bigint, r.id) end as reached,
           (select e.id from episodes e where e.id = $5::bigint and e.release_id = r.id) as episode_id
    from releases r
    left join release_talk t on t.release_id = r.id
    where r.id = $1 and r.visible
), page as materialized (
    (select c as comment, c.id as place from comments c
     where $5::bigint is null and not $6::boolean and c.release_id = $1 and c.listed and c.parent_id is null
       and c.id > $7::bigint
     order by c.id limit $8::integer)
    union all
    (select c, -c.id from comments c
     where $5::bigint is null and $6::boolean and c.release_id = $1 and c.listed and c.parent_id is null
       and c.id < $7::bigint
     order by c.id desc limit $8::integer)
    union all
    (select c, c.id from comments c
     where not $6::boolean and c.episode_id = (select episode_id from place) and c.listed and c.parent_id is null
       and c.id > $7::bigint
     order by c.id limit $8::integer)
    union all
    (select c, -c.id from comments c
     where $6::boolean and c.episode_id = (select episode_id from place) and c.listed and c.parent_id is null
       and c.id < $7::bigint
     order by c.id desc limit $8::integer)
)
select case when $5::bigint is null then place.threads else (
           select count(*)::integer from (
               select from comments c
               where c.episode_id = place.episode_id and c.listed and c.parent_id is null
               limit $9::integer
           ) counted) end as count,
       array(select (p.comment).id from page p order by p.place) as ids,
       array(
           select comment_json(p.comment, u.username, e.ordinal,
                      comment_hidden(p.comment, e.ordinal, $2::bigint, $3::boolean, place.reached, $4::boolean),
                      $3::boolean or (p.comment).user_id = $2::bigint)
           from page p
           left join users u on u.id = (p.comment).user_id
           left join episodes e on e.id = (p.comment).episode_id
           order by p.place
       ) as comments
from place;

-- name: replies
-- A page of what answers the comment $1, after the id $5. Parameters as above. Nothing if the comment is not to be seen.
with place as materialized (
    select c.id,
           c.release_id,
           c.replies,
           case when $4::boolean then null else reached_episode($2::bigint, c.release_id) end as reached
    from comments c
    join releases r on r.id = c.release_id and r.visible
    where c.id = $1 and (c.listed or (c.deleted_at is null and (c.user_id = $2::bigint or $3::boolean)))
), page as materialized (
    select c as comment
    from comments c
    where c.parent_id = (select id from place) and c.parent_id is not null and c.listed and c.id > $5::bigint
    order by c.id limit $6::integer
)
select place.release_id,
       place.replies as count,
       array(select (p.comment).id from page p order by (p.comment).id) as ids,
       array(
           select comment_json(p.comment, u.username, e.ordinal,
                      comment_hidden(p.comment, e.ordinal, $2::bigint, $3::boolean, place.reached, $4::boolean),
                      $3::boolean or (p.comment).user_id = $2::bigint)
           from page p
           left join users u on u.id = (p.comment).user_id
           left join episodes e on e.id = (p.comment).episode_id
           order by (p.comment).id
       ) as comments
from place;

-- name: get
-- One comment, for the reader $2, or nobody. Parameters as above.
select c.release_id,
       comment_json(c, u.username, e.ordinal,
           comment_hidden(c, e.ordinal, $2::bigint, $3::boolean,
               case when c.episode_id is not null and not $4::boolean then reached_episode($2::bigint, c.release_id) end,
               $4::boolean),
           $3::boolean or c.user_id = $2::bigint) as comment
from comments c
join releases r on r.id = c.release_id and r.visible
left join users u on u.id = c.user_id
left join episodes e on e.id = c.episode_id
where c.id = $1 and (c.listed or (c.deleted_at is null and (c.user_id = $2::bigint or $3::boolean)));
