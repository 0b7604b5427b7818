"""What people know to have said against the tables, and what was promised: quotas, votes, reports, told once."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import asyncpg

from tests.chaos.person import Person
from tests.chaos.sayings import Faults, Kind, Stored
from tests.chaos.voice import MOST_COMMENTS, MOST_REVIEWS

# Texts in which somebody came closer to the one so many before than the window is long.
OVER_QUOTA = """
select count(*) from (
    select created_at - lag(created_at, $1::integer) over (partition by user_id order by created_at, id) as apart
    from {kind}
) spaced
where apart < interval '1 minute'
"""
TOLD_TWICE = """
select coalesce(sum(times - 1), 0) from (
    select count(*) as times from notification_events where type = 'reply' group by target_id
) told
"""
VOTED = """
select v.review_id from helpful_votes v join reviews r on r.id = v.review_id
where v.user_id = $1 and r.deleted_at is null
"""


@dataclass
class TalkVerdict:
    """How much there is; everything from `lost` on has to be 0."""

    comments: int = 0
    reviews: int = 0
    held: int = 0
    gone: int = 0
    votes: int = 0
    reports: int = 0
    told: int = 0
    lost: int = 0
    doubled: int = 0
    invented: int = 0
    altered: int = 0
    revived: int = 0
    over_quota: int = 0
    votes_wrong: int = 0
    reports_lost: int = 0
    told_twice: int = 0

    @property
    def sound(self) -> bool:
        """Whether all was kept, and once."""
        names = [one.name for one in fields(self)]
        faults = [getattr(self, name) for name in names[names.index("lost") :]]
        return not any(faults) and self.comments > 0 and self.reviews > 0

    def __str__(self) -> str:
        return "\n".join(f"  {name.replace('_', ' '):<24}{value:>6}" for name, value in vars(self).items())


async def judge(conn: asyncpg.Connection[asyncpg.Record], people: list[Person]) -> TalkVerdict:
    """Compare. Nothing happens any more."""
    found = TalkVerdict()
    faults = Faults()
    for person in people:
        await _sayings(conn, person, found, faults)
        await _votes(conn, person, found)
        await _reports(conn, person, found)
    for name, value in vars(faults).items():
        setattr(found, name, value)
    for kind, most in (("comments", MOST_COMMENTS), ("reviews", MOST_REVIEWS)):
        found.over_quota += await conn.fetchval(OVER_QUOTA.format(kind=kind), most)
        found.held += await conn.fetchval(f"select count(*) from {kind} where queued_at is not null")
    found.told = await conn.fetchval("select count(*) from notification_events where type = 'reply'")
    found.told_twice = int(await conn.fetchval(TOLD_TWICE))
    return found


async def _sayings(
    conn: asyncpg.Connection[asyncpg.Record], person: Person, found: TalkVerdict, faults: Faults
) -> None:  # fmt: skip
    kinds: tuple[Kind, ...] = ("comments", "reviews")
    for kind in kinds:
        rows = await conn.fetch(
            f"select id, text, deleted_at is not null as gone from {kind} where user_id = $1", person.id
        )
        setattr(found, kind, getattr(found, kind) + len(rows))
        found.gone += sum(row["gone"] for row in rows)
        _sayings_of(person).judge(kind, [Stored(**row) for row in rows], faults)


async def _votes(conn: asyncpg.Connection[asyncpg.Record], person: Person, found: TalkVerdict) -> None:
    given = {row["review_id"] for row in await conn.fetch(VOTED, person.id)}
    there = {row["id"] for row in await conn.fetch("select id from reviews where deleted_at is null")}
    known = _sayings_of(person).votes
    found.votes += len(given)
    found.votes_wrong += len(given - set(known))
    found.votes_wrong += sum((review in given) not in may for review, may in known.items() if review in there)


async def _reports(conn: asyncpg.Connection[asyncpg.Record], person: Person, found: TalkVerdict) -> None:
    rows = await conn.fetch("select target_type, target_id from reports where user_id = $1", person.id)
    stored = {(row["target_type"] + "s", row["target_id"]) for row in rows}
    found.reports += len(stored)
    found.reports_lost += len(_sayings_of(person).reports - stored)


def _sayings_of(person: Person) -> Any:
    assert person.voice is not None
    return person.voice.sayings
