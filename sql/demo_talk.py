"""The database's side of what the demo's users say: comments and reviews, and all that is counted of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sql.query import Connection, load

QUERIES = load("demo_talk")


@dataclass(frozen=True, slots=True)
class Rated:
    """What an author (their place among those asked for, from 1) gave a release."""

    author: int
    release_id: int
    rating: int


@dataclass(frozen=True, slots=True)
class Talk:
    """Columns: `remarks` and `reviews` as `make_remarks` and `make_reviews` name them, votes and reports by number."""

    remarks: Sequence[Sequence[Any]]
    reviews: Sequence[Sequence[Any]]
    votes: Sequence[Sequence[int]]
    reports: Sequence[Sequence[Any]]
    moderator: int


async def authors(conn: Connection, username_keys: Sequence[str]) -> list[int]:
    """Ids of those of these users that are there, in the order of the names."""
    return [row["id"] for row in await QUERIES.authors.fetch(conn, username_keys)]


async def said_anything(conn: Connection, user_ids: Sequence[int]) -> bool:
    """Whether any of them ever wrote a comment or a review."""
    return bool(await QUERIES.said_anything.fetchval(conn, user_ids))


async def rated(conn: Connection, user_ids: Sequence[int], seed: int, limit: int) -> list[Rated]:
    """Some of what these people rated within `sql.demo.audience`."""
    return [Rated(**row) for row in await QUERIES.rated.fetch(conn, user_ids, seed, limit)]


async def fill(conn: Connection, talk: Talk, now: datetime) -> tuple[int, int]:
    """Write it down within `sql.demo.audience`; how many comments and reviews there are of it. In a transaction."""
    await drop(conn)
    comments = await QUERIES.make_remarks.execute(conn, *talk.remarks, now)
    reviews = await QUERIES.make_reviews.execute(conn, *talk.reviews, now)
    await QUERIES.fill_counts.execute(conn)
    await QUERIES.fill_comments.execute(conn)
    await QUERIES.fill_reviews.execute(conn, now)
    await QUERIES.fill_votes.execute(conn, *talk.votes, now)
    await QUERIES.fill_reports.execute(conn, *talk.reports)
    await QUERIES.fill_decisions.execute(conn, talk.moderator, now)
    await QUERIES.fill_activity.execute(conn)
    await QUERIES.fill_notifications.execute(conn, now)
    await QUERIES.fill_stats.execute(conn)
    await QUERIES.appoint.execute(conn, talk.moderator)
    await drop(conn)
    return comments, reviews


async def drop(conn: Connection) -> None:
    """Away with the tables of an earlier time."""
    await QUERIES.drop_remarks.execute(conn)
    await QUERIES.drop_reviews.execute(conn)
