"""What is cached under which tag: whatever changes shows at once, and what did not change stays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import ClientResponse
from multidict import CIMultiDictProxy

from server.cache import Policy, ResponseCache, Tagged
from server.database import connect
from server.keys import CACHE, DATABASE
from server.openapi_schemas import plain_path
from server.routes import API, table
from server.rules import cache_tags
from sql import imports
from tests.conftest import Server
from tests.http_fixture import ON_18, log_lines, shared_site
from tests.importing import load
from tests.running import Running

pytestmark = pytest.mark.asyncio(loop_scope="module")
HERE = ON_18
LONG = Policy("long", 60, 30, 60)
# An address for each cached route that shows something of release 9 ("release-3"), its words or its first episode.
SHOWN = {
    f"{API}/releases": "?limit=100",
    f"{API}/releases/latest": "?limit=100",
    f"{API}/releases/{{id}}": None,
    f"{API}/releases/{{id}}/episodes": None,
    f"{API}/releases/{{id}}/related": None,
    f"{API}/episodes/{{id}}": None,
    f"{API}/genres": "?limit=100",
    f"{API}/tags": "?limit=100",
    f"{API}/franchises": "?limit=100",
    f"{API}/franchises/{{id}}": None,
    f"{API}/schedule": "",
    f"{API}/analytics/top": "?period=all&limit=100",
    f"{API}/recommendations/trending": "?limit=100",
    f"{API}/recommendations/similar/{{id}}": None,
    f"{API}/search": "?q=another%20title",
    f"{API}/search/suggestions": "?q=anoth",
    f"{API}/feeds/releases.atom": "",
    f"{API}/feeds/genres/{{slug}}.atom": None,
}
# Counts of views by ids, which trail anyway; what is fixed while the process lives.
UNCHANGED = {f"{API}/analytics/views", f"{API}/limits"}
# What people say, which shows nothing of releases.
SAID = {
    f"{API}/releases/{{id}}/comments", f"{API}/comments/{{id}}", f"{API}/comments/{{id}}/replies",
    f"{API}/releases/{{id}}/reviews", f"{API}/reviews/{{id}}",
}  # fmt: skip
ABOUT_ONE = (
    "/releases/{id}", "/releases/{slug}", "/releases/{id}/episodes", "/releases/{slug}/episodes", "/episodes/{episode}",
)  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with shared_site(server, tmp_path_factory.mktemp("site")) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def conn(site: Running) -> AsyncIterator[Any]:
    connection = await connect(site.app[DATABASE].dsn)
    yield connection
    await connection.close()


async def about(conn: Any, release_id: int) -> list[str]:
    """Every address of this release alone."""
    slug = await conn.fetchval("select slug from releases where id = $1", release_id)
    episode = await conn.fetchval("select min(id) from episodes where release_id = $1", release_id)
    return [API + path.format(id=release_id, slug=slug, episode=episode) for path in ABOUT_ONE]


async def get(site: Running, path: str, status: int = 200) -> tuple[bytes, CIMultiDictProxy[str]]:
    answer: ClientResponse
    async with site.client.get(path, allow_redirects=False) as answer:
        body = await answer.read()
        assert answer.status == status, body
        return body, answer.headers


async def warm(site: Running, *paths: str) -> list[bytes]:
    """Ask until all of them are served from the cache (the first trends are computed meanwhile); the bodies."""
    until = monotonic() + 5
    while True:
        bodies = [(await get(site, path))[0] for path in paths]
        how = [line["cache"] for line in log_lines(site)[-len(paths) :]]
        if how == ["hit"] * len(paths):
            return bodies
        assert monotonic() < until, how


async def changed_within_seconds(site: Running, path: str, before: bytes) -> bool:
    """Whether another body comes soon. Each of these is cached for longer."""
    until = monotonic() + 5
    while monotonic() < until:
        if (await get(site, path))[0] != before:
            return True
        await asyncio.sleep(0.02)
    return False


async def tell(site: Running, conn: Any, *release_ids: int) -> None:
    """Say that these have changed, and wait until the server has heard it."""
    cache, heard = site.app[CACHE], site.app[CACHE].stats.invalidations
    await imports.invalidate(conn, cache_tags.changed(release_ids))
    until = monotonic() + 5
    while cache.stats.invalidations == heard:
        assert monotonic() < until
        await asyncio.sleep(0.01)


@HERE
async def test_after_an_import_every_cached_route_shows_the_new_state(site: Running, conn: Any) -> None:
    episode = await conn.fetchval("select min(id) from episodes where release_id = 9")
    await conn.execute("update episodes set air_at = now() where id = $1", episode)
    genre = await conn.fetchval("select slug from genres where id = (select genre_ids[1] from releases where id = 9)")
    ids = {"releases": 9, "episodes": episode, "franchises": 2, "recommendations": 9}
    cached = {
        plain_path(route.path)
        for route in table()
        if route.cached and route.access == "public" and route.path.startswith(API)
    }
    assert cached == SHOWN.keys() | UNCHANGED | SAID, "a new cached route belongs into one of them"
    paths = [
        path.format(id=ids.get(path.removeprefix(API).split("/")[1]), slug=genre)
        if "{" in path
        else path + (asked or "")
        for path, asked in SHOWN.items()
    ]
    paths += [f"{API}/releases/release-3", f"{API}/releases/release-3/episodes"]
    bodies = await warm(site, *paths)
    airs = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    await load(
        conn,
        {
            "title": "Another title", "type": "tv", "status": "finished", "external_ids": {"mal": 3},
            "genres": ["Another genre"], "tags": ["Another tag"], "franchise": "Another saga",
            "episodes": [{"ordinal": 1, "title": "Another beginning", "air_at": airs}],
        },
    )  # fmt: skip
    stale = [
        path for path, body in zip(paths, bodies, strict=True) if not await changed_within_seconds(site, path, body)
    ]
    assert stale == []


@HERE
async def test_what_an_import_did_not_change_stays_in_the_cache(site: Running, conn: Any) -> None:
    mine, others = await about(conn, 12), await about(conn, 15)
    await warm(site, *mine, *others)
    before = len(log_lines(site))
    await load(conn, {"title": "Number four", "type": "tv", "status": "finished", "external_ids": {"mal": 4}})
    await tell(site, conn)
    for path in (*others, *mine):
        await get(site, path)
    how = {line["path"]: line["cache"] for line in log_lines(site)[before:]}
    assert {how[path] for path in others} == {"hit"}
    assert {how[path] for path in mine} == {"miss"}


@HERE
async def test_a_deleted_release_is_gone_at_once_by_every_name_and_comes_back_so(site: Running, conn: Any) -> None:
    paths = await about(conn, 18)
    bodies = await warm(site, *paths)
    await conn.execute("update releases set deleted_at = now() where id = 18")
    await tell(site, conn, 18)
    for path in paths:
        await get(site, path, 404)
    await conn.execute("update releases set deleted_at = null where id = 18")
    await tell(site, conn, 18)
    assert [(await get(site, path))[0] for path in paths] == bodies


@HERE
async def test_a_release_that_moved_is_not_remembered_under_its_old_slug(site: Running, conn: Any) -> None:
    await warm(site, f"{API}/releases/release-7")
    async with conn.transaction():
        await imports.change_slugs(conn, {21: "moved-away"})
        await imports.build_documents(conn, [21])
    await tell(site, conn, 21)
    _, headers = await get(site, f"{API}/releases/release-7", 301)
    assert headers["Location"] == f"{API}/releases/moved-away"
    async with conn.transaction():
        await imports.change_slugs(conn, {21: "release-7"})
        await imports.build_documents(conn, [21])
    # Neither the redirection nor that there was nothing is cached here.
    await get(site, f"{API}/releases/release-7")


@HERE
@pytest.mark.parametrize(
    "path", ["/releases/{id}", "/releases/{slug}", "/releases/{slug}/episodes", "/episodes/{episode}"]
)
async def test_an_answer_about_one_release_says_so_to_a_cdn(site: Running, conn: Any, path: str) -> None:
    episode = await conn.fetchval("select min(id) from episodes where release_id = 24")
    _, headers = await get(site, API + path.format(id=24, slug="release-8", episode=episode))
    named = headers["Surrogate-Key"].split()
    assert named.count("release:24") == 1
    assert "releases" not in named
    assert headers["Cache-Tag"].split(",") == named


async def test_a_tag_that_came_with_the_body_drops_it() -> None:
    cache = ResponseCache(2**20)

    async def made() -> Tagged:
        return Tagged(b"body", ("release:1", "slug:one"))

    entry, _ = await cache.fetch("one", made, LONG, ("slug:one",))
    assert entry.tags == ("slug:one", "release:1")
    assert cache.drop(["release:1"]) == 1


async def test_a_body_whose_late_tag_was_dropped_while_it_was_made_is_not_kept() -> None:
    cache = ResponseCache(2**20)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> Tagged:
        begun.set()
        await go_on.wait()
        return Tagged(b"old", ("release:1",))

    async def newer() -> Tagged:
        return Tagged(b"new", ("release:1",))

    first = asyncio.create_task(cache.fetch("one", slow, LONG, ("slug:one",)))
    await begun.wait()
    cache.drop(["release:2"])
    cache.drop(["release:1"])
    # Whoever comes after the drop must not get what was read before it.
    assert (await cache.fetch("one", newer, LONG, ("slug:one",)))[0].body == b"new"
    go_on.set()
    assert (await first)[0].body == b"old"
    found = cache.get("one")
    assert found is not None
    assert found.body == b"new"


async def test_tags_travel_in_payloads_that_notify_takes() -> None:
    tags = {f"release:{number}" for number in range(5000)} | {"slug:" + "ж" * 100, "releases"}
    found = imports.payloads(tags)
    assert {tag for payload in found for tag in payload.split()} == tags
    assert max(len(payload.encode()) for payload in found) <= imports.LARGEST_PAYLOAD
    assert len(found) == 1 + sum(len(tag.encode()) + 1 for tag in tags) // imports.LARGEST_PAYLOAD
    assert imports.payloads([]) == []


async def test_a_tag_has_no_white_space() -> None:
    assert cache_tags.named("a b\n,c") == ("slug:a%20b%0A%2Cc",)
    assert cache_tags.named("0009") == ("release:9",)
