"""Atom feeds, read by a feed reader: what they hold, that their names stay, that odd titles come through."""

from __future__ import annotations

import calendar
from collections.abc import AsyncIterator
from typing import Any
from xml.etree import ElementTree as ET

import asyncpg
import feedparser
import pytest
import pytest_asyncio

from server.keys import CACHE, DATABASE
from server.rules.atom import NEVER
from server.rules.cache_tags import LISTS
from sql import feeds
from tests.catalogue_seed import database
from tests.conftest import Server
from tests.http_fixture import SHARED, problem, queries_seen, shared_site
from tests.people import sql
from tests.running import Running, running

pytestmark = SHARED
PATH = "/api/v1/feeds"
PUBLIC = "https://anime.example/base"
ODD = [
    "<b>bold</b> & \"quoted\" 'twice' ]]>",
    "&amp; already &lt;escaped&gt;",
    "潮の番人 — Хранители прилива 🌊",
    "a line\nand\tanother \r\n one",
    "control \x01\x08\x0b\x1f\x7f\x85 letters",
    "not a letter \ufffe\uffff here",
    "a" * 500,
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with shared_site(server, tmp_path_factory.mktemp("site"), PUBLIC_URL=PUBLIC) as started:
        yield started


async def fetch(site: Running, path: str) -> tuple[Any, bytes]:
    """The feed as a reader understands it, which must find nothing wrong with it."""
    async with site.client.get(PATH + path) as answer:
        body = await answer.read()
        assert answer.status == 200, body
        assert answer.headers["Content-Type"] == "application/atom+xml; charset=utf-8"
        assert answer.headers["Cache-Control"].startswith("public")
        assert answer.headers["Surrogate-Key"] == "releases"
    ET.fromstring(body)
    found = feedparser.parse(body)
    assert not found.bozo, found.get("bozo_exception")
    assert found.version == "atom10"
    return found, body


async def add(site: Running, title: str, *, synopsis: str = "", hours: int = 0) -> int:
    """A release of the genre 1, made so many hours from now."""
    made: int = await sql(
        site,
        "insert into releases (slug, title, sort_title, synopsis, genre_ids, created_at, updated_at)"
        " values ('odd-' || gen_random_uuid(), $1, '', $2, '{1}', now() + $3::int * interval '1 hour', now())"
        " returning id",
        title, synopsis, hours,
    )  # fmt: skip
    site.app[CACHE].drop(LISTS)
    return made


async def test_the_newest_releases_come_first_and_hidden_ones_never(site: Running) -> None:
    found, body = await fetch(site, "/releases.atom")
    conn = await asyncpg.connect(site.app[DATABASE].dsn)
    rows = await conn.fetch(
        "select id, title, created_at, updated_at from releases where visible"
        " order by created_at desc, id desc limit 50"
    )
    await conn.close()
    assert [entry.id for entry in found.entries] == [f"tag:anime.example,2026:releases/{row['id']}" for row in rows]
    assert [entry.title for entry in found.entries] == [row["title"] for row in rows]
    for entry, row in zip(found.entries, rows, strict=True):
        assert entry.link == f"{PUBLIC}/api/v1/releases/{row['id']}"
        assert calendar.timegm(entry.updated_parsed) == int(row["updated_at"].timestamp())
        assert calendar.timegm(entry.published_parsed) == int(row["created_at"].timestamp())
    assert found.feed.id == "tag:anime.example,2026:releases"
    assert [(link.rel, link.href) for link in found.feed.links] == [("self", f"{PUBLIC}{PATH}/releases.atom")]
    assert calendar.timegm(found.feed.updated_parsed) == int(max(row["updated_at"] for row in rows).timestamp())
    assert found.feed.author == "Yojohan"
    assert (await fetch(site, "/releases.atom"))[1] == body


@pytest.mark.parametrize("path", ["/releases.atom", "/releases.atom?genre={}"])
async def test_a_draft_that_was_published_late_is_new_and_stays_where_it_is_when_it_is_hidden_and_shown(
    site: Running, path: str
) -> None:
    path = path.format(await sql(site, "select slug from genres where id = 1"))
    drafted = await add(site, "Long in the drawer", hours=-24 * 365)
    shown = "update releases set is_published = $2, announced = announced or $2 where id = $1"
    await sql(site, "update releases set is_published = false, announced = false where id = $1", drafted)
    older = await add(site, "Made before", hours=-1)
    for visible in (True, False, True):
        await sql(site, shown, drafted, visible)
        await add(site, "Made after", hours=1)
    site.app[CACHE].drop(LISTS)
    ids = [int(entry.id.rpartition("/")[2]) for entry in (await fetch(site, path))[0].entries]
    assert ids.count(drafted) == 1
    assert 3 <= ids.index(drafted) < ids.index(older)
    (entry,) = [one for one in (await fetch(site, path))[0].entries if one.id.endswith(f"/{drafted}")]
    moments = "select extract(epoch from published_at)::float8, published_at > created_at from releases where id = $1"
    published, later = await sql(site, f"select array[a::text, b::text] from ({moments}) of_one (a, b)", drafted)
    assert (calendar.timegm(entry.published_parsed), later) == (int(float(published)), "true")
    await sql(site, "delete from releases where title in ('Long in the drawer', 'Made before', 'Made after')")
    site.app[CACHE].drop(LISTS)


async def test_a_genre_has_a_feed_by_two_addresses_which_names_one(site: Running) -> None:
    slug = await sql(site, "select slug from genres where id = 1")
    by_path, body = await fetch(site, f"/genres/{slug}.atom")
    assert (await fetch(site, f"/releases.atom?genre={slug}"))[1] == body
    assert by_path.feed.links[0].href == f"{PUBLIC}{PATH}/genres/{slug}.atom"
    ids = [int(entry.id.rpartition("/")[2]) for entry in by_path.entries]
    assert ids
    wrong = await sql(site, "select count(*) from releases where id = any ($1) and not genre_ids @> '{1}'", ids)
    assert wrong == 0
    assert all(slug in {tag.term for tag in entry.tags} for entry in by_path.entries)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/genres/nothing.atom", 404),
        ("/releases.atom?genre=nothing", 404),
        ("/releases.atom?genre=", 422),
        ("/releases.atom?genre=%00", 422),
        ("/genres/%00.atom", 404),
    ],
)
async def test_a_genre_that_is_not_there_has_none(site: Running, path: str, status: int) -> None:
    async with site.client.get(PATH + path) as answer:
        await problem(answer, status)


async def test_a_deleted_genre_has_none_and_names_nothing(site: Running) -> None:
    made = await sql(site, "insert into genres (slug, name, name_key) values ('gone', 'Gone', 'gone') returning id")
    release = await add(site, "with a lost genre", hours=5)
    await sql(site, "update releases set genre_ids = array[1, $2::bigint] where id = $1", release, made)
    await sql(site, "update genres set deleted_at = now() where id = $1", made)
    async with site.client.get(f"{PATH}/genres/gone.atom") as answer:
        await problem(answer, 404)
    found, _ = await fetch(site, "/releases.atom")
    assert "gone" not in {tag.term for tag in found.entries[0].tags}
    await sql(site, "delete from releases where id = $1", release)


async def test_odd_titles_come_through_and_control_letters_do_not(site: Running) -> None:
    made = [await add(site, title, synopsis=f"{title}\n{title}", hours=10 + n) for n, title in enumerate(ODD)]
    found, _ = await fetch(site, "/releases.atom")
    shown = {int(entry.id.rpartition("/")[2]): entry for entry in found.entries}
    titles = [shown[release_id].title_detail.value for release_id in made]
    assert titles[2] == ODD[2]
    assert titles[3] == "a line and another one"
    assert titles[4] == "control letters"
    assert titles[5] == "not a letter here"
    assert titles[6] == ODD[6]
    tree = ET.fromstring((await fetch(site, "/releases.atom"))[1])
    space = "{http://www.w3.org/2005/Atom}"
    exact = [entry.findtext(f"{space}title") for entry in tree.iter(f"{space}entry")]
    assert exact[: len(ODD)][::-1][:3] == ODD[:3]
    await sql(site, "delete from releases where id = any ($1)", made)
    site.app[CACHE].drop(LISTS)


async def test_a_long_synopsis_is_cut_and_an_empty_title_still_a_title(site: Running) -> None:
    made = await add(site, "\x01 ", synopsis="word " * 1000, hours=99)
    found, _ = await fetch(site, "/releases.atom")
    assert found.entries[0].title == f"#{made}"
    assert len(found.entries[0].summary) <= 1000
    assert found.entries[0].summary.endswith("…")
    await sql(site, "delete from releases where id = $1", made)
    site.app[CACHE].drop(LISTS)


async def test_a_feed_that_has_not_changed_is_not_sent_or_made_again(site: Running) -> None:
    async with site.client.get(f"{PATH}/releases.atom") as answer:
        etag = answer.headers["ETag"]
        await answer.read()
    with queries_seen() as names:
        async with site.client.get(f"{PATH}/releases.atom", headers={"If-None-Match": etag}) as answer:
            assert (answer.status, await answer.read()) == (304, b"")
    assert "newest_releases" not in names
    release = await add(site, "news", hours=50)
    async with site.client.get(f"{PATH}/releases.atom", headers={"If-None-Match": etag}) as answer:
        assert answer.status == 200
        assert b"<title>news</title>" in await answer.read()
    await sql(site, "delete from releases where id = $1", release)
    site.app[CACHE].drop(LISTS)


async def test_without_a_public_address_links_are_paths_and_an_empty_catalogue_has_a_feed(
    server: Server, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async with database(server, 0) as dsn, running(dsn, tmp_path_factory.mktemp("empty")) as empty:
        found, body = await fetch(empty, "/releases.atom")
        assert found.entries == []
        assert found.feed.id == "tag:localhost,2026:releases"
        assert b'href="/api/v1/feeds/releases.atom"' in body
        assert calendar.timegm(found.feed.updated_parsed) == int(NEVER.timestamp())


async def test_the_newest_of_many_are_found_by_an_index(site: Running) -> None:
    conn = await asyncpg.connect(site.app[DATABASE].dsn)
    await conn.execute("set enable_seqscan = off")
    plan = await conn.fetch(f"explain {feeds.QUERIES.newest_releases.text}", 50)
    await conn.close()
    for index in ("releases_by_created", "releases_by_publishing"):
        assert any(index in row[0] for row in plan), plan
