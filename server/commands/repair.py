"""`run.py repair`: counts everything anew that is counted up as it happens, says what differed, and puts it right.

    user 12: favorites is 7, should be 8
    users: 1 number differed
    …

The server may run meanwhile. What waits in the outbox is taken into account: it is not missing, only not counted yet.
`--check` changes nothing and exits with 1 if anything differs.
"""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import asyncpg

from actors.upkeep import DAYS_RETENTION
from server.database import dedicated_connection
from server.errors import DeadlineExceeded
from server.settings import Settings
from sql import recount, release_counts, talk_counts, user_stats
from sql.query import Connection
from sql.recount import Difference

AT_ONCE = 1000
ATTEMPTS = 20
# Another changed what we were about to: in one snapshot that is an error, and the next try sees it.
PASSING = (asyncpg.SerializationError, DeadlineExceeded)
MOST_LINES = 200

NextIds = Callable[[Connection, int, int], Awaitable[list[int]]]
Mend = Callable[[Connection, Sequence[int]], Awaitable[list[Difference]]]


@dataclass(frozen=True, slots=True)
class Part:
    """Numbers of one kind: `noun` is what they belong to, `next_ids` walks through these, `mend` puts some right."""

    name: str
    noun: str
    next_ids: NextIds
    mend: Mend


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if anything differs")


async def run(settings: Settings, arguments: argparse.Namespace) -> int:
    """Repair, or check; 1 where a check found something."""
    async with dedicated_connection(settings) as conn:
        differed = await repair(conn, print, keep=not arguments.check)
    return 1 if arguments.check and differed else 0


async def repair(conn: Connection, say: Callable[[str], None], *, keep: bool) -> int:
    """Go through everything; how many numbers differed. Without `keep` what is put right is taken back."""
    total = 0
    for part in await parts(conn):
        differed = await _part(conn, part, say, keep=keep)
        say(f"{part.name}: {differed or 'no'} number{'s' if differed != 1 else ''} differed")
        total += differed
    return total


async def parts(conn: Connection) -> list[Part]:
    """What there is to count, as far as it can be counted exactly."""
    found = [
        Part("statistics of users", "user", user_stats.user_ids, _mend_users),
        Part("counters of releases", "release", release_counts.release_ids, release_counts.mend),
        Part("comments", "comment", talk_counts.comment_keys, talk_counts.mend_comments),
        Part("reviews", "review", talk_counts.review_ids, talk_counts.mend_reviews),
        Part("talk under releases", "release", talk_counts.release_ids, talk_counts.mend_releases),
        Part("notifications of users", "user", recount.budget_ids, recount.mend_budgets),
        Part("catalogue", "total", _only_one, _mend_totals),
    ]
    if await recount.days_are_whole(conn, timedelta(days=DAYS_RETENTION)):
        found.append(Part("views of releases", "release", recount.release_ids, recount.mend_views))
    return found


async def _part(conn: Connection, part: Part, say: Callable[[str], None], *, keep: bool) -> int:
    after, count = 0, 0
    while ids := await part.next_ids(conn, after, AT_ONCE):
        after = ids[-1]
        for found in await _in_one_snapshot(conn, partial(part.mend, conn, ids), keep=keep):
            count += 1
            if count <= MOST_LINES:
                say(f"{part.noun} {found.id}: {found.name} {_fault(found)}")
            elif count == MOST_LINES + 1:
                say("… and more")
    return count


async def _in_one_snapshot(
    conn: Connection, work: Callable[[], Awaitable[list[Difference]]], *, keep: bool
) -> list[Difference]:
    for attempt in range(1, ATTEMPTS + 1):
        transaction = conn.transaction(isolation="repeatable_read")
        await transaction.start()
        try:
            found = await work()
        except BaseException as error:
            await transaction.rollback()
            if not isinstance(error, PASSING) or attempt == ATTEMPTS:
                raise
        else:
            await (transaction.commit() if keep else transaction.rollback())
            return found
    raise AssertionError("the last attempt returns or raises")


def _fault(found: Difference) -> str:
    return "is out of date" if found.stored == found.expected else f"is {found.stored}, should be {found.expected}"


async def _mend_users(conn: Connection, ids: Sequence[int]) -> list[Difference]:
    found = [Difference(one.user_id, one.name, one.stored, one.expected) for one in await user_stats.mend(conn, ids)]
    stale = await user_stats.refresh_genres(conn, ids, settled_only=True)
    return found + [Difference(user_id, "favorite_genres", 0, 0) for user_id in stale]


async def _only_one(_: Connection, after: int, __: int) -> list[int]:
    return [] if after else [1]


async def _mend_totals(conn: Connection, _: Sequence[int]) -> list[Difference]:
    return await recount.mend_totals(conn)
