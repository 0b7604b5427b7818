"""What people know against the tables: libraries, subscriptions, exports, and all that follows from them later."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, fields
from time import monotonic
from typing import Any

import asyncpg

from sql import outbox
from sql.library import COLLECTION, COLLECTION_NAMES, FAVORITE
from tests.chaos.deeds import KEPT, episode
from tests.chaos.model import NOTHING, Key, State, Watching
from tests.chaos.person import Person
from tests.chaos.process import EPISODES

PATIENCE = 30.0
# A dead process's operations are taken up again twenty seconds after it was last heard of, which are not waited for.
FORGET_LEASES = "update operations set leased_until = now() where status = 'running'"
# The same act of the same actor on the same target within five seconds is told once.
TOLD_TWICE = """
select count(*)
from activity one
join activity other using (actor_id, action_type, target_type, target_id)
where one.seq < other.seq and abs(extract(epoch from other.created_at - one.created_at)) < 5
"""
UNTOLD = """
select count(*) from (
    select user_id, 'subscribed' as action_type, target_id from subscriptions where user_id = any ($1::bigint[])
    union all
    select user_id, 'favorited', release_id from library_entries where kind = 1 and not deleted
) done
where not exists (
    select from activity told
    where told.actor_id = done.user_id and told.action_type = done.action_type and told.target_type = 'release'
      and told.target_id = done.target_id
)
"""


@dataclass
class PeopleVerdict:
    """How many keys there are and how many are certain; everything else has to be 0."""

    keys: int = 0
    certain: int = 0
    subscriptions: int = 0
    exports: int = 0
    lost: int = 0
    subscriptions_lost: int = 0
    subscribed_twice: int = 0
    exports_lost: int = 0
    exported_twice: int = 0
    unfinished_operations: int = 0
    revisions_backwards: int = 0
    undelivered_events: int = 0
    dead_events: int = 0
    told_twice: int = 0
    untold: int = 0

    @property
    def sound(self) -> bool:
        """Whether all was kept, and once."""
        faults = [getattr(self, one.name) for one in fields(self)][4:]
        return not any(faults) and self.certain > 0

    def __str__(self) -> str:
        return "\n".join(f"  {name.replace('_', ' '):<24}{value:>6}" for name, value in vars(self).items())


async def judge(conn: asyncpg.Connection[asyncpg.Record], people: list[Person]) -> PeopleVerdict:
    """Wait until all is done that was to be done later, then compare."""
    found = PeopleVerdict()
    await conn.execute(FORGET_LEASES)
    await _settled(conn)
    found.undelivered_events = sum(one.waiting + one.parked for one in await outbox.measure(conn, 10_000))
    found.dead_events = await conn.fetchval("select count(*) from outbox_deliveries where dead_at is not null")
    found.unfinished_operations = await conn.fetchval("select count(*) from operations where status <> 'succeeded'")
    found.told_twice = await conn.fetchval(TOLD_TWICE)
    found.untold = await conn.fetchval(UNTOLD, [person.id for person in people])
    for person in people:
        await _library(conn, person, found)
        await _orders(conn, person, found)
    found.revisions_backwards += people[0].notes.backwards
    return found


async def _settled(conn: asyncpg.Connection[asyncpg.Record]) -> None:
    deadline = monotonic() + PATIENCE
    while monotonic() < deadline:
        behind = [one for one in await outbox.measure(conn, 1) if one.waiting or one.parked]
        working = await conn.fetchval("select exists (select from operations where status in ('queued', 'running'))")
        if not behind and not working:
            return
        await asyncio.sleep(0.1)


async def _library(conn: asyncpg.Connection[asyncpg.Record], person: Person, found: PeopleVerdict) -> None:
    kept = await stored(conn, person.id)
    for key in sorted({*kept, *person.library.possible}):
        possible = person.library.of(key)
        found.keys += 1
        found.certain += len(possible) == 1
        found.lost += kept.get(key, NOTHING[key[0]]) not in possible
    highest = await conn.fetchrow(
        """select coalesce((select revision from user_revisions where user_id = $1), 0) as reached, greatest(
               (select max(revision) from library_entries where user_id = $1),
               (select max(revision) from progress where user_id = $1),
               (select max(revision) from subscriptions where user_id = $1)) as used""",
        person.id,
    )
    assert highest is not None
    found.revisions_backwards += highest["reached"] < max(person.revision, highest["used"] or 0)


async def _orders(conn: asyncpg.Connection[asyncpg.Record], person: Person, found: PeopleVerdict) -> None:
    follows = await conn.fetch(
        "select id::text, target_id, deleted_at is not null as gone from subscriptions where user_id = $1", person.id
    )
    exports = await conn.fetch("select id::text from operations where user_id = $1 and kind = 'export'", person.id)
    lost, doubled = person.follows.judge({row["id"]: (row["target_id"], row["gone"]) for row in follows})
    found.subscriptions_lost += lost
    found.subscribed_twice += doubled
    lost, doubled = person.exports.judge({row["id"]: (0, False) for row in exports})
    found.exports_lost += lost
    found.exported_twice += doubled
    found.subscriptions += len(follows)
    found.exports += len(exports)


async def stored(conn: asyncpg.Connection[asyncpg.Record], user_id: int) -> dict[Key, State]:
    """The library as the tables hold it."""
    found: dict[Key, Any] = {}
    places = {episode(release, place): (release, place) for release in range(1, KEPT + 1) for place in range(EPISODES)}
    for row in await conn.fetch("select * from library_entries where user_id = $1 and not deleted", user_id):
        if row["kind"] == COLLECTION:
            found["watching", row["release_id"]] = Watching(COLLECTION_NAMES[row["value"]])
        else:
            kind = "favorites" if row["kind"] == FAVORITE else "ratings"
            found[kind, row["release_id"]] = True if row["kind"] == FAVORITE else row["value"]
    for row in await conn.fetch("select * from progress where user_id = $1 and not deleted", user_id):
        release, place = places[row["episode_id"]]
        before = found.get(("watching", release), Watching())
        steps = list(before.steps)
        steps[place] = row["position_seconds"], row["completed"]
        found["watching", release] = before._replace(steps=tuple(steps))
    return found
