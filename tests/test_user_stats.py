"""Statistics of users: counted by the consumer, complete at every moment, shown to whom they may be shown."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from actors.consumers.base import Delivered
from actors.consumers.user_stats import UserStats
from sql import library, user_stats
from sql.library import COLLECTION, FAVORITE, RATING, EntryEdit, ProgressEdit
from tests.outboxes import drain
from tests.people import make_user
from tests.seeding import seed_episodes, seed_releases

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
ZEROS = {
    "episodes_watched": 0, "releases_completed": 0, "watch_seconds": 0, "favorites_count": 0, "collections_count": 0,
    "collections": {"planned": 0, "watching": 0, "completed": 0, "postponed": 0, "dropped": 0},
    "reviews_count": 0, "comments_count": 0, "mean_rating": None, "favorite_genres": [],
}  # fmt: skip


def edit(kind: int, release_id: int, value: int = 0, *, deleted: bool = False) -> EntryEdit:
    return EntryEdit(kind, release_id, value, deleted, NOW)


def watched(episode_id: int, position: int = 0, *, completed: bool = True) -> ProgressEdit:
    return ProgressEdit(episode_id, position, completed, False, False, NOW)


async def keep(conn: Any, user_id: int, *edits: EntryEdit | ProgressEdit) -> None:
    entries = [one for one in edits if isinstance(one, EntryEdit)]
    progress = [one for one in edits if isinstance(one, ProgressEdit)]
    async with conn.transaction():
        await library.write(conn, user_id, entries, progress, origin="user", merge=False)


async def shown(conn: Any, user_id: int) -> dict[str, Any]:
    found = await user_stats.get(conn, user_id)
    assert found is not None
    stats: dict[str, Any] = json.loads(found.stats)
    return stats


def told(user_id: int, at: datetime = NOW, **delta: int) -> Delivered:
    return Delivered(1, 1, "library", f"user:{user_id}", user_id, {"origin": "user", "delta": delta}, at)


async def stored(conn: Any, user_id: int) -> dict[str, Any]:
    return dict(await conn.fetchrow("select * from user_stats where user_id = $1", user_id))


async def test_somebody_who_has_done_nothing_has_zeros(conn, dsn):
    user_id = await make_user(dsn)
    found = await shown(conn, user_id)
    assert found.pop("joined_at").endswith("Z")
    assert found.pop("last_activity_at") is None
    assert found == ZEROS


async def test_what_somebody_does_is_in_their_statistics_before_and_after_it_is_counted(conn, dsn):
    user_id = await make_user(dsn)
    one, two, three = await seed_releases(conn, 3)
    (episode, other), *_ = (await seed_episodes(conn, [one], 2)).values()
    await conn.execute("update episodes set duration_seconds = 1400")
    await keep(conn, user_id, edit(FAVORITE, one), edit(COLLECTION, two, 1), edit(COLLECTION, three, 3))
    await keep(
        conn,
        user_id,
        edit(RATING, one, 9),
        edit(RATING, two, 6),
        watched(episode),
        watched(other, 200, completed=False),
    )
    before = await shown(conn, user_id)
    assert await conn.fetchval("select count(*) from user_stats") == 0
    await drain(dsn, UserStats())
    assert await conn.fetchval("select count(*) from user_stats") == 1
    after = await shown(conn, user_id)
    assert after == before
    assert (after["episodes_watched"], after["watch_seconds"], after["favorites_count"]) == (1, 1600, 1)
    assert after["collections"] == ZEROS["collections"] | {"planned": 1, "completed": 1}
    assert (after["collections_count"], after["releases_completed"], after["mean_rating"]) == (2, 1, 7.5)
    assert (await stored(conn, user_id))["rating_sum"] == 15
    await keep(conn, user_id, edit(FAVORITE, one, deleted=True), edit(RATING, two, 6, deleted=True))
    found = await shown(conn, user_id)
    assert (found["favorites_count"], found["mean_rating"]) == (0, 9.0)
    assert found["last_activity_at"] > after["last_activity_at"]


async def test_what_a_consumer_could_not_apply_is_shown_all_the_same(conn, dsn):
    user_id = await make_user(dsn)
    (release,) = await seed_releases(conn, 1)
    await keep(conn, user_id, edit(FAVORITE, release))
    await conn.execute(
        """insert into outbox_deliveries (consumer, xid, event_id, topic, entity, user_id, payload, created_at)
           select 'user_stats', xid, id, topic, entity, user_id, payload, created_at
           from outbox where topic = 'library'"""
    )
    await conn.execute(
        "insert into outbox_consumers (name, xid, id) select 'user_stats', xid, id from outbox where topic = 'library'"
    )
    assert (await shown(conn, user_id))["favorites_count"] == 1


async def test_a_batch_is_summed_by_user_and_the_latest_moment_stays(conn, dsn):
    one, two = await make_user(dsn), await make_user(dsn)
    later = NOW + timedelta(hours=1)
    events = [told(two, favorites=1), told(one, later, favorites=2, planned=1), told(one, favorites=-1)]
    await UserStats().handle(conn, events)
    await UserStats().handle(conn, [told(one, favorites=5)])
    found = await stored(conn, one)
    assert (found["favorites"], found["planned"], found["last_activity_at"]) == (6, 1, later)
    assert (await stored(conn, two))["favorites"] == 1


async def test_an_event_of_somebody_who_is_gone_is_left_out_and_the_others_count(conn, dsn):
    user_id, gone = await make_user(dsn), await make_user(dsn)
    await conn.execute("delete from users where id = $1", gone)
    await UserStats().handle(conn, [told(gone, favorites=1), told(user_id, favorites=1)])
    assert [row["user_id"] for row in await conn.fetch("select user_id from user_stats")] == [user_id]


async def test_favourite_genres_follow_what_is_kept(conn, dsn):
    user_id = await make_user(dsn)
    await conn.execute(
        """insert into genres (id, slug, name, name_key)
           select n, 'g' || n, 'G' || n, 'g' || n from generate_series(1, 12) n"""
    )
    liked, seen, left, many = await seed_releases(conn, 4)
    for release_id, genres in ((liked, [1, 2]), (seen, [2]), (left, [3]), (many, list(range(1, 13)))):
        await conn.execute("update releases set genre_ids = $2 where id = $1", release_id, genres)
    await keep(conn, user_id, edit(FAVORITE, liked), edit(RATING, liked, 10), edit(COLLECTION, seen, 3))
    await keep(conn, user_id, edit(COLLECTION, left, 5), edit(RATING, left, 1))
    await drain(dsn, UserStats())
    found = (await shown(conn, user_id))["favorite_genres"]
    # 3 for the favourite and 3 for the ten; 2 more for the genre of the completed one; nothing below zero is shown.
    assert found == [{"id": 2, "name": "G2", "weight": 1.0}, {"id": 1, "name": "G1", "weight": 0.75}]
    await keep(conn, user_id, edit(FAVORITE, many))
    await drain(dsn, UserStats())
    found = (await shown(conn, user_id))["favorite_genres"]
    assert [genre["id"] for genre in found] == [2, 1, 4, 5, 6, 7, 8, 9, 10, 11]
    await keep(
        conn,
        user_id,
        *[edit(FAVORITE, one, deleted=True) for one in (liked, many)],
        edit(RATING, liked, deleted=True),
    )
    await keep(conn, user_id, edit(COLLECTION, seen, 3, deleted=True))
    await drain(dsn, UserStats())
    assert (await shown(conn, user_id))["favorite_genres"] == []


FILLING = (
    """insert into users (username, username_key)
       select 'filled-' || n, 'filled-' || n from generate_series(1, 3000) n""",
    """insert into library_entries (user_id, kind, release_id, value, changed_at, revision)
       select u.id, 3, n, 5, now(), 1 from users u cross join generate_series(1, 10) n""",
    """insert into progress (user_id, episode_id, release_id, position_seconds, completed, watched_seconds,
                             changed_at, revision)
       select u.id, n, n, 5, true, 5, now(), 1 from users u cross join generate_series(1, 10) n""",
    """insert into outbox (topic, entity, user_id, payload)
       select 'library', 'user:' || u.id, u.id, '{"delta": {}}' from users u cross join generate_series(1, 5)""",
    """insert into releases (slug, title, sort_title)
       select 'filled-' || n, 'Filled', 'filled' from generate_series(1, 10000) n""",
    "insert into user_stats (user_id) select id from users",
    "insert into outbox_consumers (name) values ('user_stats'), ('activity')",
    "analyze",
)
GROWING = {"users", "library_entries", "progress", "outbox", "outbox_deliveries", "releases", "user_stats"}


def scanned(plan: dict[str, Any]) -> set[str]:
    found = {plan["Relation Name"]} if plan["Node Type"] == "Seq Scan" else set()
    return found.union(*(scanned(inner) for inner in plan.get("Plans", ())))


async def test_no_statement_reads_through_a_growing_table(conn):
    for statement in FILLING:
        await conn.execute(statement)
    some = [row["id"] for row in await conn.fetch("select id from users order by id limit 50")]
    change = {"user_id": some[0], "at": NOW} | dict.fromkeys(user_stats.COUNTERS, 1)
    parameters: dict[str, tuple[Any, ...]] = {
        "apply": ([change],),
        "refresh_genres": (some[:5], True),
        "get_stats": (some[0],),
        "user_ids": (some[9], 50),
        "mend": (some,),
    }
    await conn.execute("set random_page_cost = 1.1; set jit = off")
    for query in user_stats.QUERIES:
        for mode in ("force_custom_plan", "force_generic_plan"):
            await conn.execute(f"set plan_cache_mode = {mode}")
            statement = await conn.prepare(f"explain (format json) {query.text}")
            plan = (await statement.fetchval(*parameters[query.name]))[0]["Plan"]
            # Nothing is parked here.
            assert scanned(plan) & GROWING <= {"outbox_deliveries"}, (query.name, mode)
