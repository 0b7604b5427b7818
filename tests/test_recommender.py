"""Daily recommendations: one release for who was here lately, of what they like and do not know, once a day."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from actors import recommender as module
from actors.recommender import Recommender, day_of
from server.database import Database, connect
from server.events import RecommendationCounters
from sql import recommendation_rounds
from tests.people import make_user
from tests.people_plans import prepare_for
from tests.seeding import seed_releases

TODAY = date(2026, 5, 1)
DRAMA, COMEDY = 1, 2


@pytest.fixture
async def conn(dsn: str) -> AsyncIterator[Any]:
    """A database with two genres."""
    connection = await connect(dsn)
    await connection.execute(
        """insert into genres (id, slug, name, name_key)
           values (1, 'drama', 'Drama', 'drama'), (2, 'comedy', 'Comedy', 'comedy')"""
    )
    yield connection
    await connection.close()


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    opened = Database(dsn)
    await opened.open()
    yield opened
    await opened.close()


async def releases(conn: Any, genre: int, *popularity: float) -> list[int]:
    """Releases of a genre, as popular as given."""
    ids = await seed_releases(conn, len(popularity))
    await conn.execute("update releases set genre_ids = $2 where id = any ($1)", ids, [genre])
    await conn.execute(
        """update popularity_metrics m set popularity_score = s.score
           from unnest($1::bigint[], $2::float8[]) s (id, score) where m.release_id = s.id""",
        ids, list(popularity),
    )  # fmt: skip
    return ids


async def viewer(conn: Any, dsn: str, likes: dict[int, float] | None = None, *, days_ago: int = 0) -> int:
    """Somebody who likes these genres and was here so many days ago."""
    user_id = await make_user(dsn)
    await conn.execute(
        "insert into user_presence (user_id, last_active_at) values ($1, now() - $2::interval)",
        user_id, timedelta(days=days_ago),
    )  # fmt: skip
    liked = [{"id": genre, "weight": weight} for genre, weight in ({DRAMA: 1.0} if likes is None else likes).items()]
    await conn.execute("insert into user_stats (user_id, favorite_genres) values ($1, $2)", user_id, liked)
    return user_id


async def finish(conn: Any, day: date = TODAY) -> None:
    """The whole round of a day."""
    await recommendation_rounds.is_open(conn, day)
    popular = await recommendation_rounds.tops(conn)
    while True:
        async with conn.transaction():
            done = await recommendation_rounds.run_slice(conn, day, popular)
        if done is None or done.done:
            return


async def told(conn: Any, user_id: int) -> list[int]:
    """The releases recommended to this user so far."""
    rows = await conn.fetch(
        """select release_id from notification_events
           where recipient_id = $1 and type = 'recommendation' and target_type = 'release' and target_id = release_id
           order by id""",
        user_id,
    )
    return [row["release_id"] for row in rows]


async def test_the_most_popular_release_of_what_somebody_likes_is_recommended(conn: Any, dsn: str) -> None:
    _, best, _ = await releases(conn, DRAMA, 0.2, 0.7, 0.3)
    _, funniest = await releases(conn, COMEDY, 0.1, 0.9)
    dramatic, amused = (
        await viewer(conn, dsn, {DRAMA: 1, COMEDY: 0.3}),
        await viewer(conn, dsn, {COMEDY: 1, DRAMA: 0.3}),
    )
    await finish(conn)
    assert await told(conn, dramatic) == [best]
    assert await told(conn, amused) == [funniest]
    data = await conn.fetchval("select data from notification_events where recipient_id = $1", amused)
    assert data == {"genre_id": COMEDY}


@pytest.mark.parametrize("kind", [1, 2, 3, 4])
async def test_what_somebody_keeps_or_ignores_is_not_recommended(conn: Any, dsn: str, kind: int) -> None:
    first, second = await releases(conn, DRAMA, 0.9, 0.8)
    user_id, former = await viewer(conn, dsn), await viewer(conn, dsn)
    for one, deleted in ((user_id, False), (former, True)):
        await conn.execute(
            """insert into library_entries (user_id, kind, release_id, value, deleted, changed_at, revision)
               values ($1, $2, $3, $4, $5, now(), 1)""",
            one, kind, first, 1 if kind in (2, 3) else 0, deleted,
        )  # fmt: skip
    await finish(conn)
    assert await told(conn, user_id) == [second]
    assert await told(conn, former) == [first]


async def test_nothing_comes_again_within_sixty_days(conn: Any, dsn: str) -> None:
    first, second = await releases(conn, DRAMA, 0.9, 0.8)
    user_id = await viewer(conn, dsn)
    for days in range(3):
        await finish(conn, TODAY + timedelta(days=days))
    assert await told(conn, user_id) == [first, second]
    await conn.execute(
        "update notification_events set created_at = now() - interval '61 days' where release_id = $1", first
    )
    await finish(conn, TODAY + timedelta(days=3))
    assert await told(conn, user_id) == [first, second, first]


async def test_what_is_hidden_or_muted_is_not_recommended(conn: Any, dsn: str) -> None:
    hidden, muted, shown = await releases(conn, DRAMA, 0.9, 0.8, 0.7)
    await conn.execute("update releases set is_published = false where id = $1", hidden)
    user_id, sick_of_it = await viewer(conn, dsn), await viewer(conn, dsn)
    mute = "insert into notification_mutes (user_id, target_type, target_id) values ($1, $2, $3)"
    await conn.execute(mute, user_id, "release", muted)
    await conn.execute(mute, sick_of_it, "genre", DRAMA)
    await finish(conn)
    assert await told(conn, user_id) == [shown]
    assert await told(conn, sick_of_it) == []


async def test_who_stayed_away_has_shown_nothing_or_wants_none_gets_none(conn: Any, dsn: str) -> None:
    await releases(conn, DRAMA, 0.9)
    away, unknown = await viewer(conn, dsn, days_ago=31), await viewer(conn, dsn, {})
    off, by_mail, lately = await viewer(conn, dsn), await viewer(conn, dsn), await viewer(conn, dsn, days_ago=29)
    other = await viewer(conn, dsn, {99: 1})
    prefer = "insert into notification_preferences (user_id, in_app, email_weekly) values ($1, $2, $3)"
    await conn.execute(prefer, off, 62 - 8, 62 - 8)
    await conn.execute(prefer, by_mail, 0, 8)
    await finish(conn)
    assert [len(await told(conn, one)) for one in (away, unknown, off, other, by_mail, lately)] == [0, 0, 0, 0, 1, 1]


async def test_everybody_gets_one_a_day_however_often_it_is_begun(
    conn: Any, dsn: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recommendation_rounds, "SLICE", 3)
    monkeypatch.setattr(recommendation_rounds, "LOOKED_THROUGH", 5)
    monkeypatch.setattr(module, "PAUSE", 0.0)
    monkeypatch.setattr(module, "SLICES", 2)
    await releases(conn, DRAMA, 0.9, 0.8)
    users = [await viewer(conn, dsn, days_ago=40 if n % 3 else 0) for n in range(40)]
    counters = RecommendationCounters()
    today = day_of(datetime.now(UTC))
    while not await conn.fetchval("select done_at is not null from recommendation_rounds where day = $1", today):
        # Each time as after a restart, and beside another instance.
        await asyncio.gather(*(Recommender(database, counters).on_tick() for _ in range(2)))
    lasting = Recommender(database, counters)
    for _ in range(3):
        await lasting.on_tick()
    assert [len(await told(conn, one)) for one in users] == [0 if n % 3 else 1 for n in range(40)]
    assert counters == RecommendationCounters(looked_at=14, recommended=14, rounds=1)


async def test_a_slice_that_is_cut_off_has_told_nobody(conn: Any, dsn: str) -> None:
    await releases(conn, DRAMA, 0.9)
    user_id = await viewer(conn, dsn)
    await recommendation_rounds.is_open(conn, TODAY)
    popular = await recommendation_rounds.tops(conn)
    transaction = conn.transaction()
    await transaction.start()
    await recommendation_rounds.run_slice(conn, TODAY, popular)
    assert len(await told(conn, user_id)) == 1
    await transaction.rollback()
    assert await told(conn, user_id) == []
    await finish(conn)
    assert len(await told(conn, user_id)) == 1


def test_the_day_begins_at_ten() -> None:
    assert day_of(datetime(2026, 5, 2, 9, 59, tzinfo=UTC)) == date(2026, 5, 1)
    assert day_of(datetime(2026, 5, 2, 10, 0, tzinfo=UTC)) == date(2026, 5, 2)


async def test_no_statement_reads_all_people_or_releases(conn: Any) -> None:
    await seed_releases(conn, 30_000)
    await conn.execute(
        "insert into users (username, username_key) select 'u' || n, 'u' || n from generate_series(1, 20000) n"
    )
    await conn.execute("insert into user_presence (user_id, last_active_at) select id, now() from users")
    await conn.execute("insert into user_stats (user_id) select id from users")
    await conn.execute("insert into notification_preferences (user_id) select id from users")
    await conn.execute(
        """insert into library_entries (user_id, kind, release_id, changed_at, revision)
           select id, 1, id, now(), 1 from users"""
    )
    await conn.execute(
        """insert into notification_events (type, target_type, target_id, release_id, recipient_id)
           select 'recommendation', 'release', id, id, id from users"""
    )
    await conn.execute("analyze")
    await prepare_for(conn)
    for query in recommendation_rounds.QUERIES:
        parameters = (await conn.prepare(query.text)).get_parameters()
        await conn.execute(f"prepare planned as {query.text}")
        given = f"({', '.join('null' for _ in parameters)})" if parameters else ""
        plan = "\n".join(row[0] for row in await conn.fetch(f"explain execute planned{given}"))
        await conn.execute("deallocate planned")
        for table in ("user_", "library_entries", "notification_e", "notification_p", "popularity_metrics", "releases"):
            assert f"Seq Scan on {table}" not in plan, f"{query.name}\n{plan}"
