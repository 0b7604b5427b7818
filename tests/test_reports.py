"""Reports in the database: whose count, how many it takes, and when counting starts over; on every PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from server.errors import Conflict, Forbidden, NotFound, Unauthenticated
from sql import comments, reports
from sql.comments import Change, Reader
from sql.moderation import Kind
from tests import catalogue_seed
from tests.commenting import make_users
from tests.conftest import Server
from tests.moderating import decide, decisions, report, row, say, silent, sound, told

pytestmark = pytest.mark.asyncio(loop_scope="module")


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
async def test_the_third_report_holds_it_and_accounts_of_a_day_alone_count(conn: Any, kind: Kind) -> None:
    (author,) = await make_users(conn, 1, "user")
    target = await say(conn, kind, author)
    for young in await make_users(conn, 5, "user", "23 hours"):
        assert await report(conn, kind, target, young) == []
    old = await make_users(conn, 3, "user", "25 hours")
    for reporter in old[:2]:
        assert await report(conn, kind, target, reporter) == []
    # They are older now; when they reported they were not.
    await conn.execute("update users set created_at = created_at - interval '1 second' where id = any ($1)", old)
    found = await row(conn, kind, target)
    assert (found["state"], found["reports"], found["queued_at"]) == ("visible", 7, None)
    assert await report(conn, kind, target, old[2]) == [f"{kind}s:3"]
    found = await row(conn, kind, target)
    assert (found["state"], found["reports"], found["held_for"]) == ("pending", 8, ["reports"])
    assert found["queued_at"] is not None
    assert await decisions(conn) == [(kind, target, None, "visible", "pending", "", ["reports"])]
    assert await told(conn) == []
    with pytest.raises(NotFound):
        await report(conn, kind, target, (await make_users(conn, 1, "user"))[0])
    await sound(conn)


@pytest.mark.parametrize("kind", ["comment", "review"])
async def test_an_approval_closes_the_reports_and_counting_starts_over(conn: Any, kind: Kind) -> None:
    (author,), (moderator,) = await make_users(conn, 1, "user"), await make_users(conn, 1)
    target, people = await say(conn, kind, author), await make_users(conn, 6, "user")
    for reporter in people[:3]:
        await report(conn, kind, target, reporter)
    assert await decide(conn, moderator, kind, target, "visible") == "changed"
    found = await row(conn, kind, target)
    assert (found["state"], found["reports"], found["held_for"], found["queued_at"]) == ("visible", 0, [], None)
    assert await conn.fetchval("select count(*) from reports where closed_at is null") == 0
    for reporter in people[:3]:
        with pytest.raises(Conflict):
            await report(conn, kind, target, reporter)
    for reporter in people[3:5]:
        assert await report(conn, kind, target, reporter) == []
    assert await report(conn, kind, target, people[5]) != []
    # What is to be read after all was kept so by a decision, too, although it never went away.
    other = await say(conn, kind, author, 6)
    await report(conn, kind, other, people[0])
    assert await decide(conn, moderator, kind, other, "visible", "Fine.") == "changed"
    assert (await decisions(conn))[-1] == (kind, other, moderator, "visible", "visible", "Fine.", [])
    assert len(await told(conn)) == 1
    await sound(conn)


async def test_who_has_reported_it_may_do_so_again_once_it_was_changed_after_the_decision(conn: Any) -> None:
    (author,), (moderator,) = await make_users(conn, 1, "user"), await make_users(conn, 1)
    target, (reporter,) = await say(conn, "comment", author), await make_users(conn, 1, "user")
    await report(conn, "comment", target, reporter)
    change = Change("Something else altogether", None, False, False)
    await comments.edit(conn, Reader(author), target, change)
    with pytest.raises(Conflict):
        await report(conn, "comment", target, reporter)
    await decide(conn, moderator, "comment", target, "visible")
    with pytest.raises(Conflict):
        await report(conn, "comment", target, reporter)
    await comments.edit(conn, Reader(author), target, change._replace(text="And now for the worst"))
    await report(conn, "comment", target, reporter, "abuse")
    assert (await row(conn, "comment", target))["reports"] == 1
    assert await conn.fetchval("select reason from reports where closed_at is null") == "abuse"


async def test_one_report_of_a_moderator_is_enough(conn: Any) -> None:
    (author,), (moderator,) = await make_users(conn, 1, "user"), await make_users(conn, 1, age="1 minute")
    target = await say(conn, "comment", author)
    assert await report(conn, "comment", target, moderator) == ["comments:3"]
    assert (await row(conn, "comment", target))["state"] == "pending"


@pytest.mark.parametrize("kind", ["comment", "review"])
async def test_what_moderators_say_comes_into_the_queue_and_stays_to_be_read(conn: Any, kind: Kind) -> None:
    (author, moderator), people = await make_users(conn, 2), await make_users(conn, 4, "user")
    target = await say(conn, kind, author)
    for reporter in people:
        assert await report(conn, kind, target, reporter) == []
    found = await row(conn, kind, target)
    assert (found["state"], found["held_for"], found["reports"]) == ("visible", ["reports"], 4)
    assert found["queued_at"] is not None
    assert await decide(conn, moderator, kind, target, "visible") == "changed"
    assert (await row(conn, kind, target))["queued_at"] is None
    await sound(conn)


async def test_nobody_reports_their_own_nor_what_they_cannot_read(conn: Any) -> None:
    (author, gone), (moderator,) = await make_users(conn, 2, "user"), await make_users(conn, 1)
    target = await say(conn, "comment", author)
    with pytest.raises(Forbidden):
        await report(conn, "comment", target, author)
    for wrong in ("comment", "review"):
        with pytest.raises(NotFound):
            await reports.report(conn, wrong, 999_999, moderator, "spam", "")  # type: ignore[arg-type]
    await conn.execute("delete from users where id = $1", gone)
    with pytest.raises(Unauthenticated):
        await report(conn, "comment", target, gone)
    await conn.execute("update releases set is_published = false where id = 3")
    with pytest.raises(NotFound):
        await report(conn, "comment", target, moderator)
    await conn.execute("update releases set is_published = true where id = 3")
    await comments.delete(conn, Reader(author), target)
    with pytest.raises(NotFound):
        await report(conn, "comment", target, moderator)
    assert await conn.fetchval("select count(*) from reports") == 0
