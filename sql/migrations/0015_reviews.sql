-- Reviews and helpful votes: each write is one function, and so one round trip and one transaction.

-- A review as readers get it; to a `viewer` it says what they have to do with it, too.
create function review_json(v reviews, username text, viewer bigint, voted boolean) returns text language sql stable as $$
    select '{"id":' || v.id
        || ',"release_id":' || v.release_id
        || ',"author":' || case
            when v.user_id is null then 'null' else '{"id":' || v.user_id || ',"username":' || to_json(username) || '}' end
        || ',"rating":' || v.rating
        || ',"text":' || to_json(v.text)
        || ',"spoiler":' || v.spoiler
        || ',"state":"' || v.state || '"'
        || ',"helpful_count":' || v.helpful
        || ',"created_at":"' || rfc3339(v.created_at)
        || '","edited_at":' || coalesce('"' || rfc3339(v.edited_at) || '"', 'null')
        || case when viewer is null then '' else
            case when v.state = 'pending' then ',"held_for":' || to_json(v.held_for) else '' end
            || ',"is_mine":' || coalesce(v.user_id = viewer, false)
            || ',"is_helpful":' || voted end
        || '}'
$$;

-- Brings what is counted up to date with one review, whose release is locked in `release_talk`, after its state or its
-- deletion changed; tells of it when it can be read for the first time.
create function settle_review(settled bigint) returns void language plpgsql as $$
declare
    v reviews;
    alive boolean;
    change integer;
begin
    select * into v from reviews r where r.id = settled for no key update;
    alive := v.state = 'visible' and v.deleted_at is null;
    if v.id is null or alive = v.counted then
        return;
    end if;
    change := case when alive then 1 else -1 end;
    insert into release_talk as t (release_id, reviews, review_rating_sum)
    values (v.release_id, change, change * v.rating)
    on conflict (release_id) do update set
        reviews = t.reviews + excluded.reviews, review_rating_sum = t.review_rating_sum + excluded.review_rating_sum;
    update reviews r set counted = alive, announced = r.announced or alive where r.id = settled;
    if v.user_id is not null then
        insert into outbox (topic, entity, user_id, payload)
        values ('community', 'user:' || v.user_id, v.user_id, jsonb_build_object(
            'delta', jsonb_build_object('reviews', change),
            'activity', case when alive and not v.announced then jsonb_build_array(
                jsonb_build_array('reviewed', 'release', v.release_id, jsonb_build_object('review_id', v.id)))
                else '[]' end));
    end if;
end $$;

-- `quota` reviews may be written within `span`, deleted ones included; 0: as many as they like.
-- Outcomes: made, gone (the author), unknown (the release), known (there is one already), full.
create function post_review(
    author bigint, about bigint, rate integer, said text, spoils boolean, has_link boolean, worded boolean,
    quota integer, span interval,
    out outcome text, out review_id bigint, out review text, out used integer, out frees_at timestamptz,
    out moment timestamptz
) language plpgsql as $$
declare
    who text;
    held text[];
    made reviews;
begin
    select u.username into who from users u where u.id = author for no key update;
    moment := clock_timestamp();
    if who is null then
        outcome := 'gone';
    elsif not exists (select from releases r where r.id = about and r.visible) then
        outcome := 'unknown';
    elsif exists (select from reviews r where r.user_id = author and r.release_id = about and r.deleted_at is null) then
        outcome := 'known';
    end if;
    if outcome is not null then
        return;
    end if;
    select count(*)::integer, min(n.created_at) + span into used, frees_at
    from (
        select r.created_at from reviews r
        where r.user_id = author and r.created_at > moment - span
        order by r.created_at desc, r.id desc
        limit quota
    ) n;
    if quota > 0 and used >= quota then
        outcome := 'full';
        return;
    end if;
    held := hold_reasons(author, about, said, has_link, worded, true);
    if cardinality(held) = 0 then
        insert into release_talk as t (release_id, reviews, review_rating_sum) values (about, 1, rate)
        on conflict (release_id) do update set
            reviews = t.reviews + 1, review_rating_sum = t.review_rating_sum + excluded.review_rating_sum;
    else
        perform lock_talk(array[about]);
    end if;
    insert into reviews as r (
        release_id, user_id, rating, text, spoiler, state, held_for, counted, announced, created_at, queued_at)
    values (
        about, author, rate, said, spoils, case when cardinality(held) = 0 then 'visible' else 'pending' end, held,
        cardinality(held) = 0, cardinality(held) = 0, moment, case when cardinality(held) > 0 then moment end)
    returning r.* into made;
    if made.counted then
        insert into outbox (topic, entity, user_id, payload)
        values ('community', 'user:' || author, author, jsonb_build_object(
            'delta', jsonb_build_object('reviews', 1),
            'activity', jsonb_build_array(
                jsonb_build_array('reviewed', 'release', about, jsonb_build_object('review_id', made.id)))));
    end if;
    outcome := 'made';
    review_id := made.id;
    review := review_json(made, who, author, false);
    used := used + 1;
    frees_at := coalesce(frees_at, moment + span);
end $$;

-- Null: as it is. The rules look at a new text again; what waits goes on waiting, whatever becomes of it.
-- Outcomes: done, unknown, foreign (as far as whoever asks may see it), hidden (by a moderator, whose decision stands).
create function edit_review(
    author bigint, moderates boolean, edited bigint, rate integer, said text, spoils boolean, has_link boolean,
    worded boolean, out outcome text, out about bigint, out review text, out published boolean
) language plpgsql as $$
declare
    who text;
    held text[] := '{}';
    v reviews;
begin
    published := false;
    -- The rules want the author to do one thing at a time.
    select u.username into who from users u where u.id = author for no key update;
    select r.release_id into about
    from reviews r join releases l on l.id = r.release_id and l.visible
    where r.id = edited;
    if about is null then
        outcome := 'unknown';
        return;
    end if;
    perform lock_talk(array[about]);
    select * into v from reviews r where r.id = edited for no key update;
    outcome := case
        when v.deleted_at is not null then 'unknown'
        when v.user_id is distinct from author
            then case when v.counted or moderates then 'foreign' else 'unknown' end
        when v.state = 'hidden' then 'hidden'
        else 'done'
    end;
    if outcome <> 'done' then
        return;
    end if;
    if said <> v.text then
        held := hold_reasons(author, about, said, has_link, worded, true, edited);
    end if;
    if v.counted and rate <> v.rating then
        update release_talk t set review_rating_sum = t.review_rating_sum + rate - v.rating where t.release_id = about;
    end if;
    update reviews r set
        rating = coalesce(rate, r.rating), text = coalesce(said, r.text), spoiler = coalesce(spoils, r.spoiler),
        edited_at = case when rate <> r.rating or said <> r.text or spoils <> r.spoiler then clock_timestamp()
                         else r.edited_at end,
        state = case when cardinality(held) > 0 then 'pending' else r.state end,
        held_for = array(select distinct reason from unnest(r.held_for || held) reason order by reason),
        queued_at = case when cardinality(held) > 0 then coalesce(r.queued_at, clock_timestamp()) else r.queued_at end
    where r.id = edited;
    if v.state = 'visible' and cardinality(held) > 0 then
        insert into moderation_decisions (target_type, target_id, release_id, author_id, state_before, state_after, held_for)
        values ('review', edited, about, author, 'visible', 'pending', held);
        perform settle_review(edited);
        published := true;
    end if;
    select review_json(r, who, author, false) into review from reviews r where r.id = edited;
end $$;

-- An author takes a review back, wherever it stands. Outcomes: done, already (deleted before), unknown, foreign, or
-- moderate: it is another's, and whoever asks may decide about it.
create function delete_review(
    author bigint, moderates boolean, deleted bigint, out outcome text, out about bigint
) language plpgsql as $$
declare
    v reviews;
    readable boolean;
begin
    select r.release_id, coalesce(l.visible, false) into about, readable
    from reviews r left join releases l on l.id = r.release_id
    where r.id = deleted;
    if about is null then
        outcome := 'unknown';
        return;
    end if;
    perform lock_talk(array[about]);
    select * into v from reviews r where r.id = deleted for no key update;
    outcome := case
        when v.user_id = author then case when v.deleted_at is null then 'done' else 'already' end
        when v.deleted_at is not null or not readable then 'unknown'
        when moderates then 'moderate'
        when v.counted then 'foreign'
        else 'unknown'
    end;
    if outcome = 'done' then
        update reviews r set deleted_at = clock_timestamp(), queued_at = null, reports = 0 where r.id = deleted;
        -- Nobody has to decide about it any more.
        update reports r set closed_at = clock_timestamp()
        where r.target_type = 'review' and r.target_id = deleted and r.closed_at is null;
        perform settle_review(deleted);
    end if;
end $$;

-- Outcomes: done (`about` is the release), already, gone (the voter), unknown, own.
create function vote_review(voter bigint, liked bigint, out outcome text, out about bigint) language plpgsql as $$
declare
    author bigint;
begin
    -- First of all: the vote refers to its user, whose account may be about to go.
    perform from users u where u.id = voter for key share;
    if not found then
        outcome := 'gone';
        return;
    end if;
    select r.user_id into author from reviews r
    where r.id = liked and r.counted and exists (select from releases l where l.id = r.release_id and l.visible)
    for no key update of r;
    if not found then
        outcome := 'unknown';
        return;
    elsif author = voter then
        outcome := 'own';
        return;
    end if;
    insert into helpful_votes (review_id, user_id) values (liked, voter) on conflict do nothing;
    if not found then
        outcome := 'already';
        return;
    end if;
    update reviews r set helpful = r.helpful + 1 where r.id = liked returning r.release_id into about;
    outcome := 'done';
end $$;

-- A vote may be taken back from what cannot be read any more. Outcomes: done (`about` is the release), already, unknown,
-- own.
create function unvote_review(voter bigint, liked bigint, out outcome text, out about bigint) language plpgsql as $$
declare
    author bigint;
    readable boolean;
begin
    select r.user_id, r.counted and exists (select from releases l where l.id = r.release_id and l.visible)
    into author, readable
    from reviews r where r.id = liked
    for no key update of r;
    if author = voter then
        outcome := case when readable then 'own' else 'unknown' end;
        return;
    end if;
    delete from helpful_votes h where h.review_id = liked and h.user_id = voter;
    if not found then
        outcome := case when readable then 'already' else 'unknown' end;
        return;
    end if;
    update reviews r set helpful = r.helpful - 1 where r.id = liked returning r.release_id into about;
    outcome := 'done';
end $$;
