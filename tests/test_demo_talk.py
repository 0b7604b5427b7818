"""What the demo's users say: the same for the same seed, counted exactly, in many scripts, and nothing twice."""

from __future__ import annotations

import unicodedata
from datetime import timedelta

from server.commands.repair import repair
from server.rules.plain_text import plain
from tests.test_demo import NOW, load, other  # noqa: F401 - a fixture

# What was said, under names that do not depend on which id a row got.
SAID = """
    select x.external_id, u.username_key, p.text as answered, c.depth, c.text, c.spoiler, c.state, c.held_for,
           c.counted, c.listed, c.replies, c.reports, c.announced, c.created_at, c.edited_at, c.deleted_at, c.queued_at,
           e.ordinal
    from comments c
    join users u on u.id = c.user_id
    join external_ids x on x.release_id = c.release_id and x.source = 'demo'
    left join comments p on p.id = c.parent_id
    left join episodes e on e.id = c.episode_id
    order by c.id"""
REVIEWED = """
    select x.external_id, u.username_key, r.rating, r.text, r.spoiler, r.state, r.counted, r.helpful, r.created_at,
           (select array_agg(v.username_key order by v.username_key)
            from helpful_votes h join users v on v.id = h.user_id where h.review_id = r.id) as voters
    from reviews r
    join users u on u.id = r.user_id
    join external_ids x on x.release_id = r.release_id and x.source = 'demo'
    order by r.id"""
MISCOUNTED = """
    with recursive gaps as (
        select c.id, c.release_id, c.parent_id, c.state = 'visible' and c.deleted_at is null as alive from comments c
    ), standing as (
        select id, release_id, parent_id from gaps where alive
        union
        select g.id, g.release_id, g.parent_id from standing s join gaps g on g.id = s.parent_id
    ), replies as (
        select parent_id as id, count(*) as many from standing where parent_id is not null group by 1
    ), talk as (
        select c.release_id, count(*) filter (where c.counted) as comments,
               count(*) filter (where c.listed and c.parent_id is null) as threads
        from comments c group by 1
    ), said as (
        select r.release_id, count(*) as reviews, sum(r.rating) as rating_sum from reviews r where r.counted group by 1
    )
    select 'comment', c.id from comments c join gaps g using (id) left join replies r using (id)
    where (c.counted, c.listed, c.replies)
          <> (g.alive, g.alive or coalesce(r.many, 0) > 0, coalesce(r.many, 0))
       or c.reports <> (select count(*) from reports o
                        where o.target_type = 'comment' and o.target_id = c.id and o.closed_at is null)
    union all
    select 'review', r.id from reviews r
    where r.counted <> (r.state = 'visible' and r.deleted_at is null)
       or r.helpful <> (select count(*) from helpful_votes v where v.review_id = r.id)
    union all
    select 'release', release_id from release_talk k left join talk using (release_id) left join said using (release_id)
    where (k.comments, k.threads, k.reviews, k.review_rating_sum) is distinct from
          (coalesce(talk.comments, 0), coalesce(talk.threads, 0), coalesce(said.reviews, 0),
           coalesce(said.rating_sum, 0))
    union all
    select 'user', s.user_id from user_stats s
    where s.comments <> (select count(*) from comments c where c.user_id = s.user_id and c.counted)
       or s.reviews <> (select count(*) from reviews r where r.user_id = s.user_id and r.counted)"""


async def test_the_users_say_the_same_for_the_same_seed_and_nothing_more_the_second_time(
    conn,
    other,  # noqa: F811
) -> None:
    await other.fetch("select nextval('comments_id_seq'), nextval('reviews_id_seq'), nextval('users_id_seq')")
    for one in (conn, other):
        await load(one, views=0)
    for query in (SAID, REVIEWED):
        first, second = [await one.fetch(query) for one in (conn, other)]
        assert len(first) >= 500
        assert first == second
    again = await load(conn, views=0, now=NOW + timedelta(days=2))
    assert (again.comments, again.reviews) == (0, 0)
    assert await conn.fetch(SAID) == await other.fetch(SAID)


async def test_threads_are_deep_old_before_young_and_everything_counted_of_them_is_exact(conn) -> None:
    summary = await load(conn, views=0)
    assert summary.comments == await conn.fetchval("select count(*) from comments") >= 2_000
    assert summary.reviews == await conn.fetchval("select count(*) from reviews") >= 500
    assert await conn.fetch(MISCOUNTED) == []
    assert await conn.fetchval("select max(depth) from comments") == 7
    wrong = await conn.fetchval(
        """select count(*) from comments c
           join users u on u.id = c.user_id
           left join comments p on p.id = c.parent_id
           left join episodes e on e.id = c.episode_id
           where c.depth <> coalesce(p.depth + 1, 0) or p.release_id <> c.release_id or p.created_at >= c.created_at
              or p.deleted_at < c.created_at or p.id is not null and p.episode_id is distinct from c.episode_id
              or e.release_id <> c.release_id or e.air_at > c.created_at or u.created_at > c.created_at
              or greatest(c.created_at, c.edited_at, c.deleted_at, c.queued_at) > $1""",
        NOW,
    )
    assert wrong == 0
    for table in ("comments", "reviews"):
        moments = [row[0] for row in await conn.fetch(f"select created_at from {table} order by id")]
        assert moments == sorted(moments)
    kinds = await conn.fetchrow(
        """select count(*) filter (where not counted and listed), count(*) filter (where deleted_at is not null),
                  count(*) filter (where state = 'hidden'), count(*) filter (where spoiler),
                  count(*) filter (where queued_at is not null and state = 'pending'),
                  count(*) filter (where episode_id is not null), count(*) filter (where reports > 0)
           from comments"""
    )
    assert min(kinds) > 5
    by_release = [row[0] for row in await conn.fetch("select comments from release_talk order by 1 desc")]
    assert by_release[0] > 20 * by_release[len(by_release) // 2] > 0
    for least, what in (
        (2_000, "activity where action_type in ('commented', 'replied', 'reviewed')"),
        (20, "moderation_decisions where moderator_id is not null"),
        (50, "notification_events where type = 'reply'"),
        (500, "helpful_votes"),
    ):
        assert await conn.fetchval(f"select count(*) from {what}") > least, what


async def test_whatever_is_said_is_said_in_many_scripts_and_could_have_been_sent(conn) -> None:
    await load(conn, views=0)
    comments = [row["text"] for row in await conn.fetch("select text from comments")]
    reviews = [row["text"] for row in await conn.fetch("select text from reviews")]
    assert [plain(text, "/text", 1, 1000) for text in comments] == comments
    assert [plain(text, "/text", 100, 5000) for text in reviews] == reviews
    scripts = {unicodedata.name(sign, "").split(" ")[0] for text in comments for sign in text}
    assert scripts >= {"LATIN", "CYRILLIC", "HIRAGANA", "CJK", "HANGUL", "ARABIC", "DEVANAGARI", "THAI", "EMOJI"}
    assert len(set(comments)) > len(comments) / 4


async def test_a_recount_of_everything_finds_nothing_to_put_right(conn) -> None:
    await load(conn)
    lines: list[str] = []
    assert await repair(conn, lines.append, keep=False) == 0, lines
