"""Synchronising over HTTP: what a device is told, what becomes of what it sends."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from server.keys import DATABASE
from server.schemas.sync import SyncChanges, SyncMerged
from sql import profiles, sync
from sql.profiles import ProfileEdit
from tests.catalogue_seed import exactly
from tests.conftest import Server
from tests.http_fixture import SHARED, problem, shared_site
from tests.people import Person, person
from tests.running import Running
from tests.sync_device import PATH, Device, moment

pytestmark = SHARED
HOUR = 3600
ODD_TIMES = (
    "1970-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "2199-12-31T23:59:59Z", "9999-12-31T23:59:59-14:00",
)  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """One server for all: each test has a user of its own."""
    async with shared_site(server, tmp_path_factory.mktemp("site")) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def conn(site: Running) -> AsyncIterator[Any]:
    """A connection to its database."""
    connection = await asyncpg.connect(site.app[DATABASE].dsn)
    yield connection
    await connection.close()


@pytest.fixture
def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers hold three rows."""
    monkeypatch.setitem(sync.changes.__kwdefaults__, "most", 3)  # type: ignore[arg-type]


async def get(site: Running, who: Person, query: str = "", status: int = 200, **headers: str) -> Any:
    async with site.client.get(f"{PATH}{query}", headers=who.headers | headers) as answer:
        body = await answer.read()
        assert answer.status == status, body
        assert answer.headers["Cache-Control"] == "private, no-store"
        if status == 304:
            assert body == b""
            return None
        found = exactly(SyncChanges, body)
        assert answer.headers["ETag"] == f'"r{found["revision"]}"'
        return found


async def post(site: Running, who: Person, since: int | None = None, **edits: list[dict[str, Any]]) -> Any:
    body = {"edits": edits} | ({} if since is None else {"since": since})
    async with site.client.post(PATH, json=body, headers=who.headers) as answer:
        assert answer.status == 200, await answer.text()
        assert answer.headers["Cache-Control"] == "private, no-store"
        return exactly(SyncMerged, await answer.read())


def ago(seconds: float) -> str:
    return moment(time.time() - seconds)


def like(release: int, seconds: float = 60, **fields: Any) -> dict[str, Any]:
    return {"release_id": release, "changed_at": ago(seconds), **fields}


def watch(episode: int, position: int, seconds: float = 60, **fields: Any) -> dict[str, Any]:
    return {"episode_id": episode, "position_seconds": position, "changed_at": ago(seconds), **fields}


async def episode_of(conn: Any, release: int, ordinal: int = 1) -> int:
    found: int = await conn.fetchval("select id from episodes where release_id = $1 and ordinal = $2", release, ordinal)
    return found


async def forget(conn: Any, who: Person) -> None:
    """Tombstones go, as they do after ninety days."""
    revision = await conn.fetchval(
        "with gone as (delete from library_entries where user_id = $1 and deleted returning revision)"
        " select max(revision) from gone", who.id,
    )  # fmt: skip
    await conn.execute("update user_revisions set forgotten = $2 where user_id = $1", who.id, revision)


async def test_somebody_new_is_told_everything_which_is_their_profile(site: Running) -> None:
    who = await person(site)
    found = await get(site, who)
    assert (found["revision"], found["full"], found["more"], found["next"]) == (0, True, False, None)
    assert found["profile"]["username"] == who.username
    assert [found[name] for name in ("favorites", "collections", "ratings", "ignores", "progress")] == [[]] * 5


async def test_a_device_that_is_current_is_told_so_without_a_body(site: Running) -> None:
    who = await person(site)
    revision = (await post(site, who, favorites=[like(3)]))["revision"]
    await get(site, who, f"?since={revision}", 304)
    await get(site, who, "", 304, **{"If-None-Match": f'"x", W/"r{revision}"'})
    await get(site, who, "", 200, **{"If-None-Match": f'"r{revision + 1}"'})
    assert (await post(site, who, favorites=[like(6)]))["revision"] == revision + 1
    assert [row["release_id"] for row in (await get(site, who, f"?since={revision}"))["favorites"]] == [6]


async def test_each_kind_comes_back_as_it_was_sent(site: Running, conn: Any) -> None:
    who, episode = await person(site), await episode_of(conn, 3)
    sent = {
        "favorites": [like(3)],
        "collections": [like(3, collection="dropped"), like(6, collection="planned")],
        "ratings": [like(3, rating=10)],
        "ignores": [like(9)],
        "progress": [watch(episode, 600, completed=False)],
    }
    await post(site, who, **sent)
    found = await get(site, who)
    for kind, rows in sent.items():
        assert [{name: row[name] for name in rows[0]} for row in found[kind]] == rows
        assert not any(row["deleted"] for row in found[kind])
    assert found["progress"][0]["release_id"] == 3


async def test_what_is_gone_is_told_as_such_to_a_device_that_knew_it_and_left_out_of_everything(site: Running) -> None:
    who = await person(site)
    first = await post(site, who, ratings=[like(3, rating=4)], collections=[like(3, collection="watching")])
    gone = [like(3, 30, deleted=True)]
    await post(site, who, ratings=gone, collections=gone)
    found = await get(site, who, f"?since={first['revision']}")
    assert not found["full"]
    assert found["ratings"] == [gone[0] | {"rating": None}]
    assert found["collections"] == [gone[0] | {"collection": None}]
    everything = await get(site, who)
    assert (everything["full"], everything["ratings"], everything["collections"]) == (True, [], [])


async def test_who_comes_from_before_what_was_forgotten_or_from_elsewhere_starts_over(site: Running, conn: Any) -> None:
    who = await person(site)
    old = (await post(site, who, favorites=[like(3), like(6)]))["revision"]
    gone = (await post(site, who, favorites=[like(3, 30, deleted=True)]))["revision"]
    await post(site, who, favorites=[like(9)])
    assert not (await get(site, who, f"?since={old}"))["full"]
    await forget(conn, who)
    for since, full in ((old, True), (gone, False), (gone + 50, True)):
        found = await get(site, who, f"?since={since}")
        assert found["full"] == full
        assert [row["release_id"] for row in found["favorites"]] == ([6, 9] if full else [9])
    assert (await post(site, who, since=old, favorites=[like(12)]))["full"]


@pytest.mark.usefixtures("few_rows")
async def test_much_comes_in_pages_that_are_cut_between_revisions(site: Running) -> None:
    who = await person(site)
    for releases in ((3, 6), (9, 12, 15, 18), (21,)):
        await post(site, who, favorites=[like(release) for release in releases])
    pages, query = [], "?since=0"
    while query:
        pages.append(await get(site, who, query))
        query = (pages[-1]["next"] or "").removeprefix(PATH)
    assert [[row["release_id"] for row in page["favorites"]] for page in pages] == [[3, 6, 9, 12, 15, 18], [21]]
    assert [(page["revision"], page["full"], page["more"]) for page in pages] == [(2, True, True), (3, False, False)]


@pytest.mark.usefixtures("few_rows")
async def test_reading_everything_ends_although_much_was_forgotten(site: Running, conn: Any) -> None:
    who = await person(site)
    for release in range(3, 31, 3):
        await post(site, who, favorites=[like(release)])
    await post(site, who, favorites=[like(30, 30, deleted=True)])
    await forget(conn, who)
    device = Device(site, who.headers)
    assert await device.read()
    assert device.following is not None
    # Meanwhile: what the first page told of goes, and that is not forgotten yet.
    await post(site, who, favorites=[like(3, 30, deleted=True)])
    await device.connect()
    assert sorted(device.state) == [("favorites", release) for release in range(6, 28, 3)]
    # Once that is forgotten, too, half of everything is no longer good enough.
    half = Device(site, who.headers)
    await half.read()
    await post(site, who, favorites=[like(6, 30, deleted=True)])
    await forget(conn, who)
    await half.connect()
    assert sorted(half.state) == [("favorites", release) for release in range(9, 28, 3)]


async def test_the_winner_is_told_also_to_whoever_lost(site: Running, conn: Any) -> None:
    who, episode = await person(site), await episode_of(conn, 6)
    first = await post(site, who, ratings=[like(3, 10, rating=9)], progress=[watch(episode, 900, 10)])
    lost = await post(
        site, who, first["revision"], ratings=[like(3, HOUR, rating=2)], progress=[watch(episode, 20, HOUR)]
    )
    assert lost["revision"] == first["revision"]
    assert (lost["ratings"], lost["progress"]) == (first["ratings"], first["progress"])
    assert lost["ratings"][0]["rating"] == 9


async def test_without_since_only_the_outcome_is_told(site: Running) -> None:
    who = await person(site)
    await post(site, who, favorites=[like(3)])
    found = await post(site, who, favorites=[like(6)])
    assert [row["release_id"] for row in found["favorites"]] == [6]
    assert (found["revision"], found["full"], found["more"], found["profile"]) == (2, False, False, None)
    assert [row["release_id"] for row in (await post(site, who, 0))["favorites"]] == [3, 6]


async def test_the_furthest_wins_unless_something_newer_says_restart(site: Running, conn: Any) -> None:
    who, episode = await person(site), await episode_of(conn, 9)

    async def after(*args: Any, **fields: Any) -> tuple[int, bool]:
        (row,) = (await post(site, who, progress=[watch(episode, *args, **fields)]))["progress"]
        return row["position_seconds"], row["completed"]

    assert await after(500, 500) == (500, False)
    assert await after(300, 400) == (500, False)
    assert await after(700, 900) == (700, False)
    assert await after(10, 800, restart=True) == (700, False)
    assert await after(5, 350, completed=True) == (5, True)
    assert await after(15, 300, restart=True) == (15, False)
    assert await after(1400, 310, completed=True) == (15, False)
    assert await after(20, 200) == (20, False)


async def test_a_clock_that_is_wrong_decides_nothing_for_ever(site: Running) -> None:
    who, before = await person(site), ago(0)
    told = await post(site, who, ratings=[like(3, -30 * 24 * HOUR, rating=3)])
    changed_at = told["ratings"][0]["changed_at"]
    assert before <= changed_at <= ago(0)
    while ago(0) <= changed_at:
        time.sleep(0.001)  # noqa: ASYNC251 - until the next millisecond
    assert (await post(site, who, ratings=[like(3, 0, rating=4)]))["ratings"][0]["rating"] == 4
    for odd in ODD_TIMES:
        edit = {"release_id": 6, "changed_at": odd}
        (row,) = (await post(site, who, favorites=[edit]))["favorites"]
        assert row["changed_at"] <= ago(0)


async def test_the_same_request_again_changes_nothing_and_is_answered_the_same(site: Running, conn: Any) -> None:
    who, episode = await person(site), await episode_of(conn, 12, 2)
    since = (await post(site, who, favorites=[like(3)]))["revision"]
    edits = {
        "favorites": [like(3, 20, deleted=True), like(6), like(4)],
        "collections": [like(6, collection="planned"), like(6, 30, collection="watching")],
        "progress": [watch(episode, 800, 90), watch(episode, 20, 50, restart=True), watch(episode, 60, 40)],
    }
    once = await post(site, who, since, **edits)
    assert once["progress"][0]["position_seconds"] == 60
    assert once["collections"][0]["collection"] == "watching"
    events = await conn.fetchval("select count(*) from outbox where user_id = $1", who.id)
    assert await post(site, who, since, **edits) == once
    assert await conn.fetchval("select count(*) from outbox where user_id = $1", who.id) == events


async def test_what_cannot_be_kept_is_rejected_by_its_place_and_the_rest_is_kept(site: Running) -> None:
    who = await person(site)
    found = await post(
        site, who,
        favorites=[like(3), like(4), like(5, deleted=True)],
        ratings=[like(4, rating=1)],
        progress=[watch(2**40, 10), watch(2**41, 0, deleted=True)],
    )  # fmt: skip
    assert [row["release_id"] for row in found["favorites"]] == [3]
    assert [(row["kind"], row["index"]) for row in found["rejected"]] == [
        ("favorites", 1), ("ratings", 0), ("progress", 0),
    ]  # fmt: skip
    assert all(row["detail"] for row in found["rejected"])


async def test_nobody_is_told_of_what_another_keeps(site: Running, conn: Any) -> None:
    who, other = await person(site), await person(site)
    episode = await episode_of(conn, 3)
    await post(site, other, favorites=[like(3)], progress=[watch(episode, 77)])
    found = await post(site, who, 0, favorites=[like(3, deleted=True)], progress=[watch(episode, 5)])
    assert [row["position_seconds"] for row in found["progress"]] == [5]
    assert [row["release_id"] for row in (await get(site, other))["favorites"]] == [3]


async def test_a_new_profile_is_told_once(site: Running) -> None:
    who = await person(site)
    revision = (await post(site, who, favorites=[like(3)]))["revision"]
    async with site.app[DATABASE].transaction() as writing:
        await profiles.update(writing, who.id, ProfileEdit(name="Mira", bio='Quiet "quotes" and 潮'))
    found = await get(site, who, f"?since={revision}")
    assert (found["profile"]["name"], found["profile"]["bio"]) == ("Mira", 'Quiet "quotes" and 潮')
    assert found["favorites"] == []
    assert (await post(site, who, found["revision"], favorites=[like(6)]))["profile"] is None


async def test_what_is_followed_is_told_and_what_is_followed_no_more(site: Running) -> None:
    who = await person(site)
    wanted = {"subscription_type": "release", "target_id": 3}
    async with site.client.post("/api/v1/subscriptions", json=wanted, headers=who.headers) as answer:
        assert answer.status == 201, await answer.text()
        made = (await answer.json())["id"]
    found = await get(site, who, "?since=0")
    assert found["subscriptions"] == [{"id": made, **wanted, "deleted": False}]
    async with site.client.delete(f"/api/v1/subscriptions/{made}", headers=who.headers) as answer:
        assert answer.status == 204
    later = await get(site, who, f"?since={found['revision']}")
    assert later["subscriptions"] == [{"id": made, **wanted, "deleted": True}]
    assert (await get(site, who))["subscriptions"] == []


async def test_what_was_done_on_line_is_told_at_once(site: Running, conn: Any) -> None:
    who, episode = await person(site), await episode_of(conn, 15)
    device = Device(site, who.headers)
    steps = (
        ("PUT", "favorites/3", None, ("favorites", 3), ()),
        ("PUT", "collections/watching/3", None, ("collections", 3), ("watching",)),
        ("PUT", "ratings/3", {"rating": 7}, ("ratings", 3), (7,)),
        ("PUT", "ignores/6", None, ("ignores", 6), ()),
        (
            "PUT",
            f"progress/{episode}",
            {"position_seconds": 90, "completed": False},
            ("progress", episode),
            (90, False),
        ),
        ("PUT", f"progress/{episode}", {"position_seconds": 8, "completed": False}, ("progress", episode), (8, False)),
        ("DELETE", "favorites/3", None, ("favorites", 3), None),
        ("DELETE", "ratings/3", None, ("ratings", 3), None),
    )
    for method, path, body, key, value in steps:
        url = f"/api/v1/profile/{path}"
        async with site.client.request(method, url, json=body, headers=who.headers) as answer:
            assert answer.status < 300, await answer.text()
        assert (await device.read(), device.state.get(key)) == (False, value)
    # What was done on-line is the truth: something older from another device no longer counts.
    older = await post(site, who, progress=[watch(episode, 800)], ratings=[like(3, rating=1)])
    assert (older["progress"][0]["position_seconds"], older["ratings"][0]["rating"]) == (8, None)


async def test_who_is_not_signed_in_or_has_no_account_any_more_is_told_nothing(site: Running, conn: Any) -> None:
    async with site.client.get(PATH) as answer:
        await problem(answer, 401)
    who = await person(site)
    await conn.execute("delete from users where id = $1", who.id)
    async with site.client.get(PATH, headers=who.headers) as answer:
        await problem(answer, 401)
    async with site.client.post(PATH, json={"edits": {"favorites": [like(3)]}}, headers=who.headers) as answer:
        await problem(answer, 401)


@pytest.mark.parametrize(
    ("edits", "pointer"),
    [
        ({"favorites": [like(3)] * 501}, "/edits/favorites"),
        ({"favorites": [{"release_id": 3}]}, "/edits/favorites/0/changed_at"),
        ({"favorites": [like(3, rating=3)]}, "/edits/favorites/0/rating"),
        ({"favorites": [{"release_id": 3, "changed_at": "2026-01-01T00:00:00"}]}, "/edits/favorites/0/changed_at"),
        ({"favorites": [like(2**63)]}, "/edits/favorites/0/release_id"),
        ({"collections": [like(3)]}, "/edits/collections/0"),
        ({"collections": [like(3, collection="watched")]}, "/edits/collections/0/collection"),
        ({"ratings": [like(3, rating=11)]}, "/edits/ratings/0/rating"),
        ({"ratings": [like(3)]}, "/edits/ratings/0"),
        ({"progress": [{"episode_id": 1, "changed_at": ago(0)}]}, "/edits/progress/0"),
        ({"progress": [watch(1, 864_001)]}, "/edits/progress/0/position_seconds"),
        ({"friends": []}, "/edits/friends"),
    ],
)
async def test_what_does_not_fit_is_refused_by_name(site: Running, edits: Any, pointer: str) -> None:
    who = await person(site)
    async with site.client.post(PATH, json={"edits": edits}, headers=who.headers) as answer:
        assert pointer in [fault["pointer"] for fault in (await problem(answer, 422))["errors"]]
    assert (await get(site, who))["revision"] == 0


async def test_a_revision_that_is_none_and_a_body_that_is_too_large_are_refused(site: Running) -> None:
    who = await person(site)
    for query in ("?since=-1", "?since=x", f"?since={2**63}", "?base=-1"):
        async with site.client.get(f"{PATH}{query}", headers=who.headers) as answer:
            await problem(answer, 422)
    async with site.client.post(PATH, data=BytesIO(b" " * (2**20 + 1)), headers=who.headers) as answer:
        await problem(answer, 413)
