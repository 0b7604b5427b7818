"""An account goes: what it said leaves threads as they were, without author and text, and every number is right."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import pytest

from actors.consumers.user_stats import UserStats
from server import erasing
from server.database import Database, connect
from server.errors import NotFound
from sql import comments, erasure, reviews
from sql.comments import Reader
from sql.exports import PARTS, page
from tests import catalogue_seed
from tests.http_fixture import ON_18
from tests.judging import comment, review, settle, words
from tests.outboxes import drain
from tests.people import make_user, person
from tests.running import running
from tests.seeding import seed_releases
from tests.test_repair import findings
from tests.test_talk_counts import act, talk

# Every column that may hold the number of somebody who said something, decided or reported.
TRACES = """
    select count(*) from (
        select user_id from comments union all select user_id from reviews union all select user_id from helpful_votes
        union all select user_id from reports union all select author_id from moderation_decisions
        union all select moderator_id from moderation_decisions union all select created_by from word_rules
        union all select user_id from outbox union all select user_id from user_stats
    ) traces where user_id = $1
"""


async def erase(dsn: str, user_id: int) -> set[str]:
    """Erase as the server does; the tags it says are stale."""
    database, stale = Database(dsn), set[str]()
    await database.open()
    try:
        await erasing.erase(database, user_id, stale.update)
    finally:
        await database.close()
    return stale


async def test_a_thread_keeps_its_shape_without_the_author_and_their_words(conn: Any, dsn: str) -> None:
    gone, other = await make_user(dsn), await make_user(dsn)
    (release,) = await seed_releases(conn, 1)
    first = await comment(conn, gone, release, "A thread begins here")
    answer = await comment(conn, other, release, "And here somebody answers", first)
    mine = await comment(conn, gone, release, "Which is answered again", answer)
    alone = await comment(conn, gone, release, "Nobody answered this one")
    stale = await erase(dsn, gone)
    assert stale == {f"comments:{release}", f"reviews:{release}", f"personal:{gone}"}
    rows = {row["id"]: row for row in await conn.fetch("select * from comments")}
    for one in (first, mine, alone):
        assert (rows[one]["user_id"], rows[one]["text"], rows[one]["counted"]) == (None, "", False)
        assert rows[one]["deleted_at"] is not None
    # The gap above an answer stays in the list; what nobody answered goes.
    assert [rows[one]["listed"] for one in (first, answer, mine, alone)] == [True, True, False, False]
    assert rows[answer]["replies"] == 0
    found = await comments.threads(conn, Reader(), release, None, None, 10, newest=True)
    assert found is not None
    (gap,) = map(json.loads, found.comments)
    assert (gap["id"], gap["hidden"], gap["author"], gap["replies_count"]) == (first, "deleted", None, 1)
    assert await conn.fetchval("select (comments, threads) = (1, 1) from release_talk")
    assert await conn.fetchval(TRACES, gone) == 0
    assert await findings(conn) == []


async def test_votes_reports_and_decisions_go_and_what_they_counted_follows(conn: Any, dsn: str) -> None:
    gone, other, third = [await make_user(dsn) for _ in range(3)]
    one, two = await seed_releases(conn, 2)
    theirs = (await review(conn, gone, one, 3)).review_id
    others = (await review(conn, other, one, 8)).review_id
    said = await comment(conn, other, two, "Reported by somebody who goes")
    assert theirs is not None
    assert others is not None
    await reviews.vote(conn, other, theirs)
    for voter in (gone, third):
        await reviews.vote(conn, voter, others)
    report = "insert into reports (target_type, target_id, user_id, reason, closed_at) values ($1, $2, $3, 'spam', $4)"
    for kind, target, reporter, closed in (
        ("comment", said, gone, None), ("comment", said, third, None), ("review", theirs, third, None),
        ("review", others, gone, await conn.fetchval("select now()")),
    ):  # fmt: skip
        await conn.execute(report, kind, target, reporter, closed)
    await conn.execute("update comments set reports = 2")
    await conn.execute("update reviews set reports = 1 where id = $1", theirs)
    await conn.execute(
        """insert into moderation_decisions (target_type, target_id, release_id, author_id, moderator_id, state_before,
                                             state_after)
           values ('review', $1, 1, $2, $3, 'visible', 'hidden'), ('review', $1, 1, $3, $2, 'hidden', 'visible')""",
        theirs, gone, other,
    )  # fmt: skip
    await conn.execute(
        "insert into word_rules (pattern, kind, action, created_by) values ('spam', 'word', 'hold', $1)", gone
    )
    assert await findings(conn) == []
    await erase(dsn, gone)
    assert await conn.fetchval(TRACES, gone) == 0
    assert await conn.fetchval("select helpful from reviews where id = $1", others) == 1
    assert await conn.fetchval("select reports from comments where id = $1", said) == 1
    assert await conn.fetchval("select count(*) from moderation_decisions") == 2
    # What others reported of theirs waits for nobody any more.
    assert await conn.fetchval("select count(*) from reports where target_type = 'review' and closed_at is null") == 0
    listed = await reviews.page(conn, one, reviews.Order("helpful", descending=True), 10)
    assert listed is not None
    assert (listed.count, listed.average, [row.id for row in listed.rows]) == (1, "8.00", [others])
    assert await findings(conn) == []


async def test_a_great_deal_goes_in_slices_and_the_rest_with_the_account(
    conn: Any, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = await make_user(dsn)
    releases = await seed_releases(conn, 5)
    for number in range(43):
        await comment(conn, gone, releases[number % 5], words(number))
    slices = []
    while (forgotten := await erasure.forget_said(conn, gone, 10)).count:
        slices.append(forgotten.count)
        assert await conn.fetchval("select count(*) from comments where user_id = $1", gone) == 43 - sum(slices)
        assert await findings(conn) == []
        if len(slices) == 2:
            break
    await comment(conn, gone, releases[0], "Said between two slices")
    monkeypatch.setattr(erasure, "AT_ONCE", 7)
    async with conn.transaction():
        await erasure.erase(conn, gone)
    assert await conn.fetchval(TRACES, gone) == 0
    assert await conn.fetchval("select sum(comments) + sum(threads) from release_talk") == 0
    assert await findings(conn) == []


async def test_whoever_is_not_there_cannot_be_erased(dsn: str) -> None:
    with pytest.raises(NotFound):
        await erase(dsn, 10**9)


async def test_accounts_go_while_others_write_vote_and_decide_and_nobody_waits_in_a_ring(conn: Any, dsn: str) -> None:
    people, releases = await talk(conn, dsn, acts=150, seed=9)
    leaving = [await make_user(dsn) for _ in range(4)]
    chance = random.Random(2)
    for _ in range(150):
        await act(conn, chance, leaving, releases)
    done = False

    async def busy(seed: int) -> None:
        own = await connect(dsn)
        chance = random.Random(seed)
        while not done:
            await act(own, chance, people + leaving, releases)
        await own.close()

    async def leave() -> None:
        nonlocal done
        try:
            for one in leaving:
                await erase(dsn, one)
        finally:
            done = True

    async with asyncio.timeout(60):
        await asyncio.gather(leave(), *(busy(seed) for seed in range(4)))
    for one in leaving:
        assert await conn.fetchval(TRACES, one) == 0
    await drain(dsn, UserStats())
    assert await findings(conn) == []


async def test_what_somebody_said_and_thought_is_in_their_archive_and_nobody_elses(conn: Any, dsn: str) -> None:
    who, other = await make_user(dsn), await make_user(dsn)
    one, two = await seed_releases(conn, 2)
    first = await comment(conn, who, one, "The first of mine")
    second = await comment(conn, who, two, "The second of mine")
    await comments.delete(conn, Reader(who), second)
    foreign = await comment(conn, other, one, "Somebody else's words")
    mine, theirs = (await review(conn, who, one, 9)).review_id, (await review(conn, other, one, 2)).review_id
    assert theirs is not None
    await reviews.vote(conn, who, theirs)
    await conn.execute(
        """insert into reports (target_type, target_id, user_id, reason, note)
           values ('comment', $1, $2, 'spam', 'mine'), ('review', $3, $2, 'abuse', ''),
                  ('review', $4, $5, 'spam', '')""",
        foreign, who, theirs, mine, other,
    )  # fmt: skip
    await settle(conn, "review", theirs, "hidden")
    await conn.execute(
        """insert into moderation_decisions (target_type, target_id, release_id, author_id, moderator_id, state_before,
                                             state_after, reason)
           values ('review', $1, 1, $2, $3, 'visible', 'hidden', 'why')""",
        mine, who, other,
    )  # fmt: skip
    found = {}
    for part in PARTS:
        lines, after = await page(conn, who, part, 0)
        assert after is None
        found[part] = [json.loads(line) for line in lines]
    assert [(row["id"], row["text"], row["deleted_at"] is None) for row in found["comments"]] == [
        (first, "The first of mine", True), (second, "The second of mine", False),
    ]  # fmt: skip
    assert [(row["id"], row["rating"]) for row in found["reviews"]] == [(mine, 9)]
    assert [row["review_id"] for row in found["helpful_votes"]] == [theirs]
    assert sorted((row["target_type"], row["target_id"]) for row in found["reports"]) == [
        ("comment", foreign), ("review", theirs),
    ]  # fmt: skip
    assert [row["reason"] for row in found["moderation_decisions"]] == ["why"]
    assert "Somebody else" not in json.dumps(found)


async def test_an_archive_of_many_comments_is_whole_although_some_are_of_one_moment(
    conn: Any, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sql.exports.PAGE", 7)
    who, (release,) = await make_user(dsn), await seed_releases(conn, 1)
    await conn.execute(
        """insert into comments (release_id, user_id, text, created_at)
           select $1, $2, 'said', now() - (n / 10) * interval '1 hour' from generate_series(1, 60) n""",
        release, who,
    )  # fmt: skip
    seen: list[int] = []
    after: int | None = 0
    while after is not None:
        lines, after = await page(conn, who, "comments", after)
        seen += [json.loads(line)["id"] for line in lines]
    assert len(seen) == len(set(seen)) == 60


@ON_18
async def test_the_name_is_gone_from_kept_pages_the_moment_the_account_is(conn: Any, dsn: str, tmp_path: Path) -> None:
    await catalogue_seed.fill(conn, 30)
    async with running(dsn, tmp_path) as site:
        gone, other = await person(site, "somebody-who-goes"), await person(site)
        first = await comment(conn, other.id, 3, "Answered by somebody who goes")
        await comment(conn, gone.id, 3, "Said by somebody who goes", first)
        await comment(conn, gone.id, 3, "Also said by somebody who goes")
        made = await review(conn, gone.id, 3)
        pages = ("releases/3/comments", f"comments/{first}/replies", "releases/3/reviews", f"reviews/{made.review_id}")
        for where in pages * 2:
            async with site.client.get(f"/api/v1/{where}") as answer:
                assert gone.username in await answer.text()
        async with site.client.delete("/api/v1/profile", headers=gone.headers) as answer:
            assert answer.status == 204
        for where in pages:
            async with site.client.get(f"/api/v1/{where}") as answer:
                assert gone.username not in await answer.text(), where
