"""Statistics over HTTP: in one query, at once after one's own write, and only for whom they are."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest_asyncio

from server.keys import DATABASE
from server.schemas.stats import UserStatistics
from sql import library, user_stats
from sql.library import FAVORITE, EntryEdit
from tests.conftest import Server
from tests.http_fixture import SHARED, problem, queries_seen, shared_site
from tests.people import Person, person
from tests.running import Running
from tests.test_user_stats import NOW

pytestmark = SHARED


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: Any) -> AsyncIterator[Running]:
    async with shared_site(server, tmp_path_factory.mktemp("stats")) as started:
        yield started


async def stats(site: Running, path: str, who: Person | None = None) -> Any:
    async with site.client.get(f"/api/v1{path}", headers=who.headers if who else {}) as answer:
        body = await answer.read()
        assert answer.status == 200, body
        assert "no-store" in answer.headers["Cache-Control"]
        msgspec.json.decode(body, type=UserStatistics, strict=True)
        return json.loads(body)


HTTP_QUERIES = {query.name for query in user_stats.QUERIES} - {"apply", "refresh_genres"}


async def favour(site: Running, who: Person, *releases: int) -> None:
    edits = [EntryEdit(FAVORITE, release_id, 0, False, NOW) for release_id in releases]
    async with site.app[DATABASE].transaction() as conn:
        await library.write(conn, who.id, edits, [], origin="user", merge=False)


async def test_my_own_write_is_in_my_statistics_at_once_however_far_the_consumer_is(site):
    me = await person(site)
    for number in range(1, 21):
        await favour(site, me, 3 * number)
        assert (await stats(site, "/profile/stats", me))["favorites_count"] == number
        assert (await stats(site, f"/users/{me.id}/stats"))["favorites_count"] == number


async def test_reading_takes_one_query(site):
    me = await person(site)
    for path in ("/profile/stats", f"/users/{me.id}/stats"):
        with queries_seen() as names:
            await stats(site, path, me)
        # The consumer may be at work on what others did before.
        assert [name for name in names if name in HTTP_QUERIES] == ["get_stats"]


async def test_a_private_profile_shows_its_statistics_to_its_owner_and_administrators(site):
    owner, other = await person(site, is_public=False), await person(site)
    moderator, admin = await person(site, role="moderator"), await person(site, role="admin")
    for who in (None, other, moderator):
        async with site.client.get(f"/api/v1/users/{owner.id}/stats", headers=who.headers if who else {}) as answer:
            await problem(answer, 403)
    for who in (owner, admin):
        assert (await stats(site, f"/users/{owner.id}/stats", who))["episodes_watched"] == 0


async def test_nobody_has_no_statistics(site):
    async with site.client.get("/api/v1/users/999999999/stats") as answer:
        await problem(answer, 404)
    async with site.client.get("/api/v1/profile/stats") as answer:
        await problem(answer, 401)
