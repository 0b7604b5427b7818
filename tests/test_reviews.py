"""Reviews as the database keeps them: one a user and release, quotas, votes, and numbers that are always right."""

from __future__ import annotations

import asyncio
import json
import random
from datetime import timedelta
from typing import Any

import pytest

from server.database import connect
from server.errors import Conflict, Forbidden, NotFound, Unauthenticated
from server.rules.reviews import SORTS, order
from sql import reviews
from sql.reviews import Judged
from tests.judging import DAILY, review, settle, told, words, wrong
from tests.people import make_user
from tests.seeding import seed_releases


async def listed(conn: Any, release_id: int, sort: str = "-helpful", **more: Any) -> reviews.Listed:
    found = await reviews.page(conn, release_id, order(sort), more.pop("limit", 20), **more)  # type: ignore[arg-type]
    assert found is not None
    return found


async def test_a_review_is_counted_told_of_and_shown(conn: Any, dsn: str) -> None:
    author, (release,) = await make_user(dsn, "judge"), await seed_releases(conn, 1)
    posted = await review(conn, author, release, 8)
    assert posted.review is not None
    shown = json.loads(posted.review)
    assert shown["author"] == {"id": author, "username": "judge"}
    assert (shown["rating"], shown["state"], shown["helpful_count"], shown["edited_at"]) == (8, "visible", 0, None)
    assert (shown["is_mine"], shown["is_helpful"]) == (True, False)
    assert await told(conn, author) == [
        {"delta": {"reviews": 1}, "activity": [["reviewed", "release", release, {"review_id": posted.review_id}]]}
    ]
    page = await listed(conn, release)
    assert (page.count, page.average) == (1, "8.00")
    for_visitors = {name: value for name, value in shown.items() if name not in ("is_mine", "is_helpful")}
    assert [json.loads(row.review) for row in page.rows] == [for_visitors]
    assert await wrong(conn) == []


async def test_nobody_reviews_a_release_twice_not_even_at_the_same_moment(conn: Any, dsn: str) -> None:
    author, (release, other) = await make_user(dsn), await seed_releases(conn, 2)
    connections = [await connect(dsn) for _ in range(4)]
    tries = [review(one, author, release, 5, words(n)) for n, one in enumerate(connections)]
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    assert sorted(type(one).__name__ for one in outcomes) == ["Conflict", "Conflict", "Conflict", "Posted"]
    for one in connections:
        await one.close()
    await review(conn, author, other)
    assert await conn.fetchval("select count(*) from reviews") == 2
    assert await wrong(conn) == []


async def test_an_unknown_or_hidden_release_and_a_lost_account_have_no_reviews(conn: Any, dsn: str) -> None:
    author, (release, hidden) = await make_user(dsn), await seed_releases(conn, 2)
    await conn.execute("update releases set deleted_at = now() where id = $1", hidden)
    for unknown in (hidden, 10**9):
        with pytest.raises(NotFound):
            await review(conn, author, unknown)
        assert await reviews.page(conn, unknown, order("-helpful"), 5) is None
    with pytest.raises(Unauthenticated):
        await review(conn, 10**9, release)
    assert await conn.fetchval("select count(*) from reviews") == 0


async def test_a_deleted_review_may_be_written_anew_and_the_quota_counts_both(conn: Any, dsn: str) -> None:
    author, (one, two, three) = await make_user(dsn), await seed_releases(conn, 3)
    used = []
    for number in range(3):
        posted = await review(conn, author, one, 3, words(number), quota=DAILY)
        assert posted.review_id is not None
        used.append(posted.used)
        assert posted.frees_at is not None
        assert timedelta(hours=23) < posted.frees_at - posted.moment <= timedelta(days=1)
        for _ in range(2):
            assert await reviews.delete(conn, author, posted.review_id) == reviews.Erased(False, one)
    assert used == [1, 2, 3]
    full = await review(conn, author, two, quota=DAILY)
    assert (full.outcome, full.used, full.review) == ("full", 3, None)
    # The oldest leaves the window: there is room for one, and then the next of them is waited for.
    await conn.execute(
        "update reviews set created_at = created_at - interval '1 day' where id = (select min(id) from reviews)"
    )
    again = await review(conn, author, two, quota=DAILY)
    assert (again.outcome, again.used) == ("made", 3)
    assert again.frees_at == await conn.fetchval(
        "select min(created_at) + interval '1 day' from reviews where created_at > now() - interval '1 day'"
    )
    assert (await review(conn, author, three, quota=DAILY)).outcome == "full"
    assert (await review(conn, author, three)).outcome == "made"
    assert await wrong(conn) == []


async def test_a_quota_is_exact_when_all_come_at_once(conn: Any, dsn: str) -> None:
    author, releases = await make_user(dsn), await seed_releases(conn, 8)
    connections = [await connect(dsn) for _ in releases]
    tries = [review(one, author, release, quota=DAILY) for one, release in zip(connections, releases, strict=True)]
    outcomes = [posted.outcome for posted in await asyncio.gather(*tries)]
    assert sorted(outcomes) == ["full"] * 5 + ["made"] * 3
    for one in connections:
        await one.close()
    assert await wrong(conn) == []


async def test_only_its_author_changes_or_deletes_a_review(conn: Any, dsn: str) -> None:
    author, other = await make_user(dsn), await make_user(dsn)
    (release,) = await seed_releases(conn, 1)
    posted = await review(conn, author, release, 4)
    assert posted.review_id is not None
    for refused in (
        reviews.edit(conn, other, posted.review_id, 9, None, None),
        reviews.delete(conn, other, posted.review_id),
    ):
        with pytest.raises(Forbidden):
            await refused
    edited = json.loads((await reviews.edit(conn, author, posted.review_id, 9, None, True)).review)
    assert (edited["rating"], edited["spoiler"], edited["text"]) == (9, True, words(author * 1000 + release))
    assert edited["edited_at"] is not None
    assert (await listed(conn, release)).average == "9.00"
    same = await reviews.edit(conn, author, posted.review_id, 9, Judged(edited["text"], False, False), True)
    assert json.loads(same.review)["edited_at"] == edited["edited_at"], "nothing has changed"
    await reviews.delete(conn, author, posted.review_id)
    with pytest.raises(NotFound):
        await reviews.edit(conn, author, posted.review_id, 3, None, None)
    with pytest.raises(NotFound):
        await reviews.delete(conn, other, posted.review_id)
    assert await wrong(conn) == []


async def test_a_held_review_is_seen_by_its_author_and_moderators_and_told_of_once_it_is_let_through(
    conn: Any, dsn: str
) -> None:
    author, other = await make_user(dsn), await make_user(dsn)
    (release,) = await seed_releases(conn, 1)
    posted = await review(conn, author, release, 2, worded=True)
    assert posted.review is not None
    assert posted.review_id is not None
    assert json.loads(posted.review)["state"] == "pending"
    assert json.loads(posted.review)["held_for"] == ["words"]
    assert await told(conn, author) == []
    assert (await listed(conn, release)).count == 0
    assert await reviews.get(conn, posted.review_id, None, moderates=False) is None
    assert await reviews.get(conn, posted.review_id, other, moderates=False) is None
    for viewer, moderates in ((author, False), (other, True)):
        assert await reviews.get(conn, posted.review_id, viewer, moderates=moderates) is not None
    with pytest.raises(NotFound):
        await reviews.edit(conn, other, posted.review_id, 9, None, None)
    for state in ("visible", "visible", "hidden", "visible"):
        await settle(conn, "review", posted.review_id, state)
        assert await wrong(conn) == []
    assert [(one["delta"]["reviews"], len(one["activity"])) for one in await told(conn, author)] == [
        (1, 1),
        (-1, 0),
        (1, 0),
    ]


async def test_a_change_is_looked_at_by_the_rules_and_does_not_undo_what_they_or_moderators_said(
    conn: Any, dsn: str
) -> None:
    author, (release,) = await make_user(dsn), await seed_releases(conn, 1)
    posted = await review(conn, author, release, 6)
    assert posted.review_id is not None
    held = await reviews.edit(conn, author, posted.review_id, 8, Judged(words(1), False, True), None)
    assert (json.loads(held.review)["state"], json.loads(held.review)["held_for"]) == ("pending", ["words"])
    decision = await conn.fetchrow("select * from moderation_decisions")
    assert (decision["state_before"], decision["state_after"], decision["moderator_id"]) == ("visible", "pending", None)
    assert await conn.fetchval("select queued_at is not null from reviews")
    harmless = await reviews.edit(conn, author, posted.review_id, None, Judged(words(2), False, False), None)
    assert json.loads(harmless.review)["state"] == "pending"
    assert await wrong(conn) == []
    await settle(conn, "review", posted.review_id, "hidden")
    with pytest.raises(Conflict):
        await reviews.edit(conn, author, posted.review_id, 8, None, None)
    await reviews.delete(conn, author, posted.review_id)
    assert await conn.fetchval("select queued_at is null from reviews")
    assert await wrong(conn) == []


async def test_a_deleted_review_takes_its_open_reports_off_the_table(conn: Any, dsn: str) -> None:
    author, other = await make_user(dsn), await make_user(dsn)
    (release,) = await seed_releases(conn, 1)
    posted = await review(conn, author, release)
    await conn.execute(
        "insert into reports (target_type, target_id, user_id, reason) values ('review', $1, $2, 'spam')",
        posted.review_id, other,
    )  # fmt: skip
    await conn.execute("update reviews set reports = 1")
    assert posted.review_id is not None
    await reviews.delete(conn, author, posted.review_id)
    assert await conn.fetchval("select count(*) from reports where closed_at is null") == 0
    assert await conn.fetchval("select reports from reviews") == 0


async def test_everybody_has_one_vote_and_none_for_themselves(conn: Any, dsn: str) -> None:
    author, *others = [await make_user(dsn) for _ in range(6)]
    (release,) = await seed_releases(conn, 1)
    review_id = (await review(conn, author, release)).review_id
    assert review_id is not None
    connections = [await connect(dsn) for _ in range(10)]
    # Each of them twice, all at once.
    await asyncio.gather(
        *(reviews.vote(one, voter, review_id) for one, voter in zip(connections, others * 2, strict=True))
    )
    assert await conn.fetchval("select helpful from reviews") == 5
    await asyncio.gather(
        *(reviews.unvote(one, voter, review_id) for one, voter in zip(connections, others[:2] * 5, strict=True))
    )
    assert await conn.fetchval("select helpful from reviews") == 3
    for one in connections:
        await one.close()
    with pytest.raises(Forbidden):
        await reviews.vote(conn, author, review_id)
    with pytest.raises(Forbidden):
        await reviews.unvote(conn, author, review_id)
    with pytest.raises(Unauthenticated):
        await reviews.vote(conn, 10**9, review_id)
    # What has changed nothing makes no page stale.
    assert [await reviews.vote(conn, others[4], review_id), await reviews.unvote(conn, others[0], review_id)] == [
        None
    ] * 2
    assert [await reviews.unvote(conn, others[4], review_id), await reviews.vote(conn, others[4], review_id)] == [
        release
    ] * 2
    shown = {
        viewer: json.loads((await listed(conn, release, viewer=viewer)).rows[0].review)["is_helpful"]
        for viewer in others
    }
    assert [shown[one] for one in others] == [False, False, True, True, True]
    assert await wrong(conn) == []


async def test_what_cannot_be_read_takes_no_votes_but_gives_them_back(conn: Any, dsn: str) -> None:
    author, voter, other = [await make_user(dsn) for _ in range(3)]
    (release,) = await seed_releases(conn, 1)
    review_id = (await review(conn, author, release)).review_id
    assert review_id is not None
    await reviews.vote(conn, voter, review_id)
    await settle(conn, "review", review_id, "hidden")
    for refused in (
        reviews.vote(conn, other, review_id),
        reviews.unvote(conn, other, review_id),
        reviews.vote(conn, other, 10**9),
    ):
        with pytest.raises(NotFound):
            await refused
    await reviews.unvote(conn, voter, review_id)
    assert await conn.fetchval("select helpful from reviews") == 0
    with pytest.raises(NotFound):
        await reviews.unvote(conn, voter, review_id)


async def act(conn: Any, chance: random.Random, people: list[int], releases: list[int]) -> None:
    """Anything that may happen to reviews."""
    who, release, number = chance.choice(people), chance.choice(releases), chance.randint(0, 10**9)
    known = [row["id"] for row in await conn.fetch("select id from reviews order by id")] or [0]
    target = chance.choice(known)
    what = chance.randrange(7)
    try:
        if what == 0:
            await review(conn, who, release, chance.randint(1, 10), words(number), worded=chance.random() < 0.2)
        elif what == 1:
            said = Judged(words(number), False, chance.random() < 0.2) if chance.random() < 0.5 else None
            await reviews.edit(conn, who, target, chance.choice((None, chance.randint(1, 10))), said, None)
        elif what == 2 and chance.random() < 0.5:
            await reviews.delete(conn, who, target)
        elif what == 3:
            await settle(conn, "review", target, chance.choice(("visible", "visible", "pending", "hidden")))
        elif what == 4:
            await reviews.unvote(conn, who, target)
        else:
            await reviews.vote(conn, who, target)
    except (Conflict, Forbidden, NotFound):
        pass


async def test_whatever_happens_the_numbers_are_those_of_the_rows(conn: Any, dsn: str) -> None:
    people, releases = [await make_user(dsn) for _ in range(4)], await seed_releases(conn, 3)
    chance = random.Random(11)
    for number in range(400):
        await act(conn, chance, people, releases)
        if number % 8 == 0:
            assert await wrong(conn) == [], number
    for release in releases:
        page = await listed(conn, release, limit=100)
        ratings = [json.loads(row.review)["rating"] for row in page.rows]
        assert page.count == len(ratings)
        assert page.average == (f"{round(sum(ratings) / len(ratings) + 1e-9, 2):.2f}" if ratings else None)
    assert await wrong(conn) == []
    assert await conn.fetchval("select count(*) from reviews where counted") > 3


async def test_whatever_happens_at_once_the_numbers_are_those_of_the_rows(conn: Any, dsn: str) -> None:
    people, releases = [await make_user(dsn) for _ in range(4)], await seed_releases(conn, 2)

    async def busy(seed: int) -> None:
        own = await connect(dsn)
        chance = random.Random(seed)
        for _ in range(60):
            await act(own, chance, people, releases)
        await own.close()

    await asyncio.gather(*(busy(seed) for seed in range(6)))
    assert await wrong(conn) == []


async def test_every_order_pages_through_everything_once_by_page_and_by_cursor(conn: Any, dsn: str) -> None:
    people, (release, other) = [await make_user(dsn) for _ in range(23)], await seed_releases(conn, 2)
    chance = random.Random(5)
    for who in people:
        posted = await review(conn, who, release, chance.randint(1, 4))
        await conn.execute("update reviews set helpful = $2 where id = $1", posted.review_id, chance.randint(0, 3))
        await review(conn, who, other)
    for sort in SORTS:
        wanted = order(sort)  # type: ignore[arg-type]
        whole = await listed(conn, release, sort, limit=100)
        assert whole.count == len(whole.rows) == 23
        column = {"helpful": "helpful_count", "rating": "rating", "created": "id"}[wanted.by]
        keys = [(json.loads(row.review)[column], row.id) for row in whole.rows]
        assert keys == sorted(keys, reverse=wanted.descending), sort
        by_page, by_cursor = [], []
        after: tuple[int, int] | None = None
        for number in range(5):
            by_page += (await listed(conn, release, sort, limit=5, offset=5 * number)).rows
            rows = (await listed(conn, release, sort, limit=5, after=after)).rows
            by_cursor += rows
            after = (rows[-1].key, rows[-1].id)
        assert by_page == by_cursor == whole.rows, sort
