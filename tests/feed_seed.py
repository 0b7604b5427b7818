"""A log of any length for the feed's plans and figures: half of it people's acts, half of it the catalogue's.

Needs releases (ids 3, 6, … as `catalogue_seed` makes them). One person follows two hundred things.
"""

from __future__ import annotations

from typing import Any

FOLLOWED = {"release": 150, "genre": 20, "franchise": 30}

STATEMENTS = (
    """insert into users (username, username_key, is_public)
       select 'acting-' || n, 'acting-' || n, true from generate_series(1, 1000) n""",
    # Acts of people and news of the catalogue by turns, a second apart.
    """insert into activity (actor_id, action_type, target_type, target_id, details, created_at)
       select case when n % 2 = 0 then (select min(id) from users where username like 'acting-%') + n % 1000 end,
              case when n % 2 = 0 then 'rated' else 'release_updated' end, 'release',
              3 * (1 + (n::bigint * 7919) % $2::bigint), case when n % 2 = 0 then '{"rating": 8}'::jsonb else '{}' end,
              now() - ($1::integer - n) * interval '1 second'
       from generate_series(1, $1::integer) n""",
    """insert into activity_topics (topic_type, topic_id, seq)
       select t.topic_type, t.topic_id, a.seq
       from activity a
       join releases r on r.id = a.target_id
       cross join lateral (
           select 1 as topic_type, r.id as topic_id
           union all select 2, genre_id from unnest(r.genre_ids) genre_id
           union all select 3, r.franchise_id where r.franchise_id is not null
       ) t
       where a.actor_id is null""",
    # Others follow something, too.
    """insert into subscriptions (user_id, subscription_type, target_id)
       select u.id, 'release', 3 * n from users u cross join generate_series(1, 5) n where username like 'acting-%'""",
    "vacuum analyze activity, activity_topics, users, subscriptions",
)


async def fill(conn: Any, events: int, releases: int) -> None:
    """Make the log, outside of a transaction."""
    for statement in STATEMENTS:
        await conn.execute(statement, *((events, releases) if "$1" in statement else ()))


async def follow_much(conn: Any, user_id: int) -> None:
    """Have this user follow two hundred targets: releases, genres and franchises."""
    tables = {"release": "releases", "genre": "genres", "franchise": "franchises"}
    for kind, wanted in FOLLOWED.items():
        await conn.execute(
            f"""insert into subscriptions (user_id, subscription_type, target_id)
                select $1, $2, id from (select id from {tables[kind]} order by id limit $3) t""",
            user_id, kind, wanted,
        )  # fmt: skip
    await conn.execute("analyze subscriptions")
