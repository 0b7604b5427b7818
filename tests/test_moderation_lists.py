"""What moderators see, from the database: the queue in its order, what stands in it, what each list costs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import orjson
import pytest
import pytest_asyncio

from actors.works.undo_user import BEGINNING
from sql import moderation_lists
from sql.moderation_lists import DecisionsWanted, Place
from tests import catalogue_seed
from tests.commenting import make_users
from tests.conftest import Server
from tests.moderating import decide, report, say, silent

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


async def waiting(conn: Any, *given: Any) -> list[dict[str, Any]]:
    """The whole queue, page by page of two."""
    found: list[dict[str, Any]] = []
    kind, reason = given or (None, None)
    after: Place | None = None
    while rows := await moderation_lists.queue(conn, kind, reason, after, 2):
        found += [orjson.loads(one.thing) for one in rows]
        after = Place(rows[-1].queued_at, rows[-1].place)
    assert (len(found), True) == await moderation_lists.count_queue(conn, kind, reason)
    return found


async def test_the_queue_is_in_order_page_by_page_also_where_things_came_at_the_same_moment(conn: Any) -> None:
    authors, (moderator,) = await make_users(conn, 7, "user"), await make_users(conn, 1)
    ids = [
        (kind, await say(conn, kind, author, 3 + 3 * number, worded=True))
        for number, author in enumerate(authors)
        for kind in ("comment", "review")
    ]
    for table in ("comments", "reviews"):
        await conn.execute(f"update {table} set queued_at = date_trunc('hour', queued_at) + interval '1 s' * (id / 3)")
    rows = await conn.fetch(
        """select queued_at, id * 2 as place, 'comment' as kind, id from comments
           union all select queued_at, id * 2 + 1, 'review', id from reviews order by 1, 2"""
    )
    expected = [(one["kind"], one["id"]) for one in rows]
    assert sorted(expected) == sorted(ids)
    assert [(one["type"], one["id"]) for one in await waiting(conn)] == expected
    reviews_alone = [one for one in expected if one[0] == "review"]
    assert [(one["type"], one["id"]) for one in await waiting(conn, "review", None)] == reviews_alone
    assert await waiting(conn, "review", "reports") == []
    assert len(await waiting(conn, None, "words")) == 14
    await decide(conn, moderator, "comment", expected[0][1] if expected[0][0] == "comment" else 1, "visible")
    assert len(await waiting(conn)) == 13


async def test_the_queue_says_what_a_moderator_needs_to_know(conn: Any) -> None:
    (author,), (moderator,) = await make_users(conn, 1, "user"), await make_users(conn, 1)
    await decide(conn, moderator, "comment", await say(conn, "comment", author), "hidden")
    target, people = await say(conn, "comment", author), await make_users(conn, 6, "user")
    for number, reporter in enumerate(people[:3]):
        await report(conn, "comment", target, reporter, "abuse", f"note {number}")
    (shown,) = await waiting(conn)
    assert (shown["reports_count"], shown["held_for"], shown["state"]) == (3, ["reports"], "pending")
    assert [one["note"] for one in shown["reports"]] == ["note 2", "note 1", "note 0"]
    assert shown["reports"][0]["reporter"]["id"] == people[2]
    assert (shown["author"]["id"], shown["author"]["hidden_count"], shown["release"]["id"]) == (author, 1, 3)
    await decide(conn, moderator, "comment", target, "hidden")
    found = await moderation_lists.thing(conn, "comment", target)
    assert found is not None
    shown = orjson.loads(found)
    assert (shown["state"], shown["queued_at"], shown["reports"], shown["reports_count"]) == ("hidden", None, [], 0)
    assert shown["author"]["hidden_count"] == 2


PLANS = {
    "queue": moderation_lists.compose_queue(None, None, Place(BEGINNING, 1), 20),
    "queue of reviews": moderation_lists.compose_queue("review", "links", None, 20),
    "what is rare in the queue": moderation_lists.compose_queue("comment", "words", None, 20),
    "what is common in the queue": moderation_lists.compose_queue("comment", "links", None, 20),
    "decisions": moderation_lists.compose_decisions(DecisionsWanted(), 10**9, 20),
    "of a kind": moderation_lists.compose_decisions(DecisionsWanted(kind="review"), None, 20),
    "of a thing": moderation_lists.compose_decisions(DecisionsWanted(kind="comment", target_id=7), None, 20),
    "of an author": moderation_lists.compose_decisions(DecisionsWanted(author_id=7), None, 20),
    "of a moderator": moderation_lists.compose_decisions(DecisionsWanted(moderator_id=7), None, 20),
}


async def test_each_list_reads_along_an_index(conn: Any) -> None:
    (author,) = await make_users(conn, 1, "user")
    await conn.execute(
        """insert into comments (release_id, user_id, text, created_at, queued_at, held_for)
           select 3, $1, 'x' || n, now(), case when n % 2 = 0 then now() - interval '1 s' * n end,
                  case when n % 2 = 0 then array[case when n <= 10 then 'words' else 'links' end] else '{}' end
           from generate_series(1, 5000) n""",
        author,
    )
    await conn.execute(
        """insert into moderation_decisions (target_type, target_id, release_id, author_id, moderator_id, state_before,
                                             state_after)
           select case when n % 50 = 0 then 'review' else 'comment' end, n, 3, n % 500, n % 300, 'visible', 'hidden'
           from generate_series(1, 20000) n"""
    )
    await conn.execute("analyze comments, reviews, moderation_decisions")
    for name, (text, values) in PLANS.items():
        (plan,) = await conn.fetchrow(f"explain (analyze, format json) {text}", *values)
        read = list(scans(plan[0]["Plan"]))
        assert all(kind != "Seq Scan" for kind, _ in read), (name, read)
        assert sum(rows for _, rows in read) <= 200, (name, read)


def scans(node: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """How each large table is read, and how many rows of it."""
    if node.get("Relation Name") in ("comments", "moderation_decisions"):
        yield node["Node Type"], (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
    for child in node.get("Plans", ()):
        yield from scans(child)
