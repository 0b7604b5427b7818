-- name: post_review
-- All of it happens in the function: a transaction of one statement, one round trip, one commit.
select outcome, review_id, review, used, frees_at, moment from post_review($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: edit_review
select outcome, about as release_id, review, published from edit_review($1, $2, $3, $4, $5, $6, $7, $8);

-- name: delete_review
select outcome, about as release_id from delete_review($1, $2, $3);

-- name: vote_review
select outcome, about as release_id from vote_review($1, $2);

-- name: unvote_review
select outcome, about as release_id from unvote_review($1, $2);

-- name: get_review
-- For the viewer $2, or nobody. What waits or is hidden is shown to its author, and to whoever moderates ($3).
select v.release_id, review_json(v, u.username, $2::bigint,
           exists (select from helpful_votes h where h.review_id = v.id and h.user_id = $2::bigint)) as review
from reviews v
join releases l on l.id = v.release_id and l.visible
left join users u on u.id = v.user_id
where v.id = $1 and v.deleted_at is null and (v.counted or v.user_id = $2::bigint or $3::boolean);
