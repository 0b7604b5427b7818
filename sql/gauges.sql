-- name: count_all
-- Exact where little is there or a total is kept; else what the planner knows since the last (auto)vacuum or analyze.
-- Nothing here reads more than `few` rows of a table that grows, but for the people of one day.
with estimates as (
    select (select reltuples::bigint from pg_class where oid = 'users'::regclass) as users,
           (select reltuples::bigint from pg_class where oid = 'episodes_by_ordinal'::regclass) as episodes,
           (select reltuples::bigint from pg_class where oid = 'subscriptions_active'::regclass) as subscriptions,
           (select sum(greatest(c.reltuples, 0))::bigint from pg_inherits i join pg_class c on c.oid = i.inhrelid
            where i.inhparent = 'view_metrics'::regclass) as views
)
select case when e.users > $1::bigint then e.users
            else (select count(*) from (select from users limit $1) few) end as users,
       (select count(*) from user_presence where last_active_at > now() - interval '24 hours') as active_users,
       (select total from catalogue_totals where name = 'releases') as releases,
       case when e.episodes > $1 then e.episodes
            else (select count(*) from (select from episodes where deleted_at is null limit $1) few) end as episodes,
       case when e.views > $1 then e.views
            else (select count(*) from (select from view_metrics limit $1) few) end as views,
       case when e.subscriptions > $1 then e.subscriptions
            else (select count(*) from (select from subscriptions where deleted_at is null limit $1) few) end as subscriptions,
       (select count(*) from (
           (select from comments where queued_at is not null and deleted_at is null limit $1)
           union all (select from reviews where queued_at is not null and deleted_at is null limit $1)
       ) few) as waiting
from estimates e;
