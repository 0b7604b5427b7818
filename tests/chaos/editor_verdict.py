"""What the editor was promised, and what followers were told, against the tables."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, fields
from time import monotonic

import asyncpg

from server.rules import search_text
from tests.chaos.editor import FOLLOWED, Record
from tests.chaos.process import EPISODES

PATIENCE = 60.0
ADDED = "select release_id, ordinal::integer as ordinal from episodes where release_id = any ($1) and ordinal > $2"
MADE = """
select x.external_id::integer as number
from external_ids x join releases r on r.id = x.release_id where x.source = 'edited'
"""
CREATED = """
select count(*) from revisions where action = 'created' and origin = 'cms' and noun in ('release', 'episode')
"""
# Only digests have counts.
# Each follower: told one by one, collapsed into digests, or waiting for the next window; together every new episode.
TOLD = """
with followers as (
    select id from users where username_key like 'follower%'
), events as (
    select count(*) as all_of_them from notification_events where type = 'new_episode' and release_id = any ($1)
), received as (
    select n.user_id, count(*) filter (where e.type = 'new_episode') as told,
           coalesce(sum((e.data -> 'counts' ->> 'new_episode')::integer), 0) as collapsed
    from notifications n join notification_events e on e.id = n.event_id
    group by n.user_id
), waiting as (
    select user_id, count(*) as held from held_notifications group by user_id
)
select coalesce(sum(greatest(0, all_of_them - said)), 0)::integer as missed,
       coalesce(sum(greatest(0, said - all_of_them)), 0)::integer as told_twice
from (
    select f.id, coalesce(r.told, 0) + coalesce(r.collapsed, 0) + coalesce(w.held, 0) as said, e.all_of_them
    from followers f cross join events e
    left join received r on r.user_id = f.id
    left join waiting w on w.user_id = f.id
) each_of_them
"""


@dataclass
class EditorVerdict:
    """How much was made and told; everything else has to be 0."""

    episodes: int = 0
    releases: int = 0
    notifications: int = 0
    digests: int = 0
    operations_lost: int = 0
    operations_unfinished: int = 0
    episodes_lost: int = 0
    episodes_twice: int = 0
    episodes_invented: int = 0
    releases_lost: int = 0
    releases_twice: int = 0
    titles_wrong: int = 0
    not_searchable: int = 0
    revisions_missing: int = 0
    events_missing: int = 0
    events_twice: int = 0
    missed: int = 0
    told_twice: int = 0
    over_the_limit: int = 0
    unfinished_fan_outs: int = 0

    @property
    def sound(self) -> bool:
        """Whether every promise was kept, and something was promised."""
        return (
            self.episodes > 0
            and self.notifications > 0
            and not any(getattr(self, one.name) for one in fields(self)[4:])
        )

    def __str__(self) -> str:
        return "\n".join(f"  {name.replace('_', ' '):<24}{value:>6}" for name, value in vars(self).items())


async def judge(conn: asyncpg.Connection[asyncpg.Record], record: Record, most_a_window: int) -> EditorVerdict:
    """Wait until all edits are done and everybody has been told, then compare."""
    found = EditorVerdict()
    await _settled(conn)
    await _made(conn, record, found)
    await _told(conn, found, most_a_window)
    return found


async def _settled(conn: asyncpg.Connection[asyncpg.Record]) -> None:
    deadline = monotonic() + PATIENCE
    open_work = """select exists (select from operations where status in ('queued', 'running'))
        or exists (select from notification_events where done_at is null)
        or exists (select from outbox o join outbox_consumers c on c.name = 'notifications'
                   where o.topic = 'catalogue' and (o.xid, o.id) > (c.xid, c.id))"""
    while monotonic() < deadline:
        if not await conn.fetchval(open_work):
            return
        await asyncio.sleep(0.1)


async def _made(conn: asyncpg.Connection[asyncpg.Record], record: Record, found: EditorVerdict) -> None:
    states = {
        str(row["id"]): row["status"]
        for row in await conn.fetch("select id, status from operations where shared")
    }  # fmt: skip
    found.operations_lost = len(record.operations - set(states))
    found.operations_unfinished = sum(status != "succeeded" for status in states.values())
    episodes = [(row["release_id"], row["ordinal"]) for row in await conn.fetch(ADDED, list(FOLLOWED), EPISODES)]
    found.episodes = len(episodes)
    found.episodes_lost = len(record.episodes - set(episodes))
    found.episodes_twice = len(episodes) - len(set(episodes))
    found.episodes_invented = len(set(episodes) - record.episodes - record.perhaps)
    numbers = [row["number"] for row in await conn.fetch(MADE)]
    found.releases = len(numbers)
    found.releases_lost = len(record.releases - set(numbers))
    found.releases_twice = await conn.fetchval(
        "select count(*) - count(distinct title) from releases where title like 'Made %'"
    )
    for release, titles in record.titles.items():
        found.titles_wrong += await conn.fetchval("select title from releases where id = $1", release) not in titles
    # The document of a release is written with it, or neither is.
    searchable = await conn.fetch(
        "select r.title, d.keys from releases r left join search_documents d on d.release_id = r.id"
    )
    found.not_searchable = sum(search_text.key(row["title"]) not in (row["keys"] or ()) for row in searchable)
    found.revisions_missing = abs(
        len(episodes) + len(numbers)
        - await conn.fetchval(CREATED)
    )  # fmt: skip


async def _told(conn: asyncpg.Connection[asyncpg.Record], found: EditorVerdict, most_a_window: int) -> None:
    events = await conn.fetchval(
        "select count(*) from notification_events where type = 'new_episode' and release_id = any ($1)", list(FOLLOWED)
    )
    found.events_missing = max(0, found.episodes - events)
    found.events_twice = max(0, events - found.episodes)
    found.notifications = await conn.fetchval("select count(*) from notifications")
    found.digests = await conn.fetchval("select count(*) from notification_events where type = 'digest'")
    row = await conn.fetchrow(TOLD, list(FOLLOWED))
    assert row is not None
    found.missed, found.told_twice = row["missed"], row["told_twice"]
    found.over_the_limit = await conn.fetchval(
        "select count(*) from notification_budgets where used > $1", most_a_window
    )
    found.unfinished_fan_outs = await conn.fetchval("select count(*) from notification_events where done_at is null")
