"""What the demo's users have said: a few thousand comments and reviews, with everything that is counted of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from server.demo import threads
from server.demo.threads import Remark, Report, Review
from server.demo.users import DAYS_BETWEEN, KEYS
from server.demo.views import seed_of
from sql import demo, demo_talk
from sql.demo_talk import Talk
from sql.query import Connection

# The youngest users were not there yet sixty days ago.
AUTHORS = KEYS[: -60 // DAYS_BETWEEN - 1]
# Fewer have nothing to say to each other.
LEAST = 20


async def fill(conn: Connection, *, releases: int, seed: int, now: datetime) -> tuple[int, int]:
    """Let the demo's users talk if none of them ever did; how many comments and reviews that makes.

    The connection must be outside a transaction.
    """
    people = await demo_talk.authors(conn, AUTHORS)
    if len(people) < LEAST or await demo_talk.said_anything(conn, people):
        return 0, 0
    async with demo.audience(conn, releases, now) as talked_about:
        if not talked_about:
            return 0, 0
        rated = await demo_talk.rated(conn, people, seed_of(seed), threads.REVIEWS_AT_MOST)
        remarks = threads.remarks(seed, talked_about, len(people))
        reported = threads.reports(seed, remarks, len(people))
        reviews = threads.reviews(seed, [(one.author - 1, one.release_id, one.rating) for one in rated], len(people))
        async with conn.transaction():
            return await demo_talk.fill(conn, in_columns(people, remarks, reported, reviews), now)


def in_columns(
    people: Sequence[int], remarks: Sequence[Remark], reported: Sequence[Report], reviews: Sequence[Review]
) -> Talk:
    """As `sql.demo_talk` takes it."""
    hidden = {one.number for one in remarks if one.fate == "hidden"}
    still_open = Counter(one.number for one in reported if one.number not in hidden)
    votes = [(number, people[voter]) for number, one in enumerate(reviews, 1) for voter in one.voters]
    shape = ("rank", "parent", "root", "depth", "moment", "part", "text", "spoiler", "fate", "edited", "replies")
    judged = ("release_id", "rating", "moment", "text", "spoiler", "fate")
    return Talk(
        remarks=(
            [people[one.author] for one in remarks], *_columns(remarks, shape),
            [still_open[one.number] for one in remarks],
        ),
        reviews=(
            [people[one.author] for one in reviews], *_columns(reviews, judged), [len(one.voters) for one in reviews],
        ),
        votes=([number for number, _ in votes], [voter for _, voter in votes]),
        reports=(
            *_columns(reported, ("number",)), [people[one.reporter] for one in reported],
            *_columns(reported, ("reason",)),
        ),
        moderator=people[0],
    )  # fmt: skip


def _columns(rows: Sequence[object], names: Sequence[str]) -> list[list[Any]]:
    return [[getattr(row, name) for row in rows] for name in names]
