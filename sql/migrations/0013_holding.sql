-- What holds a text for a moderator, as far as that takes a look at what its author has said before.

-- What makes two texts the same to a reader: case, width, spacing, punctuation and what cannot be seen do not count. A
-- text of nothing else is compared as it is. Replacing sign by sign takes a tenth of the time of a regular expression.
create function likeness(said text) returns bigint language plpgsql immutable strict parallel safe as $$
declare
    bare text := lower(said);
    sign text;
begin
    if octet_length(said) > length(said) then
        foreach sign in array array[
            U&'\00ad', U&'\034f', U&'\061c', U&'\115f', U&'\1160', U&'\180e', U&'\200b', U&'\200c', U&'\200d', U&'\200e',
            U&'\200f', U&'\2060', U&'\2061', U&'\2062', U&'\2063', U&'\2064', U&'\2800', U&'\3164', U&'\fe0e', U&'\fe0f',
            U&'\feff', U&'\ffa0'
        ] loop
            bare := replace(bare, sign, '');
        end loop;
        -- Tags (U+E0000 to U+E007F), a language nobody sees: two beginnings of their bytes tell whether there are any.
        if position('\xf3a080'::bytea in convert_to(bare, 'UTF8')) > 0
            or position('\xf3a081'::bytea in convert_to(bare, 'UTF8')) > 0
        then
            bare := regexp_replace(bare, '[\U000e0000-\U000e007f]', '', 'g');
        end if;
        if bare is not nfkc normalized then
            bare := lower(normalize(bare, nfkc));
        end if;
        foreach sign in array array[U&'\3000', U&'\3001', U&'\3002'] loop
            bare := replace(bare, sign, '');
        end loop;
    end if;
    foreach sign in array array[' ', E'\n', E'\t', '.', ',', '!', '?', '-', '_', '*', '"', '''', ':', ';', '(', ')', '~']
    loop
        bare := replace(bare, sign, '');
    end loop;
    return hashtextextended(coalesce(nullif(bare, ''), said), 0);
end $$;
alter table comments add column likeness bigint not null generated always as (likeness(text)) stored;
alter table reviews add column likeness bigint not null generated always as (likeness(text)) stored;
create index comments_same on comments (user_id, likeness);
create index reviews_same on reviews (user_id, likeness);
-- What moderators have taken away, for those who say it again and for those who look at its author.
create index comments_hidden on comments (user_id, likeness) where state = 'hidden';
create index reviews_hidden on reviews (user_id, likeness) where state = 'hidden';

-- Why this text, about to be said or changed (then `own` is its id), is to wait for a moderator; empty if it is not.
-- To be called with the author's row locked. `has_link` and `worded` are what the rules of links and words found.
--   links     a link, by a new account: younger than three days and with fewer than five things said that can be read
--   flood     the fifth release within ten minutes, by an account younger than three days; the tenth text within a minute
--   repeated  the third time within a day that its author says the same; the first, where moderators have hidden that within
--             thirty days
--   words     a word rule says so
-- Deleted ones count: else saying it again would be a matter of deleting first. Moderators are never held.
create function hold_reasons(
    author bigint, of_release bigint, said text, has_link boolean, worded boolean, is_review boolean,
    own bigint default null
) returns text[] language plpgsql as $$
declare
    now_is timestamptz := clock_timestamp();
    young boolean;
    unknown boolean := false;
    this bigint := likeness(said);
    same bigint;
    refused boolean;
    lately bigint;
    places bigint := 0;
begin
    select u.created_at > now_is - interval '3 days' into young from users u where u.id = author and u.role = 'user';
    if young is null then
        return '{}';
    end if;
    if has_link and young then
        unknown := 5 > (
            select count(*) from (
                (select 1 from comments c where c.user_id = author and c.counted limit 5)
                union all
                (select 1 from reviews r where r.user_id = author and r.counted limit 5)
            ) readable
        );
    end if;
    -- Each looks no further than it takes to know.
    select
        (select count(*) from (
            select from comments c
            where c.user_id = author and c.likeness = this and c.created_at > now_is - interval '1 day'
              and (own is null or hold_reasons.is_review or c.id <> own)
            limit 2) x)
        + (select count(*) from (
            select from reviews r
            where r.user_id = author and r.likeness = this and r.created_at > now_is - interval '1 day'
              and (own is null or not hold_reasons.is_review or r.id <> own)
            limit 2) x),
        case when hold_reasons.is_review
            then (select count(*) from (
                select from reviews r where r.user_id = author and r.created_at > now_is - interval '1 minute'
                limit 9) x)
            else (select count(*) from (
                select from comments c where c.user_id = author and c.created_at > now_is - interval '1 minute'
                limit 9) x)
        end,
        exists (
            select from comments c
            where c.user_id = author and c.likeness = this and c.state = 'hidden'
              and c.created_at > now_is - interval '30 days')
        or exists (
            select from reviews r
            where r.user_id = author and r.likeness = this and r.state = 'hidden'
              and r.created_at > now_is - interval '30 days')
    into same, lately, refused;
    if young and own is null then
        select count(distinct t.release_id) into places
        from (
            (select c.release_id from comments c
             where c.user_id = author and c.created_at > now_is - interval '10 minutes'
             order by c.created_at desc, c.id desc limit 200)
            union all
            (select r.release_id from reviews r
             where r.user_id = author and r.created_at > now_is - interval '10 minutes'
             order by r.created_at desc, r.id desc limit 200)
        ) t
        where t.release_id <> of_release;
    end if;
    -- Nearly always.
    if not worded and not unknown and same < 2 and not refused and lately < 9 and places < 4 then
        return '{}';
    end if;
    return array_remove(array[
        case when unknown then 'links' end,
        -- A change says nothing more often.
        case when own is null and (lately >= 9 or young and places >= 4) then 'flood' end,
        case when same >= 2 or refused then 'repeated' end,
        case when worded then 'words' end
    ], null);
end $$;

-- What a rule holds when it is said is written down as what a moderator decides is: it was `new`. Of changes later on,
-- whoever makes them writes it down.
create function note_held() returns trigger language plpgsql as $$
begin
    insert into moderation_decisions (
        target_type, target_id, release_id, author_id, state_before, state_after, held_for, created_at)
    values (tg_argv[0], new.id, new.release_id, new.user_id, 'new', 'pending', new.held_for, new.created_at);
    return null;
end $$;
create trigger comments_held after insert on comments for each row when (new.state = 'pending')
    execute function note_held('comment');
create trigger reviews_held after insert on reviews for each row when (new.state = 'pending')
    execute function note_held('review');
