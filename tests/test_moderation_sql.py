"""Moderation in the database: every change of a state, taking back all of somebody; on every PostgreSQL."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from actors.works.undo_user import BEGINNING
from server.database import Database
from server.errors import YojohanError
from sql import comments, moderation, reports, reviews
from sql.comments import Reader
from sql.moderation import Decision, Kind, Moderator, State
from tests import catalogue_seed
from tests.commenting import make_users, post, wrong_counters
from tests.conftest import Server
from tests.moderating import decide, decisions, row, say, silent, sound, told

pytestmark = pytest.mark.asyncio(loop_scope="module")
OUTCOMES: dict[tuple[str, str], str | None] = {
    ("visible", "hidden"): "rejected",
    ("visible", "pending"): None,
    ("pending", "visible"): "approved",
    ("pending", "hidden"): "rejected",
    ("hidden", "visible"): "approved",
    ("hidden", "pending"): None,
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seeded(server: Server) -> AsyncIterator[str]:
    async with catalogue_seed.database(server, 30) as dsn:
        yield dsn


@pytest_asyncio.fixture(loop_scope="module")
async def conn(seeded: str) -> AsyncIterator[Any]:
    """A connection to thirty releases about which nobody has said anything."""
    async with silent(seeded) as connection:
        yield connection


@pytest.mark.parametrize("kind", ["comment", "review"])
@pytest.mark.parametrize(("before", "after"), OUTCOMES)
async def test_each_change_of_a_state_is_counted_written_down_and_told(
    conn: Any, kind: Kind, before: State, after: State
) -> None:
    (author,), (moderator,) = await make_users(conn, 1, "user"), await make_users(conn, 1)
    target = await say(conn, kind, author)
    if before != "visible":
        assert await decide(conn, moderator, kind, target, before) == "changed"
    await conn.execute("truncate moderation_decisions")
    await conn.execute("delete from outbox where topic = 'moderation'")
    assert await decide(conn, moderator, kind, target, after, "Because.") == "changed"
    found = await row(conn, kind, target)
    assert (found["state"], found["counted"], found["queued_at"] is not None, found["held_for"]) == (
        after, after == "visible", after == "pending", [],
    )  # fmt: skip
    assert await decisions(conn) == [(kind, target, moderator, before, after, "Because.", [])]
    outcome = OUTCOMES[before, after]
    payload = {
        "target_type": kind, "target_id": target, "release_id": 3, "recipient_id": author, "decision": outcome,
        "reason": "Because.",
    }  # fmt: skip
    assert await told(conn) == ([] if outcome is None else [(f"{kind}:{target}", None, payload)])
    await sound(conn)


@pytest.mark.parametrize("kind", ["comment", "review"])
async def test_what_is_so_already_is_no_decision(conn: Any, kind: Kind) -> None:
    (author,), (moderator,) = await make_users(conn, 1, "user"), await make_users(conn, 1)
    target = await say(conn, kind, author)
    for state in ("visible", "pending", "hidden"):
        await decide(conn, moderator, kind, target, state)
        made = len(await decisions(conn))
        assert await decide(conn, moderator, kind, target, state) == "unchanged"
        assert len(await decisions(conn)) == made
    await conn.execute(f"update {kind}s set deleted_at = now() where id = $1", target)
    assert await decide(conn, moderator, kind, target, "hidden") == "unknown"
    assert await decide(conn, moderator, kind, 999_999, "hidden") == "unknown"


@pytest.mark.parametrize("kind", ["comment", "review"])
async def test_what_is_held_is_written_down_as_new_and_becomes_known_when_it_is_approved(conn: Any, kind: Kind) -> None:
    (author,), (moderator,) = await make_users(conn, 1, "user"), await make_users(conn, 1)
    target = await say(conn, kind, author, worded=True)
    assert await decisions(conn) == [(kind, target, None, "new", "pending", "", ["words"])]
    assert await conn.fetchval("select count(*) from outbox") == 0
    assert await decide(conn, moderator, kind, target, "visible") == "changed"
    # What it was held for stays with the decision.
    assert (await decisions(conn))[1] == (kind, target, moderator, "pending", "visible", "", ["words"])
    (delta, activity) = await conn.fetchrow(
        "select payload -> 'delta', payload -> 'activity' from outbox where topic = 'community'"
    )
    assert delta == {f"{kind}s": 1}
    assert len(activity) == 1
    await sound(conn)


async def test_a_hidden_answer_leaves_its_thread_and_a_hidden_parent_keeps_it(conn: Any) -> None:
    (author,), (moderator,) = await make_users(conn, 1, "user"), await make_users(conn, 1)
    top = await say(conn, "comment", author)
    answer = (await post(conn, author, 3, top)).comment_id
    below = (await post(conn, author, 3, answer)).comment_id
    assert answer is not None
    assert below is not None
    for target, state in ((top, "hidden"), (answer, "hidden"), (below, "hidden"), (answer, "visible")):
        await decide(conn, moderator, "comment", target, state)
        await sound(conn)
    assert (await row(conn, "comment", top))["listed"] is True


async def test_decisions_in_bulk_are_carried_out_each_for_itself_and_the_first_about_a_thing_counts(conn: Any) -> None:
    (author,), (moderator,) = await make_users(conn, 1, "user"), await make_users(conn, 1)
    first, second = await say(conn, "comment", author), await say(conn, "comment", author, 6)
    review, own = await say(conn, "review", author), await say(conn, "comment", moderator)
    wanted = [
        Decision("comment", second, "hidden", "one"),
        Decision("review", review, "pending", ""),
        Decision("comment", second, "visible", "two"),
        Decision("comment", 999_999, "hidden", ""),
        Decision("comment", own, "hidden", ""),
        Decision("comment", first, "visible", ""),
        # Not the review of the same number.
        Decision("comment", review, "hidden", ""),
    ]
    verdicts = await moderation.moderate(conn, Moderator(moderator, False), wanted)
    expected = ["changed", "changed", "again", "unknown", "own", "unchanged", "changed" if review == first else "again"]
    if review == first:
        expected[6] = "again"
    assert [one.place for one in verdicts] == list(range(1, 8))
    assert [one.outcome for one in verdicts] == expected
    assert {tag for one in verdicts for tag in one.tags} == {"comments:6", "reviews:3"}
    assert (await row(conn, "comment", second))["state"] == "hidden"
    await sound(conn)


async def test_only_administrators_decide_about_what_is_their_own_and_are_not_told(conn: Any) -> None:
    (moderator,) = await make_users(conn, 1)
    target = await say(conn, "comment", moderator)
    for is_admin, outcome in ((False, "own"), (True, "changed")):
        (verdict,) = await moderation.moderate(
            conn, Moderator(moderator, is_admin), [Decision("comment", target, "hidden", "")]
        )
        assert verdict.outcome == outcome
    assert await told(conn) == []


async def undo(conn: Any, culprit: int, by: int, operation: UUID, most: int = 3) -> tuple[int, ...]:
    """All slices, one after the other; how much was touched."""
    touched = [0, 0, 0, 0]
    for place, kind in enumerate(("comment", "review")):
        after = (BEGINNING, 0)
        while True:
            done = await moderation.undo_said(conn, kind, culprit, (by, operation, "All of it."), after, most)  # type: ignore[arg-type]
            touched[place] += done.touched
            if done.last_at is None or done.last_id is None:
                break
            after = (done.last_at, done.last_id)
    while votes := (await moderation.undo_votes(conn, culprit, most)).touched:
        touched[2] += votes
    while closed := await moderation.undo_reports(conn, culprit, most):
        touched[3] += closed
    return tuple(touched)


async def test_everything_of_one_user_is_taken_back_and_nothing_of_others(conn: Any) -> None:
    (culprit, other), (moderator,) = await make_users(conn, 2, "user"), await make_users(conn, 1)
    operation = uuid4()
    for number in range(11):
        mine = await say(conn, "comment", culprit, 3 * (number % 4 + 1), worded=number == 5)
        readable = (await row(conn, "comment", mine))["counted"]
        await post(conn, other, 3 * (number % 4 + 1), mine if readable else None)
    (answered,) = [
        row["id"] for row in await conn.fetch("select min(id) as id from comments where user_id = $1", other)
    ]
    await post(conn, culprit, await conn.fetchval("select release_id from comments where id = $1", answered), answered)
    deleted = await say(conn, "comment", culprit, 30)
    await comments.delete(conn, Reader(culprit), deleted)
    kept = (await row(conn, "comment", deleted))["state"]
    for release in (3, 6, 9, 12):
        await say(conn, "review", culprit, release)
        liked = await say(conn, "review", other, release)
        await reviews.vote(conn, culprit, liked)
        await reports.report(conn, "review", liked, culprit, "abuse", "")
        await reports.report(conn, "comment", answered, culprit, "spam", "") if release == 3 else None
    theirs = "select id, text, state, deleted_at, edited_at from comments where user_id = $1 order by id"
    before = await conn.fetch(theirs, other)
    await conn.execute("truncate moderation_decisions")
    assert await undo(conn, culprit, moderator, operation) == (12, 4, 4, 5)
    await sound(conn)
    assert await conn.fetch(theirs, other) == before
    assert await conn.fetchval("select count(*) from comments where user_id = $1 and state = 'hidden'", culprit) == 12
    assert (await row(conn, "comment", deleted))["state"] == kept
    assert await conn.fetchval("select count(*) from reviews where user_id = $1 and counted", other) == 4
    assert await conn.fetchval("select sum(helpful) + sum(reports) from reviews where user_id = $1", other) == 0
    assert await conn.fetchval("select sum(reports) from comments") == 0
    columns = "author_id, moderator_id, state_after, reason, operation_id"
    rows = await conn.fetch(f"select {columns} from moderation_decisions")
    assert len(rows) == 16
    assert {tuple(one) for one in rows} == {(culprit, moderator, "hidden", "All of it.", operation)}
    # Told once for each kind, not sixteen times.
    assert [entity.partition(":")[0] for entity, _, _ in await told(conn)] == ["comment", "review"]
    assert await undo(conn, culprit, moderator, operation) == (0, 0, 0, 0)


async def test_counters_stay_right_whatever_many_do_at_once(conn: Any, seeded: str) -> None:
    """Authors, moderators, reporters and an undoing, all about the same few releases; nobody waits in a ring."""
    authors, moderators = await make_users(conn, 4, "user"), await make_users(conn, 2)
    chance, database = random.Random(11), Database(seeded, size=6)
    await database.open()
    unexpected: list[BaseException] = []

    async def act(number: int) -> None:
        who, what, release = chance.choice(authors), number % 6, chance.choice((3, 6))
        async with database.single(timeout=20) as one:
            known = [row["id"] for row in await one.fetch("select id from comments where release_id = $1", release)]
            target = chance.choice(known) if known else 0
            if what < 2:
                await post(one, who, release, target if what and known else None)
            elif what == 2 and known:
                states: list[State] = ["visible", "hidden", "pending"]
                picked = [Decision("comment", one_id, chance.choice(states), "") for one_id in known[:20]]
                chance.shuffle(picked)
                await moderation.moderate(one, Moderator(chance.choice(moderators), False), picked)
            elif what == 3:
                await reports.report(one, "comment", target, who, "spam", "")
            elif what == 4:
                await undo(one, authors[0], moderators[0], uuid4(), 5)
            else:
                await comments.delete(one, Reader(who), target)

    async def quietly(number: int) -> None:
        try:
            await act(number)
        except YojohanError as error:
            if error.status >= 500:
                unexpected.append(error)

    try:
        for start in range(0, 180, 30):
            await asyncio.gather(*(quietly(number) for number in range(start, start + 30)))
    finally:
        await database.close()
    assert unexpected == []
    assert await wrong_counters(conn) == []
    assert await conn.fetchval("select count(*) from moderation_decisions") > 20
    open_ones = """
        select count(*) from comments c where c.deleted_at is null and c.reports <> (
            select count(*) from reports r
            where r.target_type = 'comment' and r.target_id = c.id and r.closed_at is null)
    """
    assert await conn.fetchval(open_ones) == 0
