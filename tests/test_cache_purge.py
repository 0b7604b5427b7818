"""POST /admin/cache/purge, and the CDN that is told of whatever changes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from actors.consumers.base import Delivered
from actors.consumers.cdn_purger import CdnPurger
from server.adapters import cdn
from server.adapters.cdn import Cdn, PurgeRefusedError
from server.database import connect
from server.errors import Unavailable
from server.keys import CACHE, CDN, DATABASE
from tests import catalogue_seed
from tests.conftest import Server
from tests.http_fixture import ON_18, problem
from tests.importing import load
from tests.outboxes import make_due
from tests.people import Person, person
from tests.running import Running, running

pytestmark = pytest.mark.asyncio(loop_scope="module")
PATH = "/api/v1/admin/cache/purge"
WARM = ("/api/v1/releases/3", "/api/v1/releases/6", "/api/v1/genres")


@dataclass
class FakeCdn:
    """A CDN that writes down what it is asked, and answers as it is told."""

    url: str = ""
    status: int = 200
    asked: list[dict[str, Any]] = field(default_factory=list)

    async def purge(self, request: web.Request) -> web.Response:
        self.asked.append(await request.json() | {"header": request.headers["Surrogate-Key"]})
        return web.Response(status=self.status, headers={"Location": "/elsewhere"})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fake() -> AsyncIterator[FakeCdn]:
    found = FakeCdn()
    app = web.Application()
    app.router.add_post("/purge/{token}", found.purge)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/purge/s3cret"
    yield found
    await runner.cleanup()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sites(
    server: Server, fake: FakeCdn, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Running, Running]]:
    """Two instances over one database, with a CDN in front."""
    folder: Path = tmp_path_factory.mktemp("sites")
    async with (
        catalogue_seed.database(server, 30) as dsn,
        running(dsn, folder / "one", CDN_PURGE_URL=fake.url) as one,
        running(dsn, folder / "two", CDN_PURGE_URL=fake.url) as two,
    ):
        yield one, two


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def admin(sites: tuple[Running, Running]) -> Person:
    return await person(sites[0], role="admin")


async def warm(site: Running) -> None:
    for path in WARM:
        async with site.client.get(path) as answer:
            assert answer.status == 200


def cached(site: Running) -> set[str]:
    """Those of the three addresses that are cached."""
    cache = site.app[CACHE]
    keys = {"/api/v1/releases/3": ("release", 3), "/api/v1/releases/6": ("release", 6)}
    keys["/api/v1/genres"] = ("vocabulary", ("genres", 20, 1, None))  # type: ignore[assignment]
    return {path for path, key in keys.items() if cache.get(key) is not None}


async def purge(site: Running, admin: Person, **body: Any) -> int:
    async with site.client.post(PATH, json=body, headers=admin.headers) as answer:
        assert answer.status == 200, await answer.text()
        return int((await answer.json())["dropped"])


async def until(done: Any) -> None:
    deadline = monotonic() + 15
    while not done():
        assert monotonic() < deadline
        await asyncio.sleep(0.02)


@ON_18
async def test_tags_are_dropped_here_and_in_other_instances(
    sites: tuple[Running, Running], admin: Person, fake: FakeCdn
) -> None:
    for site in sites:
        await warm(site)
        assert cached(site) == set(WARM)
    assert await purge(sites[0], admin, tags=["release:3", "release:999"]) == 1
    assert cached(sites[0]) == {WARM[1], WARM[2]}
    await until(lambda: cached(sites[1]) == {WARM[1], WARM[2]})
    await until(lambda: any(set(asked["tags"]) == {"release:3", "release:999"} for asked in fake.asked))
    asked = next(asked for asked in fake.asked if "release:999" in asked["tags"])
    assert asked["header"].split() == asked["tags"]


@ON_18
async def test_without_tags_everything_goes(sites: tuple[Running, Running], admin: Person, fake: FakeCdn) -> None:
    for site in sites:
        await warm(site)
    assert await purge(sites[0], admin) >= 3
    assert cached(sites[0]) == set()
    await until(lambda: cached(sites[1]) == set())
    await until(lambda: any(asked["tags"] == ["*"] for asked in fake.asked))


@ON_18
@pytest.mark.parametrize("body", [{"tags": []}, {"tags": ["a b"]}, {"tags": ["a,b"]}, {"tags": ["ж"]}, {"what": 1}])
async def test_what_is_no_tag_is_refused(sites: tuple[Running, Running], admin: Person, body: Any) -> None:
    async with sites[0].client.post(PATH, json=body, headers=admin.headers) as answer:
        await problem(answer, 422)


@ON_18
async def test_what_an_import_changes_is_purged_and_waits_while_the_cdn_is_away(
    sites: tuple[Running, Running], fake: FakeCdn
) -> None:
    fake.status = 503
    conn = await connect(sites[0].app[DATABASE].dsn)
    draft = {"title": "Number seven", "type": "tv", "status": "finished", "external_ids": {"mal": 7}}
    await load(conn, draft)
    # Either instance may be the one that delivers.
    await until(lambda: any(site.app[CDN].breaker.failing for site in sites))
    deliverer = next(site for site in sites if site.app[CDN].breaker.failing)
    async with deliverer.client.get("/health") as answer:
        body = await answer.json()
        assert body["status"] == "degraded"
        assert body["checks"]["cdn"]["status"] == "degraded"
    fake.status = 204
    fake.asked.clear()
    deadline = monotonic() + 15
    while not any({"release:21", "releases"} <= set(asked["tags"]) for asked in fake.asked):
        assert monotonic() < deadline
        # It would look again in half a minute.
        await make_due(conn)
        await asyncio.sleep(0.05)
    await conn.close()


async def test_a_refusal_is_an_error_and_a_redirection_is_not_followed(fake: FakeCdn) -> None:
    port = Cdn(fake.url)
    for status in (403, 404, 302):
        fake.status = status
        with pytest.raises(PurgeRefusedError, match=str(status)) as caught:
            await port.purge(["releases"])
        assert "s3cret" not in str(caught.value)
    fake.asked.clear()
    # Three in a row: now it is left alone.
    with pytest.raises(Unavailable):
        await port.purge(["releases"])
    assert fake.asked == []


async def test_a_cdn_that_is_not_there_is_away_and_its_address_is_not_told() -> None:
    with pytest.raises(Unavailable) as caught:
        await Cdn("http://127.0.0.1:1/s3cret").purge(["releases"])
    assert "s3cret" not in repr((caught.value, caught.value.__cause__))


async def test_a_purger_hands_on_the_tags_it_is_given(fake: FakeCdn) -> None:
    fake.status = 200
    fake.asked.clear()
    event = Delivered(1, 1, "cache_purge", "cdn", None, {"tags": ["release:5", "releases"]}, None)  # type: ignore[arg-type]
    await CdnPurger(Cdn(fake.url)).deliver(event)
    assert json.dumps(fake.asked[0]["tags"]) == '["release:5", "releases"]'


async def test_many_tags_go_in_several_requests() -> None:
    tags = {f"release:{number}" for number in range(1000)} | {"slug:" + "a" * 190}
    found = cdn.portions(tags)
    assert {tag for portion in found for tag in portion} == tags
    assert sum(map(len, found)) == len(tags)
    assert all(len(portion) <= cdn.MOST_TAGS and len(" ".join(portion)) <= cdn.LONGEST_HEADER for portion in found)
    assert len(found) == 6
    assert cdn.portions([]) == []
