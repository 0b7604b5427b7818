"""A server on a loop in a thread of its own, for clients that block, and people who have something of everything."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from server.keys import DATABASE
from tests.conftest import Server
from tests.http_fixture import shared_site
from tests.people import sign_in
from tests.people_seed import fill
from tests.running import Running

# Something of each kind that has an id, by the beginning of the paths that name it, and a release and an episode.
OWNED = """
select u.id as user_id,
       (select id::text from operations where user_id = u.id limit 1) as "/api/v1/operations/",
       (select id from subscriptions where user_id = u.id limit 1) as "/api/v1/subscriptions/",
       (select id::text from sessions where user_id = u.id limit 1) as "/api/v1/auth/sessions/",
       (select id::text from api_tokens where user_id = u.id limit 1) as "/api/v1/auth/tokens/",
       u.id as "/api/v1/users/",
       u.id as "/api/v1/admin/users/",
       (select min(id) from comments where user_id = u.id) as "/api/v1/comments/",
       (select min(id) from comments where user_id = u.id) as parent_id,
       (select min(id) from reviews where user_id = u.id) as "/api/v1/reviews/",
       (select min(id) from comments) as "/api/v1/admin/comments/",
       (select min(id) from reviews) as "/api/v1/admin/reviews/",
       u.id as "/api/v1/admin/moderation/users/",
       (select min(id) from word_rules) as "/api/v1/admin/moderation/rules/",
       (select min(id) from outbox_deliveries where dead_at is not null) as "/api/v1/admin/outbox/dead/",
       (select min(id) from releases where visible) as "/api/v1/releases/",
       (select min(id) from releases where visible) as release_id,
       (select min(episode_id) from progress where user_id = u.id) as episode_id
from users u
where username_key like 'reader%' order by u.id
"""
# Everybody said something about the release that they know of.
SAID = """
with there as (select min(id) as release_id from releases where visible), people as (
    select id from users where username_key like 'reader%'
), commented as (
    insert into comments (release_id, user_id, text, counted, listed, announced, created_at)
    select release_id, id, 'What reader ' || id || ' thinks', true, true, true, now() from there, people
), reviewed as (
    insert into reviews (release_id, user_id, rating, text, counted, announced, created_at)
    select release_id, id, 7, repeat('What reader ' || id || ' thinks. ', 9), true, true, now() from there, people
), counted as (
    insert into user_stats (user_id, comments, reviews) select id, 1, 1 from people
    on conflict (user_id) do update set comments = 1, reviews = 1
)
insert into release_talk (release_id, comments, threads, reviews, review_rating_sum)
select release_id, count(*), count(*), count(*), 7 * count(*) from there, people group by release_id
"""
RULE = "insert into word_rules (pattern, kind, action) values ('what nobody ever says', 'phrase', 'hold')"
# Long over: no consumer asks for events of this topic.
DEAD = """
insert into outbox_deliveries (consumer, xid, event_id, topic, entity, payload, created_at, attempts, error, dead_at)
values ('activity', '1', 1, 'nothing', 'nobody', '{}', now(), 12, 'Refused.', now())
"""


@dataclass(frozen=True)
class Owner:
    """Somebody with something of everything: `headers` sign their requests, `owned` are their ids."""

    headers: dict[str, str]
    owned: dict[str, Any]

    def path_parameters(self, path: str, names: list[str]) -> dict[str, Any]:
        """Of these parameters those that can name something there is."""
        known = {name: self.owned[name] for name in names if name in self.owned}
        mine = [value for prefix, value in self.owned.items() if path.startswith(prefix)]
        return known | ({"id": mine[0]} if mine and "id" in names else {})


@dataclass(frozen=True)
class Apart:
    """A running server and its people, each of whom is handed out once."""

    site: Running
    people: Iterator[dict[str, Any]]

    def owner(self, role: str) -> Owner:
        """Somebody nobody has asked for yet, signed in."""
        owned = next(self.people)
        return Owner(sign_in(self.site, owned["user_id"], role=role).headers, owned)


@contextmanager
def apart(server: Server, data_dir: Path, people: int) -> Iterator[Apart]:
    """Start it with so many people, and stop it at the end."""
    found: list[Apart] = []
    ready, stop = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        async with shared_site(server, data_dir) as site:
            conn = await asyncpg.connect(site.app[DATABASE].dsn)
            await fill(conn, people, progress=5, activity=2)
            for statement in (DEAD, SAID, RULE):
                await conn.execute(statement)
            found.append(Apart(site, iter([dict(row) for row in await conn.fetch(OWNED)])))
            await conn.close()
            loops.append(asyncio.get_running_loop())
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(60)
    try:
        yield found[0]
    finally:
        loops[0].call_soon_threadsafe(stop.set)
        thread.join(15)
        assert not thread.is_alive()
