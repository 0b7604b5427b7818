-- name: few_of_genre
-- Any $2 of them: if there are fewer, these are all.
select id from releases where genre_ids @> array[$1::bigint] limit $2::integer;

-- name: few_of_tag
select id from releases where tag_ids @> array[$1::bigint] limit $2::integer;

-- name: next_of_genre
-- Along the primary key, which for a word of many releases comes upon the next ones soon. `= any` on purpose: the GIN
-- index would find all of them, to throw away all but a slice.
select id from releases where id > $2 and $1::bigint = any (genre_ids) order by id limit $3::integer;

-- name: next_of_tag
select id from releases where id > $2 and $1::bigint = any (tag_ids) order by id limit $3::integer;

-- name: next_of_franchise
select id from releases where franchise_id = $1 and id > $2 order by id limit $3::integer;
