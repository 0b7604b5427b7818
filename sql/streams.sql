-- name: create_ticket
insert into stream_tickets (ticket_hash, user_id, session_id, expires_at)
select $1, u.id, $3::uuid, now() + make_interval(secs => $4::integer) from users u where u.id = $2
returning true;

-- name: take_ticket
-- Once. A session that has ended meanwhile takes its tickets along.
with taken as (
    delete from stream_tickets where ticket_hash = $1 returning user_id, session_id, expires_at
)
select u.id as user_id, u.role, u.credentials_version, t.session_id
from taken t
join users u on u.id = t.user_id
where t.expires_at > now()
    and not exists (
        select from sessions s
        where s.id = t.session_id and (s.revoked_at is not null or s.expires_at <= now())
    );

-- name: places
-- Of each user: the newest notification there is, and how many are unread.
select w.user_id, coalesce(newest.id, 0) as newest, coalesce(b.unread, 0) as unread
from unnest($1::bigint[]) w (user_id)
left join lateral (
    select n.id from notifications n where n.user_id = w.user_id order by n.id desc limit 1
) newest on true
left join notification_budgets b on b.user_id = w.user_id;

-- name: ended
-- Which of these (by their place) belong to nobody any more: the account is erased, the session or the API token over.
select w.place
from unnest($1::bigint[], $2::uuid[], $3::uuid[]) with ordinality w (user_id, session_id, token_id, place)
where not exists (select from users u where u.id = w.user_id)
    or (w.session_id is not null and not exists (
        select from sessions s where s.id = w.session_id and s.revoked_at is null and s.expires_at > now()
    ))
    or (w.token_id is not null and not exists (
        select from api_tokens t where t.id = w.token_id and (t.expires_at is null or t.expires_at > now())
    ));
