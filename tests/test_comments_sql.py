"""Comments in the database: threads, gaps, counters, what is told; on every PostgreSQL there is."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import orjson
import pytest
import pytest_asyncio

from server.database import Database
from server.errors import Conflict, Forbidden, NotFound, Unauthenticated, Unprocessable
from server.rules.comments import DEEPEST
from sql import comments
from sql.comments import Change, Reader
from tests import catalogue_seed
from tests.catalogue_seed import connect
from tests.commenting import TOLD, make_users, post, wrong_counters
from tests.conftest import Server

pytestmark = pytest.mark.asyncio(loop_scope="module")
Listed = tuple[int, list[dict[str, Any]]]
UNVEILED = Reader(None, moderates=False, unveiled=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seeded(server: Server) -> AsyncIterator[str]:
    async with catalogue_seed.database(server, 30) as dsn:
        yield dsn


@pytest_asyncio.fixture(loop_scope="module")
async def conn(seeded: str) -> AsyncIterator[Any]:
    """A connection to thirty releases about which nobody has said anything."""
    connection = await connect(seeded)
    await connection.execute("truncate comments, release_talk, outbox, moderation_decisions, reports restart identity")
    yield connection
    await connection.close()


async def listed(conn: Any, release: int = 3, reader: Reader = UNVEILED, **given: Any) -> Listed:
    page = await comments.threads(
        conn, reader, release, given.get("episode"), given.get("behind"), given.get("limit", 100),
        newest=given.get("newest", False),
    )  # fmt: skip
    assert page is not None
    found = [orjson.loads(one) for one in page.comments]
    assert [one["id"] for one in found] == page.ids
    return page.count, found


async def answers(conn: Any, comment_id: int, reader: Reader = UNVEILED, **given: Any) -> Listed:
    page = await comments.replies(conn, reader, comment_id, given.get("behind"), given.get("limit", 100))
    assert page is not None
    return page.count, [orjson.loads(one) for one in page.comments]


async def shown(conn: Any, comment_id: int, reader: Reader = UNVEILED) -> dict[str, Any] | None:
    found = await comments.get(conn, reader, comment_id)
    return None if found is None else orjson.loads(found.comment)


async def settle(conn: Any, comment_id: int, change: str) -> None:
    """Change a comment as moderators and rules do."""
    async with conn.transaction():
        release = await conn.fetchval("select release_id from comments where id = $1", comment_id)
        await conn.execute("select lock_talk(array[$1::bigint])", release)
        await conn.execute(f"update comments set {change} where id = $1", comment_id)
        await conn.execute("select settle_comment($1)", comment_id)


async def events(conn: Any) -> list[tuple[str, str, Any, Any]]:
    rows = await conn.fetch("select topic, entity, user_id, payload from outbox order by xid, id")
    return [tuple(row) for row in rows]


async def test_a_comment_is_there_with_its_author_and_its_times(conn: Any) -> None:
    (author,) = await make_users(conn, 1)
    posted = await post(conn, author, text="Ça va? 漢字 <b>&amp;", spoiler=True)
    assert (posted.full, posted.state, posted.release_id) == (False, "visible", 3)
    made = orjson.loads(posted.document)
    assert made["text"] == "Ça va? 漢字 <b>&amp;"
    assert made["author"]["id"] == author
    assert (made["depth"], made["parent_id"], made["episode"], made["spoiler"]) == (0, None, None, True)
    assert made["edited_at"] is None
    assert await shown(conn, made["id"]) == made
    assert await listed(conn) == (1, [made])
    assert await wrong_counters(conn) == []


async def test_a_release_is_named_by_its_id_by_its_slug_and_by_a_slug_it_had(conn: Any) -> None:
    (author,) = await make_users(conn, 1)
    await conn.execute("insert into release_slugs (slug, release_id) values ('once', 6) on conflict do nothing")
    found = [(await post(conn, author, name)).release_id for name in (6, "release-2", "once")]
    assert found == [6, 6, 6]
    for unknown in (1, 97 * 3, "no-such-release"):
        with pytest.raises(NotFound):
            await post(conn, author, unknown)


async def test_an_account_that_is_gone_says_nothing(conn: Any) -> None:
    with pytest.raises(Unauthenticated):
        await post(conn, 2**40)
    assert await conn.fetchval("select count(*) from comments") == 0


async def test_threads_go_as_deep_as_the_bound_and_no_deeper(conn: Any) -> None:
    (author,) = await make_users(conn, 1)
    above: int | None = None
    for depth in range(DEEPEST + 1):
        posted = await post(conn, author, parent=above)
        above = posted.comment_id
        assert orjson.loads(posted.document)["depth"] == depth
    with pytest.raises(Unprocessable) as refused:
        await post(conn, author, parent=above)
    assert [fault.pointer for fault in refused.value.faults] == ["/parent_id"]
    assert await conn.fetchval("select comments from release_talk where release_id = 3") == DEEPEST + 1
    assert await conn.fetchval("select threads from release_talk where release_id = 3") == 1
    assert await wrong_counters(conn) == []


async def test_a_parent_has_to_be_a_comment_of_the_release_that_can_be_read(conn: Any) -> None:
    (author,) = await make_users(conn, 1)
    elsewhere, gone, held = [(await post(conn, author, release)).comment_id for release in (6, 3, 3)]
    await comments.delete(conn, Reader(author), gone)
    await settle(conn, held, "state = 'pending'")
    for parent in (elsewhere, gone, held, 2**40):
        with pytest.raises(Unprocessable) as refused:
            await post(conn, author, 3, parent)
        assert [fault.pointer for fault in refused.value.faults] == ["/parent_id"]
    assert await wrong_counters(conn) == []


async def test_an_episode_has_to_be_one_of_the_release_and_a_reply_inherits_it(conn: Any) -> None:
    (author,) = await make_users(conn, 1)
    episode = await conn.fetchval("select id from episodes where release_id = 3 and ordinal = 3.5")
    other = await conn.fetchval("select id from episodes where release_id = 6 limit 1")
    posted = await post(conn, author, episode=episode)
    reply = orjson.loads((await post(conn, author, parent=posted.comment_id)).document)
    assert (reply["episode_id"], reply["episode"]) == (episode, 3.5)
    first = await conn.fetchval("select id from episodes where release_id = 3 and ordinal = 1")
    apart = orjson.loads((await post(conn, author, parent=posted.comment_id, episode=first)).document)
    # What it answers is of a later one: it would tell of that to whoever has seen the first.
    assert (apart["episode_id"], apart["episode"]) == (episode, 3.5)
    start = (await post(conn, author, episode=first)).comment_id
    ahead = orjson.loads((await post(conn, author, parent=start, episode=episode)).document)
    assert (ahead["episode_id"], ahead["episode"]) == (episode, 3.5)
    whole = (await post(conn, author)).comment_id
    named = orjson.loads((await post(conn, author, parent=whole, episode=first)).document)
    assert (named["episode_id"], named["episode"]) == (first, 1)
    with pytest.raises(Unprocessable) as refused:
        await post(conn, author, episode=other)
    assert [fault.pointer for fault in refused.value.faults] == ["/episode_id"]
    assert [one["id"] for one in (await listed(conn, episode=episode))[1]] == [posted.comment_id]
    assert [one["id"] for one in (await listed(conn, episode=first))[1]] == [start]
    assert await listed(conn, episode=other) == (0, [])


async def test_a_deleted_comment_leaves_a_gap_as_long_as_something_hangs_on_it(conn: Any) -> None:
    one, two = await make_users(conn, 2)
    top = (await post(conn, one)).comment_id
    middle = (await post(conn, two, parent=top)).comment_id
    low = (await post(conn, one, parent=middle)).comment_id
    for erased in (top, middle):
        await comments.delete(conn, Reader(one if erased == top else two), erased)
    count, (gap,) = await listed(conn)
    assert (count, gap["id"], gap["hidden"], gap["author"], gap["replies_count"]) == (1, top, "deleted", None, 1)
    assert "text" not in gap
    assert [one["hidden"] for one in (await answers(conn, top))[1]] == ["deleted"]
    assert [one["id"] for one in (await answers(conn, middle))[1]] == [low]
    assert await conn.fetchval("select comments from release_talk where release_id = 3") == 1
    await comments.delete(conn, Reader(one), low)
    assert await listed(conn) == (0, [])
    assert [await shown(conn, gone) for gone in (top, middle, low)] == [None] * 3
    assert await comments.replies(conn, UNVEILED, top, None, 10) is None
    assert await wrong_counters(conn) == []


async def test_what_comes_back_opens_the_thread_again(conn: Any) -> None:
    (author,) = await make_users(conn, 1)
    top = (await post(conn, author)).comment_id
    low = (await post(conn, author, parent=top)).comment_id
    await settle(conn, low, "state = 'hidden'")
    await settle(conn, top, "state = 'hidden'")
    assert (await listed(conn))[0] == 0
    await settle(conn, low, "state = 'visible'")
    assert [one["hidden"] for one in (await listed(conn))[1]] == ["moderated"]
    assert await wrong_counters(conn) == []
    await settle(conn, top, "state = 'visible'")
    assert [one["replies_count"] for one in (await listed(conn))[1]] == [1]
    assert await wrong_counters(conn) == []


async def test_settling_what_has_not_changed_changes_nothing(conn: Any) -> None:
    (author,) = await make_users(conn, 1)
    made = (await post(conn, author)).comment_id
    before = await events(conn)
    await settle(conn, made, "spoiler = true")
    await conn.execute("select settle_comment(123456)")
    assert await events(conn) == before
    assert await wrong_counters(conn) == []


async def test_a_new_comment_is_told_to_its_author_s_statistics_and_to_whom_it_answers(conn: Any) -> None:
    one, two = await make_users(conn, 2)
    top = (await post(conn, one)).comment_id
    low = (await post(conn, two, parent=top)).comment_id
    await post(conn, two, parent=low)
    found = await events(conn)
    assert found[0] == (
        "community", f"user:{one}", one,
        {"delta": {"comments": 1}, "activity": [["commented", "release", 3, {"comment_id": top}]]},
    )  # fmt: skip
    assert found[1][3]["activity"] == [["replied", "release", 3, {"comment_id": low}]]
    told = {"comment_id": low, "release_id": 3, "recipient_id": one, "author_id": two}
    # Whoever answers themselves is told nothing.
    assert [event for event in found if event[0] == "reply"] == [("reply", f"comment:{low}", None, told)]


async def test_what_was_held_is_announced_once_when_it_can_be_read(conn: Any) -> None:
    one, two = await make_users(conn, 2, role="user")
    top = (await post(conn, one)).comment_id
    before = len(await events(conn))
    held = await post(conn, two, parent=top, worded=True)
    assert (held.state, orjson.loads(held.document)["held_for"]) == ("pending", ["words"])
    assert await conn.fetchval("select queued_at is not null from comments where id = $1", held.comment_id)
    assert len(await events(conn)) == before
    assert await answers(conn, top) == (0, [])
    for change in ("state = 'visible'", "state = 'hidden'", "state = 'visible'"):
        await settle(conn, held.comment_id, change)
    found = (await events(conn))[before:]
    assert [(event[0], event[3].get("delta"), bool(event[3].get("activity"))) for event in found] == [
        ("community", {"comments": 1}, True), ("reply", None, False), ("community", {"comments": -1}, False),
        ("community", {"comments": 1}, False),
    ]  # fmt: skip
    assert await conn.fetchval(TOLD, two) == 1
    assert await wrong_counters(conn) == []


async def test_held_comments_are_for_their_author_and_for_moderators(conn: Any) -> None:
    author, other = await make_users(conn, 2, role="user")
    held = (await post(conn, author, worded=True)).comment_id
    assert (await shown(conn, held, Reader(author)) or {})["held_for"] == ["words"]
    assert (await shown(conn, held, Reader(other, moderates=True)) or {})["held_for"] == ["words"]
    assert await shown(conn, held, Reader(other)) is None
    assert await shown(conn, held) is None
    assert await listed(conn) == (0, [])


async def test_words_may_be_changed_for_a_while_and_the_flag_for_ever(conn: Any) -> None:
    author, other = await make_users(conn, 2)
    made = (await post(conn, author, text="before")).comment_id
    edited = await comments.edit(conn, Reader(author), made, Change("after", None, False, False))
    document = orjson.loads(edited.document)
    assert (document["text"], document["spoiler"], document["edited_at"] is None) == ("after", False, False)
    await conn.execute("update comments set created_at = created_at - interval '16 minutes', edited_at = null")
    with pytest.raises(Conflict):
        await comments.edit(conn, Reader(author), made, Change("too late", True, False, False))
    assert (await shown(conn, made) or {})["spoiler"] is False
    # The same words are no change.
    edited = await comments.edit(conn, Reader(author), made, Change("after", True, False, False))
    document = orjson.loads(edited.document)
    assert (document["text"], document["spoiler"], document["edited_at"]) == ("after", True, None)
    for reader in (Reader(other), Reader(other, moderates=True)):
        with pytest.raises(Forbidden):
            await comments.edit(conn, reader, made, Change(None, False, False, False))
    with pytest.raises(NotFound):
        await comments.edit(conn, Reader(author), 2**40, Change(None, False, False, False))


async def test_new_words_are_looked_at_like_a_new_comment(conn: Any) -> None:
    (author,) = await make_users(conn, 1, role="user")
    made = (await post(conn, author)).comment_id
    edited = await comments.edit(conn, Reader(author), made, Change("worse", None, False, True))
    document = orjson.loads(edited.document)
    assert (document["state"], document["held_for"], edited.published) == ("pending", ["words"], True)
    decision = await conn.fetchrow("select * from moderation_decisions")
    assert (decision["target_id"], decision["moderator_id"], decision["state_after"]) == (made, None, "pending")
    assert await conn.fetchval(TOLD, author) == 0
    # Better words do not let it out: that is for a moderator to say.
    again = await comments.edit(conn, Reader(author), made, Change("better", None, False, False))
    assert orjson.loads(again.document)["state"] == "pending"
    assert await conn.fetchval("select count(*) from moderation_decisions") == 1
    await settle(conn, made, "state = 'hidden'")
    with pytest.raises(Conflict):
        await comments.edit(conn, Reader(author), made, Change("back", None, False, False))
    assert await wrong_counters(conn) == []


async def test_a_comment_is_taken_back_by_its_author_as_often_as_they_like(conn: Any) -> None:
    author, other = await make_users(conn, 2, role="user")
    made = (await post(conn, author)).comment_id
    await conn.execute(
        "insert into reports (target_type, target_id, user_id, reason) values ('comment', $1, $2, 'spam')", made, other
    )
    await conn.execute("update comments set reports = 1 where id = $1", made)
    with pytest.raises(Forbidden):
        await comments.delete(conn, Reader(other), made)
    assert (await comments.delete(conn, Reader(other, moderates=True), made)).to_moderate
    assert (await comments.delete(conn, Reader(author), made)).published
    assert not (await comments.delete(conn, Reader(author), made)).published
    for reader in (Reader(other), Reader(other, moderates=True)):
        with pytest.raises(NotFound):
            await comments.delete(conn, reader, made)
    assert await conn.fetchval(TOLD, author) == 0
    assert await conn.fetchval("select closed_at is not null from reports")
    assert await conn.fetchval("select reports from comments where id = $1", made) == 0
    assert await wrong_counters(conn) == []


async def test_what_an_erased_author_said_is_nobody_s_and_tells_nobody(conn: Any) -> None:
    one, two = await make_users(conn, 2)
    top = (await post(conn, one)).comment_id
    await post(conn, two, parent=top)
    before = await events(conn)
    async with conn.transaction():
        await conn.execute("delete from users where id = $1", one)
    (left,) = (await listed(conn))[1]
    assert (left["author"], left["id"]) == (None, top)
    await post(conn, two, parent=top)
    await settle(conn, top, "deleted_at = now(), text = ''")
    assert [event[0] for event in (await events(conn))[len(before) :]] == ["community"]
    assert (await listed(conn))[1][0]["hidden"] == "deleted"
    assert await wrong_counters(conn) == []


async def test_pages_follow_one_another_in_both_orders_whatever_is_said_meanwhile(conn: Any) -> None:
    (author,) = await make_users(conn, 1)
    made = [(await post(conn, author)).comment_id for _ in range(25)]
    for newest in (True, False):
        seen: list[int] = []
        behind = None
        while rows := (await listed(conn, newest=newest, behind=behind, limit=7))[1]:
            seen += [row["id"] for row in rows]
            behind = seen[-1]
            if len(seen) < 20:
                await post(conn, author)
        wanted = made[::-1] if newest else made
        assert seen[:25] == wanted
        assert len(set(seen)) == len(seen)


async def test_the_quota_counts_the_newest_rows_of_its_window_and_says_when_one_leaves_it(conn: Any) -> None:
    (author,) = await make_users(conn, 1)
    quota = (3, timedelta(hours=1))
    used = []
    for age in (50, 40, 0):
        posted = await post(conn, author, quota=quota)
        used.append(posted.used)
        await conn.execute(
            "update comments set created_at = created_at - $2 * interval '1 minute' where id = $1",
            posted.comment_id, age,
        )  # fmt: skip
    assert used == [1, 2, 3]
    await conn.execute("update comments set deleted_at = now()")
    full = await post(conn, author, quota=quota)
    assert full.full
    assert full.comment_id == 0
    assert full.frees_at is not None
    assert timedelta(minutes=9) < full.frees_at - full.at <= timedelta(minutes=10)
    await conn.execute("update comments set created_at = created_at - interval '11 minutes'")
    assert (await post(conn, author, quota=quota)).used == 3
    assert (await post(conn, author, quota=(0, timedelta(hours=1)))).used == 0


async def test_of_requests_that_come_at_once_as_many_pass_as_the_quota_has(conn: Any, seeded: str) -> None:
    (author,) = await make_users(conn, 1)
    database = Database(seeded, size=8)
    await database.open()

    async def one(release: int) -> bool:
        async with database.single() as connection:
            return (await post(connection, author, release, quota=(10, timedelta(hours=1)))).full

    refused = await asyncio.gather(*(one(3 + 3 * (n % 5)) for n in range(40)))
    await database.close()
    assert refused.count(False) == 10
    assert await conn.fetchval("select count(*) from comments") == 10


async def test_counters_are_exact_however_many_write_and_delete_at_once(conn: Any, seeded: str) -> None:
    people = await make_users(conn, 12)
    tops = [(await post(conn, people[0], release)).comment_id for release in (3, 3, 6)]
    database = Database(seeded, size=8)
    await database.open()
    made: list[tuple[int, int]] = []

    async def one(number: int) -> None:
        chance = random.Random(number)
        author = people[number % len(people)]
        async with database.single(timeout=20) as connection:
            if made and chance.random() < 0.4:
                owner, target = made[chance.randrange(len(made))]
                await comments.delete(connection, Reader(owner), target)
                return
            parent = tops[number % 3] if chance.random() < 0.6 or not made else made[chance.randrange(len(made))][1]
            release = await connection.fetchval("select release_id from comments where id = $1", parent)
            try:
                posted = await post(connection, author, release, parent if chance.random() < 0.8 else None)
            except Unprocessable:
                # Somebody has deleted what it answers, or it stands too deep.
                return
        made.append((author, posted.comment_id))

    await asyncio.gather(*(one(number) for number in range(400)))
    await database.close()
    assert await wrong_counters(conn) == []
    for author in people:
        alive = await conn.fetchval("select count(*) from comments where user_id = $1 and counted", author)
        assert await conn.fetchval(TOLD, author) == alive
    assert await conn.fetchval("select count(*) from comments where deleted_at is not null") > 50


async def test_within_a_release_a_later_id_never_shows_before_an_earlier_one(conn: Any, seeded: str) -> None:
    one, two = await make_users(conn, 2)
    await post(conn, one)
    other = await connect(seeded)
    transaction = conn.transaction()
    await transaction.start()
    first = (await post(conn, one)).comment_id
    waiting = asyncio.create_task(post(other, two))
    while not await conn.fetchval("select exists (select from pg_locks where not granted)"):  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    await transaction.commit()
    second = (await waiting).comment_id
    await other.close()
    assert first < second
