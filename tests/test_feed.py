"""The feed and what users did, over HTTP: what is in them, who may see it, how they page, and what they cost."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from actors.consumers.activity import Activity
from actors.consumers.base import Delivered
from server.database import connect
from server.keys import DATABASE
from server.schemas.activity import ActivityPage
from sql import activity
from tests.conftest import Server
from tests.http_fixture import SHARED, problem, queries_seen, shared_site
from tests.people import Person, person
from tests.running import Running

pytestmark = SHARED
NOW = datetime.now(UTC)
# Release 12 is in a franchise of its own and in these genres; nobody else follows them here.
RELEASE, GENRES, FRANCHISE = 12, [101, 102], 50


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: Any) -> AsyncIterator[Running]:
    async with shared_site(server, tmp_path_factory.mktemp("feed")) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def conn(site: Running) -> AsyncIterator[Any]:
    connection = await connect(site.app[DATABASE].dsn)
    await connection.execute(
        "insert into genres (id, slug, name, name_key) values (101, 'a', 'A', 'a'), (102, 'b', 'B', 'b')"
    )
    await connection.execute("insert into franchises (id, slug, name, name_key) values (50, 'saga', 'Saga', 'saga')")
    await connection.execute("update releases set genre_ids = '{101,102}', franchise_id = 50 where id = 12")
    yield connection
    await connection.close()


@pytest.fixture
def moments() -> Iterator[datetime]:
    """Moments far enough apart for nothing to be folded."""
    return (NOW + timedelta(minutes=n) for n in range(1000))


async def did(conn: Any, user_id: int, *acts: tuple[str, str, int, dict[str, Any]], at: datetime = NOW) -> None:
    payload = {"activity": [list(act) for act in acts]}
    async with conn.transaction():
        await Activity().handle(conn, [Delivered(1, 1, "library", f"user:{user_id}", user_id, payload, at)])


async def happened(conn: Any, *, at: datetime = NOW, **payload: Any) -> None:
    async with conn.transaction():
        await Activity().handle(conn, [Delivered(1, 1, "catalogue", "catalogue", None, payload, at)])


async def follow(conn: Any, who: Person, kind: str, target_id: int) -> None:
    await conn.execute(
        "insert into subscriptions (user_id, subscription_type, target_id) values ($1, $2, $3)", who.id, kind, target_id
    )


async def page(site: Running, path: str, who: Person | None = None) -> Any:
    target = path if path.startswith("/api/") else f"/api/v1{path}"
    async with site.client.get(target, headers=who.headers if who else {}) as answer:
        body = await answer.read()
        assert answer.status == 200, body
        assert "no-store" in answer.headers["Cache-Control"]
        msgspec.json.decode(body, type=ActivityPage, strict=True)
        return json.loads(body)


def told(found: Any) -> list[tuple[str, int]]:
    return [(entry["action_type"], entry["target"]["id"]) for entry in found["results"]]


async def test_the_feed_holds_what_i_did_and_what_happened_to_what_i_follow(site, conn, moments):
    me, other = await person(site), await person(site)
    episode = await conn.fetchval("select id from episodes where release_id = 9 and ordinal = 1")
    for kind, target in (("release", 9), ("genre", 101), ("franchise", FRANCHISE)):
        await follow(conn, me, kind, target)
    await did(conn, me.id, ("rated", "release", 3, {"rating": 8}), at=next(moments))
    await did(conn, other.id, ("rated", "release", 9, {"rating": 1}), at=next(moments))
    await happened(conn, updated=[15], at=next(moments))
    await happened(conn, episodes=[[9, episode]], at=next(moments))
    # Followed by genre and by franchise, and told once.
    await happened(conn, added=[RELEASE], at=next(moments))
    found = await page(site, "/feed", me)
    assert told(found) == [("release_added", RELEASE), ("episode_added", episode), ("rated", 3)]
    assert (found["count"], found["next"], found["previous"]) == (3, None, None)
    assert "count_is_estimate" not in found
    added, aired, rated = found["results"]
    assert rated["actor"] == {"id": me.id, "username": me.username}
    assert rated["description"] == f"{me.username} rated Release 1 8 out of 10"
    assert rated["target"] == {"type": "release", "id": 3, "title": "Release 1", "slug": "release-1"}
    assert (added["actor"], added["description"]) == (None, "Release 4 was added to the catalogue")
    assert aired["target"] == {"type": "episode", "id": episode, "title": "Release 3, episode 1", "slug": "release-3"}


async def test_what_is_no_longer_followed_is_no_longer_told(site, conn):
    me = await person(site)
    await follow(conn, me, "release", 21)
    await happened(conn, added=[21])
    assert told(await page(site, "/feed", me)) == [("release_added", 21)]
    await conn.execute("update subscriptions set deleted_at = now() where user_id = $1", me.id)
    assert told(await page(site, "/feed", me)) == []


async def test_paging_neither_repeats_nor_skips_while_entries_arrive(site, conn, moments):
    me = await person(site)
    await follow(conn, me, "release", 24)
    for number in range(10):
        await did(conn, me.id, ("rated", "release", 3, {"rating": 1 + number}), at=next(moments))
        await happened(conn, updated=[24], at=next(moments))
    before = await conn.fetch("select seq, id::text from activity order by seq desc limit 20")
    seen: list[str] = []
    following: str | None = "/feed?limit=3"
    counts = []
    while following:
        found = await page(site, following, me)
        seen += [entry["id"] for entry in found["results"]]
        counts.append((found["count"], found.get("count_is_estimate")))
        following = found["next"]
        await happened(conn, updated=[24], at=next(moments))
        await did(conn, me.id, ("favorited", "release", 3, {}), at=next(moments))
    assert seen == [row["id"] for row in before]
    assert all(estimated for _, estimated in counts)
    assert len({count for count, _ in counts}) == 1


async def test_a_hidden_profile_shows_what_its_owner_did_to_nobody_else(site, conn):
    owner, other, admin = await person(site), await person(site), await person(site, role="admin")
    await did(conn, owner.id, ("favorited", "release", 3, {}))
    path = f"/users/{owner.id}/activity"
    for who in (None, other):
        assert told(await page(site, path, who)) == [("favorited", 3)]
    await conn.execute("update users set is_public = false where id = $1", owner.id)
    for who in (None, other):
        async with site.client.get(f"/api/v1{path}", headers=who.headers if who else {}) as answer:
            await problem(answer, 403)
    for who in (owner, admin):
        assert told(await page(site, path, who)) == [("favorited", 3)]
    assert told(await page(site, "/feed", owner)) == [("favorited", 3)]


async def test_what_a_user_did_is_counted_exactly_and_paged(site, conn, moments, monkeypatch):
    owner = await person(site)
    for number in range(25):
        await did(conn, owner.id, ("rated", "release", 3 + 3 * number, {"rating": 5}), at=next(moments))
    first = await page(site, f"/users/{owner.id}/activity")
    second = await page(site, first["next"])
    assert [len(found["results"]) for found in (first, second)] == [20, 5]
    assert (first["count"], second["count"], second["next"]) == (25, 25, None)
    assert "count_is_estimate" not in first
    monkeypatch.setattr("server.bodies.activity.MOST_COUNTED", 10)
    guessed = await page(site, f"/users/{owner.id}/activity")
    assert guessed["count_is_estimate"]
    assert guessed["count"] >= 21


async def test_a_target_that_is_gone_keeps_a_neutral_name_in_what_i_did_and_is_no_news(site, conn, moments):
    me = await person(site)
    await follow(conn, me, "release", 27)
    await did(conn, me.id, ("favorited", "release", 27, {}), at=next(moments))
    await happened(conn, updated=[27], at=next(moments))
    assert len((await page(site, "/feed", me))["results"]) == 2
    await conn.execute("update releases set deleted_at = now() where id = 27")
    found = await page(site, "/feed", me)
    assert [entry["target"] for entry in found["results"]] == [
        {"type": "release", "id": 27, "title": "a release that is no longer here"}
    ]
    assert "Release 9" not in json.dumps(found)


async def test_titles_are_those_of_today(site, conn):
    me = await person(site)
    await did(conn, me.id, ("favorited", "release", 30, {}))
    await conn.execute("update releases set title = 'Another {name} \"quoted\"' where id = 30")
    (entry,) = (await page(site, "/feed", me))["results"]
    assert entry["target"]["title"] == 'Another {name} "quoted"'
    assert entry["target"]["title"] in entry["description"]


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "cursor=x", "page=2"])
async def test_what_does_not_fit_is_refused(site, query):
    me = await person(site)
    status = 200 if query == "page=2" else 422
    for path in ("/feed", f"/users/{me.id}/activity"):
        async with site.client.get(f"/api/v1{path}?{query}", headers=me.headers) as answer:
            assert answer.status == status


async def test_a_cursor_of_one_list_is_none_of_the_other(site, conn, moments):
    me = await person(site)
    for _ in range(3):
        await did(conn, me.id, ("favorited", "release", 33, {}), at=next(moments))
    following = (await page(site, "/feed?limit=1", me))["next"]
    async with site.client.get(following.replace("/feed", f"/users/{me.id}/activity"), headers=me.headers) as answer:
        await problem(answer, 422)


async def test_who_has_not_signed_in_has_no_feed_and_nobody_has_the_activity_of_nobody(site):
    async with site.client.get("/api/v1/feed") as answer:
        await problem(answer, 401)
    async with site.client.get("/api/v1/users/999999999/activity") as answer:
        await problem(answer, 404)


async def test_a_page_takes_at_most_five_queries_however_much_is_followed(site, conn, moments):
    me = await person(site)
    await conn.execute(
        """insert into subscriptions (user_id, subscription_type, target_id)
           select $1, 'release', n from generate_series(1, 200) n""",
        me.id,
    )
    for _ in range(30):
        await happened(conn, updated=[36], at=next(moments))
    for path in ("/feed", f"/users/{me.id}/activity"):
        with queries_seen() as names:
            await page(site, path, me)
        # Of actors at work beside it there may be others.
        mine = [name for name in names if name in {query.name for query in activity.QUERIES}]
        assert 2 <= len(mine) <= 5
