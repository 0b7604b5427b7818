-- name: moderate
-- All of it happens in the function: a transaction of one statement, one round trip, one commit.
select place, outcome, tags from moderate($1, $2, $3, $4, $5, $6);

-- name: role_of
select role from users where id = $1;

-- name: undo_said
select touched, last_at, last_id, tags from undo_said($1, $2, $3, $4, $5, $6, $7, $8);

-- name: undo_votes
select touched, tags from undo_votes($1, $2);

-- name: undo_reports
select touched from undo_reports($1, $2);
