"""What follows from talking: statistics and the activity log of its authors, and a repair that finds what was bent."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from typing import Any

import pytest

from actors.consumers.activity import Activity
from actors.consumers.user_stats import UserStats
from server.commands import repair as command
from server.errors import YojohanError
from sql import comments, reviews, user_stats
from sql.comments import Reader
from tests.judging import comment, review, settle, words
from tests.outboxes import drain
from tests.people import make_user
from tests.seeding import seed_releases
from tests.test_repair import findings


async def counts(conn: Any, user_id: int) -> tuple[int, int]:
    """How many comments and reviews somebody's statistics show."""
    found = await user_stats.get(conn, user_id)
    assert found is not None
    stats = json.loads(found.stats)
    return stats["comments_count"], stats["reviews_count"]


async def last_active(conn: Any, user_id: int) -> Any:
    found = await user_stats.get(conn, user_id)
    assert found is not None
    return json.loads(found.stats)["last_activity_at"]


async def test_what_somebody_says_is_in_their_statistics_before_and_after_it_is_counted(conn: Any, dsn: str) -> None:
    who, (release,) = await make_user(dsn), await seed_releases(conn, 1)
    first = await comment(conn, who, release, "The first of all comments here")
    await comment(conn, who, release, "An answer to that", first)
    made = await review(conn, who, release)
    assert made.review_id is not None
    assert await counts(conn, who) == (2, 1)
    assert await conn.fetchval("select count(*) from user_stats") == 0
    await drain(dsn, UserStats())
    assert await counts(conn, who) == (2, 1)
    assert await conn.fetchval("select (comments, reviews) = (2, 1) from user_stats where user_id = $1", who)
    seen = await last_active(conn, who)
    assert seen is not None
    # What moderators decide, and what is taken back, is counted; it is nothing new that the author has done.
    await settle(conn, "comment", first, "hidden")
    await reviews.delete(conn, who, made.review_id)
    assert await counts(conn, who) == (1, 0)
    assert await last_active(conn, who) == seen
    await drain(dsn, UserStats())
    assert await counts(conn, who) == (1, 0)
    assert await last_active(conn, who) == seen
    assert await findings(conn) == []


async def test_what_somebody_says_is_in_the_activity_log_once_and_only_when_it_can_be_read(conn: Any, dsn: str) -> None:
    who, other = await make_user(dsn), await make_user(dsn)
    one, two = await seed_releases(conn, 2)
    first = await comment(conn, who, one, "Said where everybody can answer")
    await comment(conn, other, one, "And so somebody does", first)
    held = (await review(conn, who, two, worded=True)).review_id
    await drain(dsn, Activity())
    log = "select actor_id, action_type, target_id from activity order by seq"
    expected = [(who, "commented", one), (other, "replied", one)]
    assert [tuple(row) for row in await conn.fetch(log)] == expected
    assert held is not None
    for state in ("visible", "hidden", "visible"):
        await settle(conn, "review", held, state)
    await drain(dsn, Activity())
    assert [tuple(row) for row in await conn.fetch(log)] == [*expected, (who, "reviewed", two)]


async def act(conn: Any, chance: random.Random, people: list[int], releases: list[int]) -> None:
    """Anything that may happen to comments and reviews."""
    who, release, text = chance.choice(people), chance.choice(releases), words(chance.randint(0, 10**9))
    known = [row["id"] for row in await conn.fetch("select id from comments where release_id = $1", release)]
    judged = [row["id"] for row in await conn.fetch("select id from reviews")]
    state = chance.choice(("visible", "visible", "pending", "hidden"))
    what = chance.randrange(8)
    try:
        if what < 3:
            parent = chance.choice(known) if known and chance.random() < 0.8 else None
            await comment(conn, who, release, text, parent, worded=chance.random() < 0.1)
        elif what == 3:
            await review(conn, who, release, chance.randint(1, 10), text)
        elif what == 4 and known:
            await settle(conn, "comment", chance.choice(known), state)
        elif what == 5 and judged:
            await settle(conn, "review", chance.choice(judged), state)
        elif what == 6 and known:
            await comments.delete(conn, Reader(who), chance.choice(known))
        elif judged:
            await reviews.vote(conn, who, chance.choice(judged))
    except YojohanError:
        pass


async def talk(conn: Any, dsn: str, *, acts: int = 200, seed: int = 3) -> tuple[list[int], list[int]]:
    """People who say this and that about some releases."""
    people, releases = [await make_user(dsn) for _ in range(4)], await seed_releases(conn, 3)
    chance = random.Random(seed)
    for _ in range(acts):
        await act(conn, chance, people, releases)
    return people, releases


@pytest.mark.parametrize("at_once", [1000, 7])
async def test_a_repair_finds_nothing_where_all_is_well_whatever_happened(
    conn: Any, dsn: str, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "AT_ONCE", at_once)
    people, releases = await talk(conn, dsn, acts=0)
    chance = random.Random(at_once)
    for number in range(300):
        await act(conn, chance, people, releases)
        if number % 75 == 50:
            assert await findings(conn) == []
            await drain(dsn, UserStats())
            assert await findings(conn) == []
    assert await conn.fetchval("select count(*) from comments where listed and not counted") > 0
    assert await conn.fetchval("select max(depth) from comments where listed") > 1


BENT = {
    "comments of a user": ("update user_stats set comments = comments + 3", "comments is"),
    "reviews of a user": ("update user_stats set reviews = 77", "reviews is 77,"),
    "comments of a release": ("update release_talk set comments = 99", "comments is 99,"),
    "threads of a release": ("update release_talk set threads = 98", "threads is 98,"),
    "reviews of a release": ("update release_talk set reviews = 97", "reviews is 97,"),
    "a sum of ratings": ("update release_talk set review_rating_sum = 9999", "review_rating_sum is 9999,"),
    "a release's row": ("delete from release_talk", "threads is 0,"),
    "answers": ("update comments set replies = replies + 2 where counted", "replies is"),
    "gaps": ("update comments set listed = not listed", "listed is"),
    "counted comments": ("update comments set counted = not counted", "counted is"),
    "open reports": ("update comments set reports = 5", "reports is 5, should be 0"),
    "counted reviews": ("update reviews set counted = not counted", "counted is"),
    "votes": ("update reviews set helpful = helpful + 4", "helpful is"),
    "reports of reviews": ("update reviews set reports = 6", "reports is 6, should be 0"),
    "everything": (
        """with a as (update comments set listed = false, counted = false, replies = 0), b as (delete from release_talk)
           update reviews set counted = false, helpful = 0""",
        "counted is 0, should be 1",
    ),
}  # fmt: skip
STATE = (
    "select id, counted, listed, replies, reports from comments order by id",
    "select id, counted, helpful, reports from reviews order by id",
    "select * from release_talk order by release_id",
    "select user_id, comments, reviews from user_stats order by user_id",
)


@pytest.mark.parametrize("at_once", [1000, 5])
async def test_what_was_bent_is_found_named_and_put_right(
    conn: Any, dsn: str, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "AT_ONCE", at_once)
    await talk(conn, dsn)
    await drain(dsn, UserStats())
    before = [await conn.fetch(query) for query in STATE]
    for name, (statement, said) in BENT.items():
        assert not (await conn.execute(statement)).endswith(" 0"), name
        assert any(said in line for line in await findings(conn)), name
        assert any(said in line for line in await findings(conn, keep=True)), name
        assert await findings(conn) == [], name
        assert [await conn.fetch(query) for query in STATE] == before, name


async def test_open_reports_are_counted_and_closed_ones_are_not(conn: Any, dsn: str) -> None:
    who, one, two = [await make_user(dsn) for _ in range(3)]
    (release,) = await seed_releases(conn, 1)
    said, judged = await comment(conn, who, release, "Reported by two"), (await review(conn, who, release)).review_id
    for kind, target in (("comment", said), ("review", judged)):
        for reporter, closed in ((one, None), (two, datetime.now(UTC))):
            await conn.execute(
                """insert into reports (target_type, target_id, user_id, reason, closed_at)
                   values ($1, $2, $3, 'spam', $4)""",
                kind, target, reporter, closed,
            )  # fmt: skip
    await conn.execute("update comments set reports = 1")
    assert await findings(conn, keep=True) == [f"review {judged}: reports is 0, should be 1"]
    assert await findings(conn) == []
