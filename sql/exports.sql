-- name: account
select json_build_object(
    'id', u.id, 'username', u.username, 'email', u.email, 'email_verified_at', rfc3339(u.email_verified_at), 'role', u.role,
    'name', u.name, 'bio', u.bio, 'locale', u.locale, 'time_zone', u.time_zone, 'is_public', u.is_public,
    'created_at', rfc3339(u.created_at), 'updated_at', rfc3339(u.updated_at),
    'last_active_at', (select rfc3339(p.last_active_at) from user_presence p where p.user_id = u.id),
    'sessions', (select coalesce(json_agg(json_build_object(
        'user_agent', s.user_agent, 'network', s.network, 'created_at', rfc3339(s.created_at),
        'last_used_at', rfc3339(s.last_used_at)) order by s.created_at), '[]') from sessions s where s.user_id = u.id),
    'api_tokens', (select coalesce(json_agg(json_build_object(
        'name', t.name, 'scopes', t.scopes, 'created_at', rfc3339(t.created_at),
        'last_used_at', rfc3339(t.last_used_at)) order by t.created_at), '[]') from api_tokens t where t.user_id = u.id)
)::text
from users u where u.id = $1;

-- name: entries
-- A page of one kind behind a release id. A title that is no longer shown keeps its place, without a name.
select l.release_id as place, json_build_object(
    'release_id', l.release_id, 'title', r.title,
    'collection', case when l.kind = 2 then (array['planned', 'watching', 'completed', 'postponed', 'dropped'])[l.value] end,
    'rating', case when l.kind = 3 then l.value end,
    'changed_at', rfc3339(l.changed_at))::text as line
from library_entries l
left join releases r on r.id = l.release_id and r.visible
where l.user_id = $1 and l.kind = $2 and l.release_id > $3 and not l.deleted
order by l.release_id
limit $4;

-- name: progress
select p.episode_id as place, json_build_object(
    'episode_id', p.episode_id, 'release_id', p.release_id, 'title', r.title, 'ordinal', e.ordinal,
    'position_seconds', p.position_seconds, 'completed', p.completed, 'changed_at', rfc3339(p.changed_at))::text as line
from progress p
left join episodes e on e.id = p.episode_id
left join releases r on r.id = p.release_id and r.visible
where p.user_id = $1 and p.episode_id > $2 and not p.deleted
order by p.episode_id
limit $3;

-- name: subscriptions
select s.id as place, json_build_object(
    'subscription_type', s.subscription_type, 'target_id', s.target_id, 'created_at', rfc3339(s.created_at))::text as line
from subscriptions s
where s.user_id = $1 and s.deleted_at is null and s.id > $2
order by s.id
limit $3;

-- name: activity
select a.seq as place, json_build_object(
    'action_type', a.action_type, 'target_type', a.target_type, 'target_id', a.target_id, 'details', a.details,
    'created_at', rfc3339(a.created_at))::text as line
from activity a
where a.actor_id = $1 and a.seq > $2
order by a.seq
limit $3;

-- name: notifications
select n.id as place, json_build_object(
    'type', e.type, 'target_type', e.target_type, 'target_id', e.target_id, 'release_id', e.release_id, 'title', r.title,
    'data', e.data, 'read_at', rfc3339(n.read_at), 'created_at', rfc3339(n.created_at))::text as line
from notifications n
join notification_events e on e.id = n.event_id
left join releases r on r.id = e.release_id and r.visible
where n.user_id = $1 and n.id > $2
order by n.id
limit $3;

-- name: notification_preferences
-- One object, or none where all is as by default. Types by the way they come.
with types (type, number) as (
    values ('new_episode', 1), ('new_release', 2), ('recommendation', 3), ('reply', 4), ('moderation', 5)
)
select 1::bigint as place, json_build_object(
    'in_app', array(select t.type from types t where coalesce(p.in_app, 62) >> t.number & 1 = 1 order by t.number),
    'email_instant', array(select t.type from types t where p.email_instant >> t.number & 1 = 1 order by t.number),
    'email_daily', array(select t.type from types t where p.email_daily >> t.number & 1 = 1 order by t.number),
    'email_weekly', array(select t.type from types t where p.email_weekly >> t.number & 1 = 1 order by t.number),
    'quiet_start', p.quiet_start, 'quiet_end', p.quiet_end, 'time_zone', p.time_zone,
    'mutes', array(
        select json_build_object('target_type', m.target_type, 'target_id', m.target_id)
        from notification_mutes m where m.user_id = $1 order by m.target_type, m.target_id))::text as line
from users u
left join notification_preferences p on p.user_id = u.id
where u.id = $1 and $2::bigint = 0
  and (p.user_id is not null or exists (select from notification_mutes m where m.user_id = $1))
limit $3;

-- name: listed
-- A page of what stands on the user's list as MyAnimeList knows it: in a collection, behind a release id.
with listed as (
    select l.release_id, l.value as collection
    from library_entries l
    where l.user_id = $1 and l.kind = 2 and l.release_id > $2 and not l.deleted
    order by l.release_id
    limit $3
), watched as (
    select p.release_id, count(*) as episodes
    from progress p
    where p.user_id = $1 and p.completed and not p.deleted and p.release_id in (select release_id from listed)
    group by p.release_id
)
select l.release_id, l.collection, coalesce(s.value, 0) as score, coalesce(w.episodes, 0)::integer as watched,
       r.title, r.type, coalesce(r.episodes_total, 0) as episodes_total,
       (select x.external_id from external_ids x where x.release_id = l.release_id and x.source = 'mal'
        order by x.external_id limit 1) as external_id
from listed l
join releases r on r.id = l.release_id and r.visible
left join library_entries s on s.user_id = $1 and s.kind = 3 and s.release_id = l.release_id and not s.deleted
left join watched w on w.release_id = l.release_id
order by l.release_id;

-- name: comments
-- A page behind a comment, by age. Deleted ones are still kept.
select c.id as place, json_build_object(
    'id', c.id, 'release_id', c.release_id, 'title', r.title, 'episode_id', c.episode_id, 'parent_id', c.parent_id,
    'text', c.text, 'spoiler', c.spoiler, 'state', c.state, 'held_for', c.held_for, 'created_at', rfc3339(c.created_at),
    'edited_at', rfc3339(c.edited_at), 'deleted_at', rfc3339(c.deleted_at))::text as line
from comments c
left join releases r on r.id = c.release_id and r.visible
where c.user_id = $1
  and (c.created_at, c.id) > (coalesce((select b.created_at from comments b where b.id = $2), '-infinity'), $2)
order by c.created_at, c.id
limit $3;

-- name: reviews
-- A page behind a review, likewise.
select v.id as place, json_build_object(
    'id', v.id, 'release_id', v.release_id, 'title', r.title, 'rating', v.rating, 'text', v.text, 'spoiler', v.spoiler,
    'state', v.state, 'held_for', v.held_for, 'helpful_count', v.helpful, 'created_at', rfc3339(v.created_at),
    'edited_at', rfc3339(v.edited_at), 'deleted_at', rfc3339(v.deleted_at))::text as line
from reviews v
left join releases r on r.id = v.release_id and r.visible
where v.user_id = $1
  and (v.created_at, v.id) > (coalesce((select b.created_at from reviews b where b.id = $2), '-infinity'), $2)
order by v.created_at, v.id
limit $3;

-- name: helpful_votes
select h.review_id as place, json_build_object(
    'review_id', h.review_id, 'release_id', v.release_id, 'title', r.title, 'created_at', rfc3339(h.created_at))::text as line
from helpful_votes h
join reviews v on v.id = h.review_id
left join releases r on r.id = v.release_id and r.visible
where h.user_id = $1 and h.review_id > $2
order by h.review_id
limit $3;

-- name: reports
-- Reports have no number of their own: they stand by what they are about.
select p.place, json_build_object(
    'target_type', p.target_type, 'target_id', p.target_id, 'reason', p.reason, 'note', p.note,
    'created_at', rfc3339(p.created_at), 'closed_at', rfc3339(p.closed_at))::text as line
from (
    select 2 * t.target_id + (t.target_type = 'review')::integer as place, t.* from reports t where t.user_id = $1
) p
where p.place > $2
order by p.place
limit $3;

-- name: moderation_decisions
-- What was decided about what they said; by whom is not theirs to know.
select d.id as place, json_build_object(
    'target_type', d.target_type, 'target_id', d.target_id, 'release_id', d.release_id, 'state_before', d.state_before,
    'state_after', d.state_after, 'reason', d.reason, 'held_for', d.held_for, 'created_at', rfc3339(d.created_at))::text as line
from moderation_decisions d
where d.author_id = $1 and d.id > $2
order by d.id
limit $3;
