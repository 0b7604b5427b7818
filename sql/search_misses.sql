-- name: add
-- What was searched in vain, with how often; a day keeps at most $3 different queries.
insert into search_misses as m (day, query, misses)
select (now() at time zone 'UTC')::date, said.query, said.misses
from unnest($1::text[], $2::integer[]) as said (query, misses)
where exists (
    select from search_misses known
    where known.day = (now() at time zone 'UTC')::date and known.query = said.query collate "C"
) or (
    select count(*) from (
        select from search_misses today where today.day = (now() at time zone 'UTC')::date limit $3::integer
    ) counted
) < $3::integer
order by said.query collate "C"
on conflict (day, query) do update set misses = m.misses + excluded.misses, last_at = excluded.last_at;

-- name: page
-- A page of what was searched in vain since a day, the commonest first, and how many different queries there were.
with summed as materialized (
    select query, sum(misses) as misses, max(last_at) as last_at
    from search_misses
    where day >= $1::date
    group by query
)
select (select count(*) from summed) as count,
       array(
           select row_to_json(shown)::text from (
               select query, misses, rfc3339(last_at) as last_at
               from summed
               order by summed.misses desc, query
               limit $2::integer offset $3::bigint
           ) shown
       ) as rows;
