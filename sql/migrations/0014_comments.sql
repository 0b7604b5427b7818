-- Comments: what is written and shown of them, in functions, so that a write is one statement and one round trip.
--
-- Locks are taken in this order by everybody who writes here: the acting user's row, rows of `release_talk` by their ids,
-- comments, reports. Behind the lock of a release's row a statement sees all that other writers of that release did; and
-- as ids are given out behind it, too, a release's comments become visible in the order of their ids.

-- Locks what is counted of these releases, to the end of the transaction.
create function lock_talk(wanted bigint[]) returns void language plpgsql as $$
declare
    one bigint;
begin
    for one in select distinct named.id from unnest(wanted) as named (id) order by named.id loop
        perform 1 from release_talk t where t.release_id = one for no key update;
        if not found then
            insert into release_talk (release_id) values (one) on conflict do nothing;
            perform 1 from release_talk t where t.release_id = one for no key update;
        end if;
    end loop;
end $$;

-- How far a reader has come in a release: the greatest ordinal of what they have begun, infinity if the whole is in their
-- collection `completed`, -1 (below any ordinal) if nothing is known of them.
create function reached_episode(reader bigint, release bigint) returns numeric language plpgsql stable as $$
begin
    if reader is null then
        return -1;
    end if;
    if exists (
        select from library_entries l
        where l.user_id = reader and l.kind = 2 and l.release_id = release and l.value = 3 and not l.deleted
    ) then
        return 'infinity'::numeric;
    end if;
    return coalesce((
        select max(e.ordinal)
        from progress p join episodes e on e.id = p.episode_id
        where p.user_id = reader and p.release_id = release and not p.deleted and (p.completed or p.position_seconds > 0)
    ), -1);
end $$;

-- Why a reader does not get the text of a comment, if they do not: `deleted`, `moderated` or `spoiler`. `ordinal` is that
-- of its episode, `reached` the one the reader has come to; `unveiled`: the reader wants to read spoilers.
create function comment_hidden(
    c comments, ordinal numeric, reader bigint, moderates boolean, reached numeric, unveiled boolean
) returns text language sql immutable as $$
    select case
        when c.deleted_at is not null then 'deleted'
        when c.user_id = reader then null
        when c.state <> 'visible' and not moderates then 'moderated'
        when c.episode_id is not null and not unveiled and coalesce(ordinal > reached, true) then 'spoiler'
    end
$$;

-- A comment as JSON, with its text or, in its place, why that is hidden. `explained`: with what it is held for.
create function comment_json(
    c comments, username text, ordinal numeric, hidden text, explained boolean
) returns text language sql stable as $$
    select '{"id":' || c.id
        || ',"release_id":' || c.release_id
        || ',"parent_id":' || coalesce(c.parent_id::text, 'null')
        || ',"depth":' || c.depth
        || ',"author":' || case
            when username is null or hidden in ('deleted', 'moderated') then 'null'
            else '{"id":' || c.user_id || ',"username":' || to_json(username) || '}' end
        || ',"episode_id":' || coalesce(c.episode_id::text, 'null')
        || ',"episode":' || coalesce(trim_scale(ordinal)::text, 'null')
        || case when hidden is null then ',"text":' || to_json(c.text) else ',"hidden":"' || hidden || '"' end
        || ',"spoiler":' || c.spoiler
        || ',"state":"' || c.state || '"'
        || case when explained and c.state = 'pending' then ',"held_for":' || to_json(c.held_for) else '' end
        || ',"replies_count":' || c.replies
        || ',"created_at":"' || rfc3339(c.created_at)
        || '","edited_at":' || coalesce('"' || rfc3339(c.edited_at) || '"', 'null')
        || '}'
$$;

-- Says that a comment counts for its author, or does no longer (`change` 1 or -1); the `first` time it does, also to the
-- activity log and to whom it answers.
create function tell_of_comment(c comments, change integer, first boolean) returns void language plpgsql as $$
begin
    if c.user_id is null then
        return;
    end if;
    insert into outbox (topic, entity, user_id, payload)
    values ('community', 'user:' || c.user_id, c.user_id, jsonb_build_object(
        'delta', jsonb_build_object('comments', change),
        'activity', case when first then jsonb_build_array(jsonb_build_array(
            case when c.parent_id is null then 'commented' else 'replied' end, 'release', c.release_id,
            jsonb_build_object('comment_id', c.id))) else '[]'::jsonb end));
    if first and c.parent_id is not null then
        insert into outbox (topic, entity, payload)
        select 'reply', 'comment:' || c.id, jsonb_build_object(
            'comment_id', c.id, 'release_id', c.release_id, 'recipient_id', p.user_id, 'author_id', c.user_id)
        from comments p
        where p.id = c.parent_id and p.user_id <> c.user_id;
    end if;
end $$;

-- Brings everything that is counted into line with a comment whose state or deletion has changed, and publishes that. The
-- release's row of `release_talk` is locked by the caller. The work goes up the thread as far as gaps close or open.
create function settle_comment(comment_id bigint) returns void language plpgsql as $$
declare
    one comments;
    alive boolean;
    stands boolean;
    change integer;
    shift integer;
    above bigint;
begin
    select c.* into one from comments c where c.id = settle_comment.comment_id for no key update;
    if not found then
        return;
    end if;
    alive := one.state = 'visible' and one.deleted_at is null;
    stands := alive or one.replies > 0;
    change := alive::integer - one.counted::integer;
    shift := stands::integer - one.listed::integer;
    if change = 0 and shift = 0 then
        return;
    end if;
    update comments c set counted = alive, listed = stands, announced = c.announced or alive
    where c.id = settle_comment.comment_id;
    above := one.parent_id;
    while shift <> 0 and above is not null loop
        update comments c set replies = c.replies + shift, listed = c.counted or c.replies + shift > 0
        where c.id = above
        returning c.parent_id, c.listed::integer - (c.counted or c.replies - shift > 0)::integer into above, shift;
    end loop;
    insert into release_talk as t (release_id, comments, threads)
    values (one.release_id, change, shift)
    on conflict (release_id) do update
        set comments = t.comments + excluded.comments, threads = t.threads + excluded.threads;
    if change <> 0 then
        perform tell_of_comment(one, change, alive and not one.announced);
    end if;
end $$;

-- A new comment. The release is named by `release` or, where that is null, by `slug`. `outcome`: `posted`, or why not:
-- `unknown` (no such release), `gone` (no such account), `full` (the quota is used up, the next one is free at `frees_at`,
-- by the clock that says `at`), `parent` (unknown, elsewhere or not to be read), `deep`, `episode`. A quota of 0 is none.
create function post_comment(
    author bigint, release bigint, slug text, parent bigint, episode bigint, said text, is_spoiler boolean,
    has_link boolean, worded boolean, quota integer, span interval, deepest integer,
    out outcome text, out comment_id bigint, out release_id bigint, out state text, out document text,
    out used integer, out frees_at timestamptz, out at timestamptz
) language plpgsql as $$
declare
    username text;
    above comments;
    ordinal numeric;
    above_ordinal numeric;
    reasons text[];
    made comments;
begin
    used := 0;
    select r.id into release_id
    from releases r
    where r.visible and r.id = coalesce(post_comment.release, (
        select found.id
        from (
            select s.id from releases s where s.slug = post_comment.slug and s.deleted_at is null and s.visible
            union all
            select o.release_id from release_slugs o where o.slug = post_comment.slug
            limit 1
        ) found
    ));
    if release_id is null then
        outcome := 'unknown';
        return;
    end if;
    select u.username into username from users u where u.id = author for no key update;
    if not found then
        outcome := 'gone';
        return;
    end if;
    -- Behind the lock: of one user's comments a later one is younger.
    at := clock_timestamp();
    if quota > 0 then
        select count(*), min(recent.created_at) + span into used, frees_at
        from (
            select c.created_at from comments c
            where c.user_id = author and c.created_at > post_comment.at - span
            order by c.created_at desc
            limit quota
        ) recent;
        if used >= quota then
            outcome := 'full';
            return;
        end if;
        used := used + 1;
        frees_at := coalesce(frees_at, post_comment.at + span);
    end if;
    reasons := hold_reasons(author, release_id, said, has_link, worded, false);
    if parent is not null then
        perform 1 from release_talk t where t.release_id = post_comment.release_id for no key update;
        select c.* into above from comments c
        where c.id = parent and c.release_id = post_comment.release_id and c.counted;
        if not found or above.depth >= deepest then
            outcome := case when found then 'deep' else 'parent' end;
            return;
        end if;
    end if;
    if episode is not null then
        select e.ordinal into ordinal from episodes e
        where e.id = episode and e.release_id = post_comment.release_id and e.deleted_at is null;
        if not found then
            outcome := 'episode';
            return;
        end if;
    end if;
    if above.episode_id is not null then
        select e.ordinal into above_ordinal from episodes e where e.id = above.episode_id;
        -- An answer tells of what it answers: it is for whoever has come as far as that.
        if episode is null or above_ordinal > ordinal then
            episode := above.episode_id;
            ordinal := above_ordinal;
        end if;
    end if;
    if reasons = '{}' then
        update release_talk t set comments = t.comments + 1, threads = t.threads + (parent is null)::integer
        where t.release_id = post_comment.release_id;
        if not found then
            insert into release_talk as t (release_id, comments, threads) values (post_comment.release_id, 1, 1)
            on conflict on constraint release_talk_pkey do update
                set comments = t.comments + 1, threads = t.threads + 1;
        end if;
        if parent is not null then
            update comments c set replies = c.replies + 1 where c.id = parent;
        end if;
    end if;
    insert into comments as c (
        release_id, episode_id, parent_id, depth, user_id, text, spoiler, state, held_for, counted, listed, announced,
        created_at, queued_at)
    values (
        post_comment.release_id, episode, parent, coalesce(above.depth + 1, 0), author, said, is_spoiler,
        case when reasons = '{}' then 'visible' else 'pending' end, reasons, reasons = '{}', reasons = '{}', reasons = '{}',
        post_comment.at, case when reasons <> '{}' then post_comment.at end)
    returning c.* into made;
    if made.counted then
        perform tell_of_comment(made, 1, true);
    end if;
    outcome := 'posted';
    comment_id := made.id;
    state := made.state;
    document := comment_json(made, username, ordinal, null, true);
end $$;

-- Comments that arrive at a time, written together: one round trip, one commit and one flush of the log for all of them. As
-- many comments as the arrays are long, each as `post_comment` does it, one row of its outcome for each, in their order.
-- Nobody is waited for, so that nobody stands in a ring: where an author (or nobody of that id is there) or a release is
-- locked by others the outcome is `busy`, and the comment is to be written alone.
create function post_comments(
    authors bigint[], releases bigint[], parents bigint[], episodes bigint[], texts text[], spoilers boolean[],
    links boolean[], worded boolean[], quota integer, span interval, deepest integer
) returns table (
    outcome text, comment_id bigint, release_id bigint, state text, document text, used integer, frees_at timestamptz,
    at timestamptz
) language plpgsql as $$
declare
    free boolean;
    posted record;
begin
    for i in 1 .. cardinality(authors) loop
        perform 1 from users u where u.id = authors[i] for no key update skip locked;
        free := found;
        if free then
            perform 1 from release_talk t where t.release_id = releases[i] for no key update skip locked;
            free := found or not exists (select from release_talk t where t.release_id = releases[i]);
        end if;
        if not free then
            outcome := 'busy';
            return next;
            continue;
        end if;
        posted := post_comment(
            authors[i], releases[i], null, parents[i], episodes[i], texts[i], spoilers[i], links[i], worded[i], quota, span,
            deepest);
        outcome := posted.outcome;
        comment_id := posted.comment_id;
        release_id := posted.release_id;
        state := posted.state;
        document := posted.document;
        used := posted.used;
        frees_at := posted.frees_at;
        at := posted.at;
        return next;
    end loop;
end $$;

-- Other words or another flag (null: as it is). `outcome`: `edited`, or why not: `unknown`, `forbidden` (it is another's),
-- `hidden` (moderators have taken it away), `late` (its words stand longer than `edit_window`). The rules that hold new
-- texts look at new words, too. `published`: the outbox was told.
create function edit_comment(
    editor bigint, moderates boolean, wanted bigint, said text, is_spoiler boolean, has_link boolean, worded boolean,
    edit_window interval,
    out outcome text, out release_id bigint, out document text, out published boolean
) language plpgsql as $$
declare
    one comments;
    reasons text[] := '{}';
    moment timestamptz;
begin
    published := false;
    select c.release_id into release_id
    from comments c join releases r on r.id = c.release_id and r.visible
    where c.id = wanted;
    if not found then
        outcome := 'unknown';
        return;
    end if;
    if said is not null then
        -- What they have said elsewhere is looked at.
        perform 1 from users u where u.id = editor for no key update;
    end if;
    perform lock_talk(array[release_id]);
    select c.* into one from comments c where c.id = wanted for no key update;
    moment := clock_timestamp();
    outcome := case
        when one.deleted_at is not null then 'unknown'
        when one.user_id is distinct from editor
            then case when one.state = 'visible' or moderates then 'forbidden' else 'unknown' end
        when one.state = 'hidden' then 'hidden'
        when said <> one.text and moment > one.created_at + edit_window then 'late'
        else 'edited'
    end;
    if outcome <> 'edited' then
        return;
    end if;
    if said <> one.text then
        reasons := hold_reasons(editor, release_id, said, has_link, worded, false, wanted);
    end if;
    update comments c set
        text = coalesce(said, c.text),
        spoiler = coalesce(is_spoiler, c.spoiler),
        edited_at = case when said <> c.text then moment else c.edited_at end,
        state = case when reasons <> '{}' then 'pending' else c.state end,
        held_for = array(select distinct reason from unnest(c.held_for || reasons) as said_of_it (reason) order by reason),
        queued_at = case when reasons <> '{}' then coalesce(c.queued_at, moment) else c.queued_at end
    where c.id = wanted;
    if reasons <> '{}' and one.state = 'visible' then
        insert into moderation_decisions (
            target_type, target_id, release_id, author_id, state_before, state_after, held_for)
        values ('comment', wanted, release_id, editor, 'visible', 'pending', reasons);
        perform settle_comment(wanted);
        published := true;
    end if;
    select comment_json(c, u.username, e.ordinal, null, true) into document
    from comments c
    left join users u on u.id = c.user_id
    left join episodes e on e.id = c.episode_id
    where c.id = wanted;
end $$;

-- An author takes a comment back, wherever it stands; once more does no harm. `outcome`: `deleted`, `unknown`, `forbidden` (it is another's),
-- or `moderate`: it is another's, and whoever asks may decide about it.
create function delete_comment(
    eraser bigint, moderates boolean, wanted bigint,
    out outcome text, out release_id bigint, out published boolean
) language plpgsql as $$
declare
    one comments;
    readable boolean;
begin
    published := false;
    select c.release_id, coalesce(r.visible, false) into release_id, readable
    from comments c left join releases r on r.id = c.release_id
    where c.id = wanted;
    if not found then
        outcome := 'unknown';
        return;
    end if;
    perform lock_talk(array[release_id]);
    select c.* into one from comments c where c.id = wanted for no key update;
    outcome := case
        when one.user_id = eraser then 'deleted'
        when one.deleted_at is not null or not readable then 'unknown'
        when moderates then 'moderate'
        when one.state = 'visible' then 'forbidden'
        else 'unknown'
    end;
    if outcome <> 'deleted' or one.deleted_at is not null then
        return;
    end if;
    update comments c set deleted_at = clock_timestamp(), queued_at = null, reports = 0 where c.id = wanted;
    if one.reports > 0 then
        update reports r set closed_at = now()
        where r.target_type = 'comment' and r.target_id = wanted and r.closed_at is null;
    end if;
    perform settle_comment(wanted);
    published := one.counted;
end $$;
