-- Talking: comments, reviews, helpful votes, reports, decisions of moderators, word rules.

-- What is said under a release, counted. Whoever writes comments or reviews locks this row before any of theirs, releases
-- in the order of their ids: so counters are exact, and no two writers wait for each other in a ring.
create table release_talk (
    release_id bigint primary key,
    -- comments that can be read, replies included; those without a parent that stand in the list
    comments integer not null default 0,
    threads integer not null default 0,
    -- reviews that can be read, and the sum of their ratings
    reviews integer not null default 0,
    review_rating_sum bigint not null default 0
) with (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05);

-- Rows stay when a comment is deleted: threads keep their shape, and quotas count rows. An erased account leaves rows
-- without author and text.
create table comments (
    id bigint generated always as identity primary key,
    release_id bigint not null,
    episode_id bigint,
    -- always an older one of the same release; no row ever goes, so no foreign key has to watch over it
    parent_id bigint,
    depth smallint not null default 0,
    user_id bigint references users (id) on delete set null,
    text text not null constraint comments_text_bounded check (char_length(text) <= 10000),
    spoiler boolean not null default false,
    state text not null default 'visible' constraint comments_state_known check (state in ('visible', 'pending', 'hidden')),
    -- why it waits for a moderator: `links`, `flood`, `repeated`, `words`, `reports`
    held_for text[] not null default '{}',
    -- whether it is counted as readable, and whether it stands in its list (readable, or a gap above what is listed)
    counted boolean not null default false,
    listed boolean not null default false,
    -- replies that stand in its list
    replies integer not null default 0,
    -- open reports since a moderator decided last
    reports integer not null default 0,
    -- whether its author's answer has been told to whom it answers, and to the activity log
    announced boolean not null default false,
    created_at timestamptz not null,
    edited_at timestamptz,
    deleted_at timestamptz,
    -- when it came into the queue of moderators
    queued_at timestamptz
) with (fillfactor = 85);
create index comments_threads on comments (release_id, id) where listed and parent_id is null;
create index comments_of_episode on comments (episode_id, id) where listed and parent_id is null and episode_id is not null;
create index comments_replies on comments (parent_id, id) where listed and parent_id is not null;
create index comments_by_user on comments (user_id, created_at, id);
create index comments_queue on comments (queued_at, id) where queued_at is not null;
-- for what is rare in a long queue
create index comments_held on comments using gin (held_for) with (fastupdate = off) where queued_at is not null;

create table reviews (
    id bigint generated always as identity primary key,
    release_id bigint not null,
    user_id bigint references users (id) on delete set null,
    rating smallint not null constraint reviews_rating_fits check (rating between 1 and 10),
    text text not null constraint reviews_text_bounded check (char_length(text) <= 50000),
    spoiler boolean not null default false,
    state text not null default 'visible' constraint reviews_state_known check (state in ('visible', 'pending', 'hidden')),
    held_for text[] not null default '{}',
    -- whether it is counted as readable: then it stands in the list
    counted boolean not null default false,
    helpful integer not null default 0,
    reports integer not null default 0,
    announced boolean not null default false,
    created_at timestamptz not null,
    edited_at timestamptz,
    deleted_at timestamptz,
    queued_at timestamptz
) with (fillfactor = 85);
create unique index reviews_once on reviews (user_id, release_id) where deleted_at is null;
create index reviews_by_user on reviews (user_id, created_at, id);
create index reviews_newest_of on reviews (release_id, id) where counted;
create index reviews_helpful_of on reviews (release_id, helpful, id) where counted;
create index reviews_rating_of on reviews (release_id, rating, id) where counted;
create index reviews_queue on reviews (queued_at, id) where queued_at is not null;
create index reviews_held on reviews using gin (held_for) with (fastupdate = off) where queued_at is not null;

create table helpful_votes (
    review_id bigint not null references reviews (id) on delete cascade,
    user_id bigint not null references users (id) on delete cascade,
    created_at timestamptz not null default now(),
    primary key (review_id, user_id)
);
create index helpful_votes_by_user on helpful_votes (user_id, review_id);

-- Who reported what. Closed by the next decision of a moderator; nobody reports the same thing twice.
create table reports (
    target_type text not null constraint reports_target_known check (target_type in ('comment', 'review')),
    target_id bigint not null,
    user_id bigint not null references users (id) on delete cascade,
    reason text not null constraint reports_reason_known check (reason in ('spam', 'abuse', 'spoiler', 'other')),
    note text not null default '',
    created_at timestamptz not null default now(),
    closed_at timestamptz,
    primary key (target_type, target_id, user_id)
);
create index reports_by_user on reports (user_id, created_at);
create index reports_closed on reports (closed_at) where closed_at is not null;
create index reports_open on reports (created_at) where closed_at is null;

-- Every change of a state, by a moderator or by a rule (then nobody). `undoing`: part of taking everything of one user away.
create table moderation_decisions (
    id bigint generated always as identity primary key,
    target_type text not null constraint moderation_decisions_target_known check (target_type in ('comment', 'review')),
    target_id bigint not null,
    release_id bigint not null,
    author_id bigint,
    moderator_id bigint,
    state_before text not null,
    state_after text not null,
    reason text not null default '',
    -- what the rules or the reports said, at that moment
    held_for text[] not null default '{}',
    operation_id uuid,
    created_at timestamptz not null default now()
);
create index moderation_decisions_by_target on moderation_decisions (target_type, target_id, id);
create index moderation_decisions_by_author on moderation_decisions (author_id, id) where author_id is not null;
create index moderation_decisions_by_moderator on moderation_decisions (moderator_id, id) where moderator_id is not null;
create index moderation_decisions_by_age on moderation_decisions (created_at);

-- Words and phrases that hold a text for a moderator, or refuse it.
create table word_rules (
    id bigint generated always as identity primary key,
    pattern text not null constraint word_rules_pattern_bounded check (char_length(pattern) between 2 and 200),
    -- `word`: whole words only; `phrase`: anywhere
    kind text not null constraint word_rules_kind_known check (kind in ('word', 'phrase')),
    action text not null constraint word_rules_action_known check (action in ('hold', 'refuse')),
    note text not null default '',
    enabled boolean not null default true,
    created_by bigint references users (id) on delete set null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create unique index word_rules_once on word_rules (pattern, kind);

-- What people did that is not in `user_stats` yet, as of now with what they said.
create or replace view user_stats_waiting as
    select o.user_id, o.payload -> 'delta' as delta,
           -- Where a moderator decided, or something was deleted, its author has done nothing new.
           case when o.topic = 'library' or o.payload -> 'activity' <> '[]' then o.created_at end as created_at
    from outbox o
    left join outbox_consumers c on c.name = 'user_stats'
    where o.topic in ('library', 'community') and o.user_id is not null
      and (c.name is null or (o.xid, o.id) > (c.xid, c.id))
    union all
    select user_id, payload -> 'delta', case when topic = 'library' or payload -> 'activity' <> '[]' then created_at end
    from outbox_deliveries
    where consumer = 'user_stats' and topic in ('library', 'community') and user_id is not null;
