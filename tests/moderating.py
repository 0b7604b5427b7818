"""What tests of moderation share: things said, decided about, reported; what was written down and told of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sql import moderation, reports
from sql.moderation import Decision, Kind, Moderator, State
from tests import judging
from tests.catalogue_seed import connect
from tests.commenting import post, wrong_counters

EMPTY = (
    "truncate comments, reviews, helpful_votes, release_talk, outbox, moderation_decisions, reports restart identity"
)


@asynccontextmanager
async def silent(dsn: str) -> AsyncIterator[Any]:
    """A connection to a database in which nobody has said anything."""
    connection = await connect(dsn)
    await connection.execute(EMPTY)
    yield connection
    await connection.close()


async def say(conn: Any, kind: str, author: int, release: int = 3, *, worded: bool = False) -> int:
    """Something that somebody says; its id."""
    if kind == "comment":
        made = (await post(conn, author, release, worded=worded)).comment_id
    else:
        made = (await judging.review(conn, author, release, worded=worded)).review_id
    assert made is not None
    return made


async def row(conn: Any, kind: str, target: int) -> dict[str, Any]:
    return dict(await conn.fetchrow(f"select * from {kind}s where id = $1", target))


async def decide(conn: Any, moderator: int, kind: Kind, target: int, state: State, why: str = "") -> str:
    (verdict,) = await moderation.moderate(conn, Moderator(moderator, False), [Decision(kind, target, state, why)])
    return verdict.outcome


async def decisions(conn: Any) -> list[tuple[Any, ...]]:
    rows = await conn.fetch(
        """select target_type, target_id, moderator_id, state_before, state_after, reason, held_for
           from moderation_decisions order by id"""
    )
    return [tuple(one) for one in rows]


async def told(conn: Any) -> list[Any]:
    rows = await conn.fetch("select entity, user_id, payload from outbox where topic = 'moderation' order by xid, id")
    return [tuple(one) for one in rows]


async def sound(conn: Any) -> None:
    """Every counter is what counting anew would make it."""
    assert await wrong_counters(conn) == []
    assert await judging.wrong(conn) == []


async def report(conn: Any, kind: Kind, target: int, reporter: int, reason: str = "spam", note: str = "") -> list[str]:
    return (await reports.report(conn, kind, target, reporter, reason, note))[1]
