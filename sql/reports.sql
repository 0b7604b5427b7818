-- name: report
-- All of it happens in the function: a transaction of one statement, one round trip, one commit.
select outcome, made, tags from report($1, $2, $3, $4, $5);
