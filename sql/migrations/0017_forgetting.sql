-- What an erased account has said and thought of others, taken away a slice at a time, each in a transaction of its own and
-- with every counter right at its end. To be called until nothing is forgotten any more. Locks are taken as by everybody
-- who writes there.

-- Threads keep their shape: rows stay, without author and text. As `settle_comment` would do one by one, but for all of a
-- slice at once: what nobody answered falls out of its list, and so does a gap when the last answer below it has fallen.
create function forget_comments(
    author bigint, most integer, out forgotten integer, out releases bigint[]
) language plpgsql as $$
declare
    chosen bigint[];
    -- the releases of those that were counted, and of those that fell out of the list of threads; one entry for each
    uncounted bigint[];
    threads bigint[];
    -- what those that fell had answered
    above bigint[];
begin
    select count(*)::integer, array_agg(c.id), array_agg(distinct c.release_id)
    into forgotten, chosen, releases
    from (
        -- A range of one, as only their own index leads through that in order: by age alone, whoever said most of all would
        -- be searched for behind everything that has been forgotten already.
        select id, release_id from comments
        where user_id >= author and user_id <= author
        order by user_id, created_at, id
        limit most
    ) c;
    if forgotten = 0 then
        return;
    end if;
    perform lock_talk(releases);
    with before as materialized (
        select c.id, c.counted, c.listed from comments c where c.id = any (chosen) and c.user_id = author
        for no key update
    ), blanked as (
        update comments c set
            user_id = null, text = '', held_for = '{}', queued_at = null, reports = 0, counted = false,
            listed = c.replies > 0, deleted_at = coalesce(c.deleted_at, clock_timestamp())
        from before b
        where c.id = b.id
        returning c.release_id, c.parent_id, b.counted, b.listed and not c.listed as fell
    )
    select array_agg(release_id) filter (where counted),
        array_agg(release_id) filter (where fell and parent_id is null),
        array_agg(parent_id) filter (where fell and parent_id is not null)
    into uncounted, threads, above
    from blanked;
    while above is not null loop
        with fewer as (
            select parent_id as id, count(*) as answers from unnest(above) parent_id group by parent_id
        ), lowered as (
            update comments c set replies = c.replies - f.answers, listed = c.counted or c.replies > f.answers
            from fewer f
            where c.id = f.id
            returning c.release_id, c.parent_id, c.listed
        )
        select threads || array_agg(release_id) filter (where not listed and parent_id is null),
            array_agg(parent_id) filter (where not listed and parent_id is not null)
        into threads, above
        from lowered;
    end loop;
    update release_talk t set comments = t.comments - l.comments, threads = t.threads - l.threads
    from (
        select release_id, sum(c) as comments, sum(n) as threads
        from (
            select release_id, 1 as c, 0 as n from unnest(uncounted) release_id
            union all
            select release_id, 0, 1 from unnest(threads) release_id
        ) one
        group by release_id
    ) l
    where t.release_id = l.release_id;
    update reports r set closed_at = clock_timestamp()
    where r.target_type = 'comment' and r.target_id = any (chosen) and r.closed_at is null;
    -- Whoever is cut short here leaves an account whose statistics are right.
    if uncounted is not null then
        insert into outbox (topic, entity, user_id, payload)
        values ('community', 'user:' || author, author, jsonb_build_object(
            'delta', jsonb_build_object('comments', -cardinality(uncounted)), 'activity', '[]'::jsonb));
    end if;
end $$;

create function forget_reviews(
    author bigint, most integer, out forgotten integer, out releases bigint[]
) language plpgsql as $$
declare
    chosen bigint[];
    lost integer;
    one bigint;
begin
    select count(*)::integer, array_agg(r.id), array_agg(distinct r.release_id)
    into forgotten, chosen, releases
    from (
        select id, release_id from reviews
        where user_id >= author and user_id <= author
        order by user_id, created_at, id
        limit most
    ) r;
    if forgotten = 0 then
        return;
    end if;
    perform lock_talk(releases);
    with touched as (
        update reviews r set
            user_id = null, text = '', held_for = '{}', queued_at = null, reports = 0,
            deleted_at = coalesce(r.deleted_at, clock_timestamp())
        where r.id = any (chosen) and r.user_id = author
        returning r.counted
    )
    select count(*) filter (where counted) into lost from touched;
    update reports r set closed_at = clock_timestamp()
    where r.target_type = 'review' and r.target_id = any (chosen) and r.closed_at is null;
    for one in select id from unnest(chosen) id order by id loop
        perform settle_review(one);
    end loop;
    -- Whoever is cut short here leaves an account whose statistics are right.
    if lost > 0 then
        insert into outbox (topic, entity, user_id, payload)
        values ('community', 'user:' || author, author,
                jsonb_build_object('delta', jsonb_build_object('reviews', -lost), 'activity', '[]'::jsonb));
    end if;
end $$;

create function forget_votes(voter bigint, most integer, out forgotten integer) language plpgsql as $$
declare
    chosen bigint[];
    releases bigint[];
begin
    select count(*)::integer, array_agg(v.review_id), array_agg(distinct r.release_id) into forgotten, chosen, releases
    from (select review_id from helpful_votes where user_id = voter order by review_id limit most) v
    join reviews r on r.id = v.review_id;
    if forgotten = 0 then
        return;
    end if;
    perform lock_talk(releases);
    perform from reviews r where r.id = any (chosen) order by r.id for no key update;
    with gone as (
        delete from helpful_votes h where h.user_id = voter and h.review_id = any (chosen) returning h.review_id
    )
    update reviews r set helpful = r.helpful - 1 from gone where r.id = gone.review_id;
end $$;

-- What is counted of reports are the open ones.
create function forget_reports(reporter bigint, most integer, out forgotten integer) language plpgsql as $$
declare
    commented bigint[];
    reviewed bigint[];
    releases bigint[];
begin
    select count(*)::integer, array_agg(t.target_id) filter (where t.target_type = 'comment'),
        array_agg(t.target_id) filter (where t.target_type = 'review')
    into forgotten, commented, reviewed
    from (
        select target_type, target_id from reports where user_id = reporter order by created_at limit most
    ) t;
    if forgotten = 0 then
        return;
    end if;
    select array_agg(distinct t.release_id) into releases
    from (
        select c.release_id from comments c where c.id = any (commented)
        union all
        select r.release_id from reviews r where r.id = any (reviewed)
    ) t;
    perform lock_talk(coalesce(releases, '{}'));
    with gone as (
        delete from reports r
        where r.user_id = reporter
          and (r.target_type = 'comment' and r.target_id = any (commented)
               or r.target_type = 'review' and r.target_id = any (reviewed))
        returning r.target_type, r.target_id, r.closed_at
    ), lowered as (
        update comments c set reports = greatest(0, c.reports - 1) from gone
        where gone.target_type = 'comment' and gone.closed_at is null and c.id = gone.target_id
    )
    update reviews r set reports = greatest(0, r.reports - 1) from gone
    where gone.target_type = 'review' and gone.closed_at is null and r.id = gone.target_id;
end $$;

-- Decisions stay written down, as nobody's about nobody.
create function forget_decisions(person bigint, most integer, out forgotten integer) language plpgsql as $$
declare
    more integer;
begin
    update moderation_decisions d set author_id = null where d.id in (
        select id from moderation_decisions where author_id = person order by id limit most
    );
    get diagnostics forgotten = row_count;
    update moderation_decisions d set moderator_id = null where d.id in (
        select id from moderation_decisions where moderator_id = person order by id limit most
    );
    get diagnostics more = row_count;
    forgotten := forgotten + more;
end $$;
