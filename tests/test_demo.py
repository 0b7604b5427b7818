"""The demo: the same for the same seed, in four scripts, with rollups that add up, and nothing new the second time."""

from __future__ import annotations

import unicodedata
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from server.database import connect
from server.demo.catalogue import items
from server.demo.loading import DemoSummary, load_demo
from server.demo.views import plan
from sql import trends, user_stats, views
from sql.query import Connection

# A Wednesday evening, so that the last day and the last hour of the month are both cut off.
NOW = datetime(2026, 3, 18, 20, 40, tzinfo=UTC)
RELEASES, VIEWS = 120, 6_000

# Everything the demo says, under names that do not depend on which id a row got.
CATALOGUE = """
    select x.external_id, r.slug, r.title, r.synopsis, r.type, r.status, r.season, r.year, r.age_rating,
           r.episodes_total, f.name, m.imported_popularity,
           (select array_agg(g.name order by g.name) from genres g where g.id = any (r.genre_ids)),
           (select array_agg(t.name order by t.name) from tags t where t.id = any (r.tag_ids)),
           (select array_agg(t.language || t.title order by t.language)
            from release_titles t where t.release_id = r.id),
           (select array_agg(s.synonym order by s.position) from release_synonyms s where s.release_id = r.id),
           (select array_agg((e.ordinal, e.title, e.duration_seconds, e.air_at, e.opening_start, e.ending_stop)::text
                             order by e.ordinal) from episodes e where e.release_id = r.id)
    from releases r
    join external_ids x on x.release_id = r.id and x.source = 'demo'
    join popularity_metrics m on m.release_id = r.id
    left join franchises f on f.id = r.franchise_id
    order by x.external_id"""
EVENTS = """
    select event_id, received_on, x.external_id, e.ordinal, viewer, v.duration_seconds, completion_percentage, viewed_at
    from view_metrics v
    join external_ids x on x.release_id = v.release_id and x.source = 'demo'
    left join episodes e on e.id = v.episode_id
    order by event_id"""
HOURS = """
    select hour, release_id, episode_id, views, unique_viewers, watch_seconds, completion_sum, trended
    from view_hours order by hour, release_id, episode_id"""
DAYS = """
    select day, release_id, episode_id, views, unique_viewers, watch_seconds, completion_sum, trended_viewers
    from view_days order by day, release_id, episode_id"""
TOTALS = """
    select release_id, total_views, unique_viewers, rank, popularity_score from popularity_metrics
    where total_views > 0 order by release_id"""
VIEWERS = "select * from view_viewers where day >= $1 order by day, release_id, episode_id, viewer"


async def load(conn: Connection, **changes: Any) -> DemoSummary:
    return await load_demo(conn, **({"releases": RELEASES, "seed": 7, "views": VIEWS, "now": NOW} | changes))


@pytest.fixture
async def other(server, conn):
    """A second fresh database on the same server."""
    admin = await connect(server.dsn("postgres"))
    name = f"{await conn.fetchval('select current_database()')}_twin"
    await admin.execute(f"create database {name} template {server.template} strategy file_copy")
    twin = await connect(server.dsn(name))
    yield twin
    await twin.close()
    await admin.execute(f"drop database {name} with (force)")
    await admin.close()


async def test_the_same_seed_and_moment_fill_two_databases_alike(conn, other):
    # Ids that differ must not matter.
    await other.fetch("select nextval('releases_id_seq'), nextval('episodes_id_seq')")
    for one in (conn, other):
        await load(one)
    for query in (CATALOGUE, EVENTS):
        first, second = [await one.fetch(query) for one in (conn, other)]
        assert len(first) >= RELEASES
        assert first == second


async def test_a_larger_catalogue_begins_with_the_smaller_one_and_another_seed_is_another_catalogue():
    small, large = list(items(505, 3, NOW)), list(items(1_000, 3, NOW))
    assert len(small) == 505
    assert small == large[:505]
    assert [item.line for item in large] == list(range(1, 1_001))
    other_seed = list(items(505, 4, NOW))
    assert sum(one.draft.title == two.draft.title for one, two in zip(small, other_seed, strict=True)) < 5


async def test_titles_come_in_four_scripts_and_the_catalogue_has_its_variety():
    drafts = [item.draft for item in items(500, 1, NOW)]
    by_script = {"LATIN": 0, "CYRILLIC": 0, "HIRAGANA": 0, "KATAKANA": 0, "CJK": 0}
    for draft in drafts:
        signs = {unicodedata.name(sign, "").split(" ")[0] for sign in draft.title}
        for script in by_script:
            by_script[script] += script in signs
    assert min(by_script.values()) >= 5
    assert any("zh" in draft.titles and "ja" in draft.titles and "ru" in draft.titles for draft in drafts)
    assert {draft.type for draft in drafts} >= {"tv", "movie", "ova", "ona", "special", "music"}
    assert {draft.status for draft in drafts} == {"ongoing", "announced", "paused", "finished"}
    assert any(episode.ordinal % 1 for draft in drafts for episode in draft.episodes)
    seasons = [draft for draft in drafts if draft.franchise and "2nd Season" in draft.titles["romaji"]]
    assert seasons
    assert all(draft.titles["romaji"].startswith(draft.franchise) for draft in seasons)


async def test_every_draft_is_one_an_import_accepts(conn):
    summary = await load(conn, releases=1_000, views=0)
    assert summary.catalogue.created == 1_000
    assert not summary.catalogue.skipped
    assert summary.users == await conn.fetchval("select count(*) from users") >= 200


async def test_rollups_say_what_a_count_of_the_raw_views_says(conn):
    await load(conn)
    assert await conn.fetchval("select count(*) from view_metrics") == VIEWS
    for step, table, column in (
        ("hour", "view_hours", "hour"),
        ("day", "view_days", "day::timestamp at time zone 'UTC'"),
    ):
        counted = await conn.fetch(
            f"""with scoped as (
                    select date_trunc('{step}', viewed_at, 'UTC') as start, *, unnest(array[0, episode_id]) as scope
                    from view_metrics)
                select start, release_id, scope, count(*), count(distinct viewer), sum(duration_seconds)::bigint,
                       sum(completion_percentage::double precision)
                from scoped where scope is not null group by 1, 2, 3 order by 1, 2, 3"""
        )
        rolled = await conn.fetch(
            f"""select {column}, release_id, episode_id, views, unique_viewers, watch_seconds, completion_sum
                from {table} order by 1, 2, 3"""
        )
        assert [tuple(row) for row in rolled] == [tuple(row) for row in counted]
    assert await views.waiting_events(conn) == 0
    assert await conn.fetchval("select sum(events) from view_batches") == VIEWS


async def test_the_bulk_rollup_leaves_what_the_servers_own_rollup_and_trending_would(conn):
    await load(conn)
    kept = NOW.date() - timedelta(days=8)
    made = [await conn.fetch(query, *args) for query, args in ((HOURS, ()), (DAYS, ()), (VIEWERS, (kept,)))]
    totals, lists = await conn.fetch(TOTALS), await trends.stored_lists(conn)
    await conn.execute("truncate view_hours, view_days, view_viewers, trend_positions, trending_lists")
    await conn.execute("update view_batches set rolled_up = false")
    await conn.execute(
        "update popularity_metrics set total_views = 0, unique_viewers = 0, rank = null,"
        " popularity_score = imported_popularity / (imported_popularity + 1e6)"
    )
    await views.make_partitions(conn, "view_viewers", "day", NOW.date() - timedelta(days=30), NOW.date())
    async with conn.transaction():
        assert (await views.roll_up(conn, 1_000_000)).events == VIEWS
        await trends.run_pass(conn, NOW)
    assert made == [await conn.fetch(query, *args) for query, args in ((HOURS, ()), (DAYS, ()), (VIEWERS, (kept,)))]
    assert all(made)
    assert lists == await trends.stored_lists(conn)
    for mine, theirs in zip(totals, await conn.fetch(TOTALS), strict=True):
        assert mine["popularity_score"] == pytest.approx(theirs["popularity_score"])
        assert tuple(mine)[:-1] == tuple(theirs)[:-1]


async def test_views_are_events_the_server_could_have_accepted(conn):
    await load(conn)
    wrong = await conn.fetchval(
        """select count(*) from view_metrics v
           left join releases r on r.id = v.release_id and r.visible
           left join episodes e on e.id = v.episode_id
           left join view_batches b on b.seq = v.batch_seq and b.received_on = v.received_on
           left join users u on u.id = -v.viewer
           where r.id is null or b.seq is null or e.release_id <> v.release_id
              or (v.episode_id is not null and e.id is null) or (v.viewer < 0 and u.id is null)
              or viewed_at > $1 or (viewed_at at time zone 'UTC')::date <> v.received_on
              or e.air_at > v.viewed_at
              or completion_percentage not between 0 and 100 or v.duration_seconds < 0""",
        NOW,
    )
    assert wrong == 0
    with_episode, signed_in, people = await conn.fetchrow(
        "select count(episode_id), count(*) filter (where viewer < 0), count(distinct viewer) from view_metrics"
    )
    assert with_episode > 0.8 * VIEWS
    assert 0 < signed_in < 0.3 * VIEWS
    assert people > 500


async def test_views_follow_evenings_weekends_and_a_few_hits(conn):
    await load(conn)
    by_hour = dict(
        await conn.fetch(
            "select extract(hour from hour at time zone 'UTC')::integer, sum(views) from view_hours"
            " where episode_id = 0 group by 1"
        )
    )
    assert by_hour[18] > 4 * by_hour[3]
    counts = [
        row[0] for row in await conn.fetch("select count(*) from view_metrics group by release_id order by 1 desc")
    ]
    assert sum(counts[:10]) > VIEWS / 4
    assert len(counts) > RELEASES / 2
    days = {day.day: sum(day.hours) for day in plan(100_000, 1, NOW)}
    assert days[date(2026, 3, 14)] > 1.2 * days[date(2026, 3, 11)]
    assert sum(days.values()) == 100_000


async def test_a_second_run_changes_nothing_even_once_batches_are_forgotten(conn):
    await load(conn)
    before = [await conn.fetch(query) for query in (CATALOGUE, EVENTS, HOURS, DAYS)]
    await conn.execute("delete from view_batches")
    again = await load(conn, now=NOW + timedelta(minutes=50))
    assert (again.catalogue.unchanged, again.users, again.views) == (RELEASES, 0, 0)
    assert before == [await conn.fetch(query) for query in (CATALOGUE, EVENTS, HOURS, DAYS)]


async def test_a_day_that_has_views_already_is_left_alone(conn):
    await load(conn)
    day = NOW.date() - timedelta(days=3)
    await conn.execute("delete from view_metrics where received_on <> $1 and received_on >= $1 - 1", day)
    await conn.execute("delete from view_hours where (hour at time zone 'UTC')::date <> $1", day)
    await conn.execute("delete from view_days where day <> $1 and day >= $1 - 1", day)
    await conn.execute("truncate view_viewers, view_batches")
    planned = {one.day: sum(one.hours) for one in plan(VIEWS, 7, NOW)}
    missing = [one for one in planned if one != day and one >= day - timedelta(days=1)]
    assert (await load(conn)).views == sum(planned[one] for one in missing)
    assert await conn.fetchval("select count(*) from view_metrics where received_on = $1", day) == planned[day]


async def test_the_schedule_of_this_week_and_the_next_is_not_empty(conn):
    await load(conn, views=0)
    monday = datetime(2026, 3, 16, tzinfo=UTC)
    for start in (monday, monday + timedelta(days=7)):
        aired = await conn.fetchval(
            """select count(distinct e.release_id) from episodes e join releases r on r.id = e.release_id
               where r.status = 'ongoing' and e.air_at >= $1 and e.air_at < $1 + interval '7 days'""",
            start,
        )
        assert aired == await conn.fetchval("select count(*) from releases where status = 'ongoing'") > 0


async def test_the_users_keep_and_have_watched_things_and_a_recount_finds_the_same(conn: Connection) -> None:
    summary = await load(conn)
    assert summary.titles > summary.users * 5
    assert await conn.fetchval("select count(*) from progress where completed") > summary.users
    assert await conn.fetchval("select count(*) from subscriptions") > 0
    assert await conn.fetchval("select count(*) from activity where action_type = 'rated'") > 0
    ids = await user_stats.user_ids(conn, 0, 10_000)
    assert await user_stats.mend(conn, ids) == []
    wrong = await conn.fetchval("""
        select count(*) from popularity_metrics m
        join (select release_id, count(*) filter (where kind = 1) as favorites,
                     count(*) filter (where kind = 3) as ratings,
                     coalesce(sum(value) filter (where kind = 3), 0) as total
              from library_entries group by release_id) l using (release_id)
        where (m.favorites, m.rating_count, m.rating_sum) <> (l.favorites, l.ratings, l.total)""")
    assert wrong == 0
    assert (await load(conn)).titles == 0


async def test_the_users_were_told_of_new_episodes_and_their_unread_counters_are_exact(conn: Connection) -> None:
    await load(conn)
    told = await conn.fetchval("select count(*) from notifications")
    assert 0 < await conn.fetchval("select count(*) from notifications where read_at is null") < told
    wrong = await conn.fetchval("""
        select count(*) from notification_budgets b
        where b.unread <> (select count(*) from notifications n where n.user_id = b.user_id and n.read_at is null)
           or b.held <> 0""")
    assert wrong == 0
    strangers = await conn.fetchval("""
        select count(*) from notifications n join notification_events e on e.id = n.event_id
        where e.type = 'new_episode'
          and not exists (select from subscriptions s where s.user_id = n.user_id and s.subscription_type = 'release'
                          and s.target_id = e.release_id)""")
    assert strangers == 0
