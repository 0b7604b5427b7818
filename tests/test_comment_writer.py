"""Comments that arrive at a time are committed together, and none of them suffers from its neighbours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from actors.comment_writer import CommentWriter, WriteComment
from server.database import Database
from server.errors import Unauthenticated, Unavailable, YojohanError
from server.keys import DATABASE
from sql import comments
from sql.comments import Posted
from tests import catalogue_seed
from tests.commenting import NO_QUOTA, draft, make_users, wrong_counters
from tests.commenting_http import page, read, under
from tests.conftest import Server
from tests.http_fixture import ON_18, shared_site
from tests.moderating import silent
from tests.people import person
from tests.running import Running

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seeded(server: Server) -> AsyncIterator[str]:
    async with catalogue_seed.database(server, 30) as dsn:
        yield dsn


@pytest_asyncio.fixture(loop_scope="module")
async def conn(seeded: str) -> AsyncIterator[Any]:
    async with silent(seeded) as connection:
        yield connection


@pytest_asyncio.fixture(loop_scope="module")
async def database(seeded: str) -> AsyncIterator[Database]:
    database = Database(seeded, size=3)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


def writer(database: Database) -> CommentWriter:
    return CommentWriter(database, NO_QUOTA)


async def test_what_is_said_at_a_time_is_one_transaction(conn: Any, database: Database) -> None:
    authors = await make_users(conn, 5, "user")
    said = [WriteComment(author, 3 * (place % 2 + 1), draft()) for place, author in enumerate(authors)]
    answers = await writer(database).receive_batch(said)
    made = [answer for answer in answers if isinstance(answer, Posted)]
    rows = await conn.fetch("select id, user_id, text, xmin::text from comments order by id")
    assert [row["id"] for row in rows] == [one.comment_id for one in made]
    assert [(row["user_id"], row["text"]) for row in rows] == [(one.author, one.draft.text) for one in said]
    assert len({row["xmin"] for row in rows}) == 1
    assert await wrong_counters(conn) == []


async def test_one_that_is_refused_takes_no_other_along(conn: Any, database: Database) -> None:
    one, two = await make_users(conn, 2, "user")
    said = [
        WriteComment(one, 3, draft()), WriteComment(one, 3, draft(parent=999_999)), WriteComment(2**40, 3, draft()),
        WriteComment(one, 999_999, draft()), WriteComment(two, 6, draft(episode=999_999)),
        WriteComment(two, 6, draft()),
    ]  # fmt: skip
    first, *refused, last = await writer(database).receive_batch(said)
    assert isinstance(first, Posted)
    assert isinstance(last, Posted)
    # Nobody of that id is there, or somebody holds the row: which of the two is for a statement that waits to say.
    assert refused[1] is None
    assert [answer.status for answer in refused if isinstance(answer, YojohanError)] == [422, 404, 422]
    assert await conn.fetchval("select count(*) from comments") == 2
    with pytest.raises(Unauthenticated):
        await comments.post(conn, 2**40, 3, draft(), NO_QUOTA)
    assert await wrong_counters(conn) == []


@pytest.mark.parametrize(
    "held",
    [
        "select from users where id = $1 for update",
        "select from release_talk where release_id = 3 and $1 > 0 for update",
    ],
)
async def test_a_batch_waits_for_nobody(conn: Any, database: Database, held: str) -> None:
    """Who waits behind a lock could wait for somebody who waits for them."""
    one, two = await make_users(conn, 2, "user")
    assert isinstance((await writer(database).receive_batch([WriteComment(two, 3, draft())]))[0], Posted)
    async with database.transaction() as other:
        await other.execute(held, one)
        said = [WriteComment(one, 3, draft()), WriteComment(two, 6, draft())]
        async with asyncio.timeout(1):
            busy, free = await writer(database).receive_batch(said)
    assert busy is None
    assert isinstance(free, Posted)


async def test_the_quota_holds_inside_of_a_batch(conn: Any, database: Database) -> None:
    (author,) = await make_users(conn, 1, "user")
    limited = CommentWriter(database, (3, NO_QUOTA[1]))
    answers = await limited.receive_batch([WriteComment(author, 3, draft()) for _ in range(5)])
    assert [(answer.full, answer.used) for answer in answers if isinstance(answer, Posted)] == [
        (False, 1), (False, 2), (False, 3), (True, 3), (True, 3)
    ]  # fmt: skip
    assert await conn.fetchval("select count(*) from comments") == 3


async def test_an_answer_and_what_it_answers_may_come_together(conn: Any, database: Database) -> None:
    one, two = await make_users(conn, 2, "user")
    (top,) = await writer(database).receive_batch([WriteComment(one, 3, draft())])
    assert isinstance(top, Posted)
    said = [WriteComment(two, 3, draft(parent=top.comment_id)) for _ in range(3)]
    await writer(database).receive_batch(said)
    assert await conn.fetchval("select replies from comments where id = $1", top.comment_id) == 3
    assert await wrong_counters(conn) == []


async def test_a_lock_that_no_row_shows_costs_the_others_nothing(conn: Any, database: Database) -> None:
    """The first comment of a release meets somebody who has just made its row and not committed yet."""
    one, two = await make_users(conn, 2, "user")
    async with database.transaction() as other:
        await other.execute("insert into release_talk (release_id) values (9)")
        said = [WriteComment(one, 9, draft()), WriteComment(two, 6, draft())]
        assert await writer(database).receive_batch(said) == [None, None]
    assert await conn.fetchval("select count(*) from comments") == 0


async def test_what_nobody_foresaw_sends_each_its_own_way(conn: Any, database: Database) -> None:
    (author,) = await make_users(conn, 1, "user")
    await conn.execute("alter function post_comments rename to elsewhere")
    try:
        assert await writer(database).receive_batch([WriteComment(author, 3, draft())]) == [None]
    finally:
        await conn.execute("alter function elsewhere rename to post_comments")


async def test_an_unreachable_database_is_nothing_to_try_again_alone(database: Database) -> None:
    """The commit may have been cut off behind the server's back: it could be written twice."""
    gone = Database("postgresql://nobody@127.0.0.1:1/nothing", size=1)
    await gone.open()
    try:
        with pytest.raises(Unavailable):
            await writer(gone).receive_batch([WriteComment(1, 3, draft())])
    finally:
        await gone.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with shared_site(server, tmp_path_factory.mktemp("site"), COMMENT_RATE_LIMIT="10/hour") as started:
        yield started


@ON_18
async def test_of_twelve_at_once_by_one_author_ten_are_taken(site: Running) -> None:
    who = await person(site)

    async def say(place: int) -> tuple[int, str]:
        # One in three the long way: by a key of its own, or by the release's slug.
        headers = who.headers | ({"Idempotency-Key": f"key-{place}"} if place % 3 == 0 else {})
        async with site.client.post(under(3), json={"text": f"Thought {place}"}, headers=headers) as answer:
            return answer.status, answer.headers["X-RateLimit-Remaining"]

    answers = await asyncio.gather(*(say(place) for place in range(12)))
    assert sorted(status for status, _ in answers) == [201] * 10 + [429] * 2
    assert sorted(left for status, left in answers if status == 201) == sorted(map(str, range(10)))
    assert (await page(site, under(3)))["count"] >= 9


@ON_18
async def test_whoever_is_in_the_way_is_waited_for_alone(site: Running) -> None:
    who = await person(site)
    async with site.app[DATABASE].transaction() as conn:
        await conn.execute("select from users where id = $1 for update", who.id)
        request = site.client.post(under(6), json={"text": "Patience."}, headers=who.headers)
        saying = asyncio.create_task(request.__aenter__())
        await asyncio.sleep(0.1)
        assert not saying.done()
    answer = await saying
    assert answer.status == 201
    assert (await read(site, answer.headers["Location"], who))["text"] == "Patience."
