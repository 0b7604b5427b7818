-- Moderation: decisions, reports, taking everything of one user away. Locks in the order of all writers of the community:
-- the user, `release_talk` by id, what was said, votes and reports, the outbox.

create index moderation_decisions_by_type on moderation_decisions (target_type, id);

-- The tag of whatever is cached of what is said about its release.
create function talk_tag(kind text, target bigint) returns text language sql stable as $$
    select case kind
        when 'comment' then (select 'comments:' || c.release_id from comments c where c.id = target)
        else (select 'reviews:' || r.release_id from reviews r where r.id = target)
    end
$$;

-- One decision about one thing, with the `release_talk` row of its release locked: by a moderator, or by a rule (then
-- `decider` is null). What ends the waiting closes the reports. Says what became of it: unknown, unchanged or changed.
create function decide(
    kind text, target bigint, decider bigint, next_state text, why text, reasons text[], operation uuid, tell boolean
) returns text language plpgsql as $$
declare
    was record;
    ends boolean := next_state <> 'pending';
begin
    if kind = 'comment' then
        select c.release_id, c.user_id, c.state, c.held_for, c.reports, c.queued_at into was
        from comments c where c.id = target and c.deleted_at is null for no key update;
    else
        select r.release_id, r.user_id, r.state, r.held_for, r.reports, r.queued_at into was
        from reviews r where r.id = target and r.deleted_at is null for no key update;
    end if;
    if not found then
        return 'unknown';
    elsif was.state = next_state and (not ends or was.reports = 0 and was.queued_at is null) then
        return 'unchanged';
    end if;
    if kind = 'comment' then
        update comments c set
            state = next_state, held_for = coalesce(reasons, '{}'), reports = case when ends then 0 else c.reports end,
            queued_at = case when not ends then clock_timestamp() end
        where c.id = target;
    else
        update reviews r set
            state = next_state, held_for = coalesce(reasons, '{}'), reports = case when ends then 0 else r.reports end,
            queued_at = case when not ends then clock_timestamp() end
        where r.id = target;
    end if;
    if was.state <> next_state then
        if kind = 'comment' then
            perform settle_comment(target);
        else
            perform settle_review(target);
        end if;
    end if;
    if ends and was.reports > 0 then
        update reports o set closed_at = clock_timestamp()
        where o.target_type = kind and o.target_id = target and o.closed_at is null;
    end if;
    insert into moderation_decisions (
        target_type, target_id, release_id, author_id, moderator_id, state_before, state_after, reason, held_for,
        operation_id, created_at
    )
    values (kind, target, was.release_id, was.user_id, decider, was.state, next_state, why,
            case when ends then was.held_for else coalesce(reasons, '{}') end, operation, clock_timestamp());
    if tell and ends and was.state <> next_state and was.user_id <> decider then
        insert into outbox (topic, entity, payload)
        values ('moderation', kind || ':' || target, jsonb_build_object(
            'target_type', kind, 'target_id', target, 'release_id', was.release_id, 'recipient_id', was.user_id,
            'decision', case next_state when 'visible' then 'approved' else 'rejected' end, 'reason', nullif(why, '')));
    end if;
    return 'changed';
end $$;

-- Locks what stands between these things and everybody else who says something under their releases.
create function lock_talk_of(comment_ids bigint[], review_ids bigint[]) returns void language plpgsql as $$
begin
    perform lock_talk(array(
        select c.release_id from comments c where c.id = any (comment_ids)
        union
        select r.release_id from reviews r where r.id = any (review_ids)
    ));
end $$;

-- Decisions of a moderator, in one transaction: each for itself, so that one that cannot be does not hold up the others.
-- Of several about one thing the first counts. Only administrators (`any_author`) decide about what is their own.
create function moderate(
    decider bigint, any_author boolean, kinds text[], ids bigint[], states text[], whys text[]
) returns table (place integer, outcome text, tags text[]) language plpgsql as $$
declare
    one record;
begin
    perform lock_talk_of(
        array(select w.id from unnest(kinds, ids) w (kind, id) where w.kind = 'comment'),
        array(select w.id from unnest(kinds, ids) w (kind, id) where w.kind = 'review')
    );
    for one in
        select w.place::integer as place, w.kind, w.id, w.state, w.why,
            row_number() over (partition by w.kind, w.id order by w.place) > 1 as again
        from unnest(kinds, ids, states, whys) with ordinality w (kind, id, state, why, place)
        order by w.place
    loop
        place := one.place;
        tags := '{}';
        if one.again then
            outcome := 'again';
        elsif not any_author and decider = (case one.kind
            when 'comment' then (select c.user_id from comments c where c.id = one.id)
            else (select r.user_id from reviews r where r.id = one.id)
        end) then
            outcome := 'own';
        else
            outcome := decide(one.kind, one.id, decider, one.state, one.why, null, null, true);
        end if;
        if outcome = 'changed' then
            tags := array[talk_tag(one.kind, one.id)];
        end if;
        return next;
    end loop;
end $$;

-- A report. Three by accounts that were a day old when they reported, or one by a moderator, make what is reported wait
-- for a decision; what moderators say themselves comes into their queue and stays to be read. Who has reported it before
-- may do so again if it has been changed since that was decided.
create function report(
    kind text, target bigint, reporter bigint, why text, remark text,
    out outcome text, out made timestamptz, out tags text[]
) language plpgsql as $$
declare
    was record;
    weight bigint;
    staff boolean;
begin
    tags := '{}';
    -- First of all: the report refers to its user, whose account may be about to go.
    perform from users u where u.id = reporter for key share;
    if not found then
        outcome := 'gone';
        return;
    end if;
    if kind = 'comment' then
        perform lock_talk_of(array[target], '{}');
        select c.user_id, c.state, c.edited_at, c.release_id, c.queued_at into was
        from comments c where c.id = target and c.deleted_at is null for no key update;
    else
        perform lock_talk_of('{}', array[target]);
        select r.user_id, r.state, r.edited_at, r.release_id, r.queued_at into was
        from reviews r where r.id = target and r.deleted_at is null for no key update;
    end if;
    outcome := case
        when was.release_id is null or not exists (select from releases l where l.id = was.release_id and l.visible) then 'unknown'
        when was.user_id = reporter then 'own'
        when was.state <> 'visible' then 'unknown'
    end;
    if outcome is not null then
        return;
    end if;
    insert into reports as o (target_type, target_id, user_id, reason, note, created_at)
    values (kind, target, reporter, why, remark, clock_timestamp())
    on conflict (target_type, target_id, user_id) do update
        set reason = excluded.reason, note = excluded.note, created_at = excluded.created_at, closed_at = null
        where o.closed_at < was.edited_at
    returning o.created_at into made;
    if made is null then
        outcome := 'again';
        return;
    end if;
    outcome := 'made';
    if kind = 'comment' then
        update comments c set reports = c.reports + 1 where c.id = target;
    else
        update reviews r set reports = r.reports + 1 where r.id = target;
    end if;
    select sum(case when u.role <> 'user' then 3 when o.created_at >= u.created_at + interval '1 day' then 1 else 0 end)
    into weight
    from reports o join users u on u.id = o.user_id
    where o.target_type = kind and o.target_id = target and o.closed_at is null;
    if weight < 3 then
        return;
    end if;
    staff := coalesce((select u.role <> 'user' from users u where u.id = was.user_id), false);
    if not staff then
        perform decide(kind, target, null, 'pending', '', '{reports}', null, false);
        tags := array[talk_tag(kind, target)];
    elsif was.queued_at is null and kind = 'comment' then
        update comments c set queued_at = clock_timestamp(), held_for = '{reports}' where c.id = target;
    elsif was.queued_at is null then
        update reviews r set queued_at = clock_timestamp(), held_for = '{reports}' where r.id = target;
    end if;
end $$;

-- A slice of what somebody has said, behind the place where the slice before ended: hidden by a moderator. The account is
-- locked, so that what it is just saying is waited for; only the first thing of all is told, or they would be told
-- hundreds of times. `last_id` is null where nothing is left.
create function undo_said(
    kind text, culprit bigint, decider bigint, operation uuid, why text, after_at timestamptz, after_id bigint, most integer,
    out touched integer, out last_at timestamptz, out last_id bigint, out tags text[]
) language plpgsql as $$
declare
    ids bigint[];
    one bigint;
begin
    perform from users u where u.id = culprit for no key update;
    if kind = 'comment' then
        select array_agg(t.id order by t.created_at, t.id) into ids from (
            select c.id, c.created_at from comments c
            where c.user_id = culprit and (c.created_at, c.id) > (after_at, after_id)
              and c.state <> 'hidden' and c.deleted_at is null
            order by c.created_at, c.id limit most
        ) t;
        select c.created_at, c.id into last_at, last_id from comments c where c.id = ids[cardinality(ids)];
        perform lock_talk_of(ids, '{}');
    else
        select array_agg(t.id order by t.created_at, t.id) into ids from (
            select r.id, r.created_at from reviews r
            where r.user_id = culprit and (r.created_at, r.id) > (after_at, after_id)
              and r.state <> 'hidden' and r.deleted_at is null
            order by r.created_at, r.id limit most
        ) t;
        select r.created_at, r.id into last_at, last_id from reviews r where r.id = ids[cardinality(ids)];
        perform lock_talk_of('{}', ids);
    end if;
    touched := 0;
    tags := '{}';
    foreach one in array coalesce(ids, '{}') loop
        if decide(kind, one, decider, 'hidden', why, null, operation, after_id = 0 and touched = 0) = 'changed' then
            touched := touched + 1;
            tags := tags || talk_tag(kind, one);
        end if;
    end loop;
    tags := array(select distinct tag from unnest(tags) tag);
end $$;

-- A slice of somebody's helpful votes: withdrawn.
create function undo_votes(culprit bigint, most integer, out touched integer, out tags text[]) language plpgsql as $$
declare
    ids bigint[];
begin
    perform from users u where u.id = culprit for no key update;
    ids := array(select v.review_id from helpful_votes v where v.user_id = culprit order by v.review_id limit most);
    perform lock_talk_of('{}', ids);
    perform from reviews r where r.id = any (ids) order by r.id for no key update;
    with gone as (
        delete from helpful_votes v where v.user_id = culprit and v.review_id = any (ids) returning v.review_id
    ), counted as (
        update reviews r set helpful = r.helpful - 1 from gone where r.id = gone.review_id returning r.release_id
    )
    select count(*), coalesce(array_agg(distinct 'reviews:' || c.release_id), '{}') into touched, tags from counted c;
end $$;

-- A slice of somebody's open reports: closed, and counted no more. What they have made wait goes on waiting for a moderator.
create function undo_reports(culprit bigint, most integer, out touched integer) language plpgsql as $$
declare
    comment_ids bigint[];
    review_ids bigint[];
begin
    perform from users u where u.id = culprit for no key update;
    select coalesce(array_agg(o.target_id) filter (where o.target_type = 'comment'), '{}'),
        coalesce(array_agg(o.target_id) filter (where o.target_type = 'review'), '{}')
    into comment_ids, review_ids
    from (
        select r.target_type, r.target_id from reports r
        where r.user_id = culprit and r.closed_at is null
        order by r.created_at limit most
    ) o;
    perform lock_talk_of(comment_ids, review_ids);
    with gone as (
        update reports o set closed_at = clock_timestamp()
        where o.user_id = culprit and o.closed_at is null
          and (o.target_type = 'comment' and o.target_id = any (comment_ids)
               or o.target_type = 'review' and o.target_id = any (review_ids))
        returning o.target_type, o.target_id
    ), of_comments as (
        update comments c set reports = greatest(0, c.reports - 1) from gone
        where gone.target_type = 'comment' and c.id = gone.target_id
    ), of_reviews as (
        update reviews r set reports = greatest(0, r.reports - 1) from gone
        where gone.target_type = 'review' and r.id = gone.target_id
    )
    select count(*) into touched from gone;
end $$;
