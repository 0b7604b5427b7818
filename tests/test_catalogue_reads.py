"""One release, the newest, random ones, the related; genres, tags and franchises."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from itertools import pairwise, product
from pathlib import Path

import pytest
import pytest_asyncio

from server.schemas import catalogue_answers as answers
from server.schemas.catalogue_answers import Release, ReleasePage, WordPage
from sql import releases
from sql.release_list import Choice, Filter
from tests import catalogue_seed
from tests.catalogue_seed import Api
from tests.conftest import Server

pytestmark = pytest.mark.asyncio(loop_scope="module")
RELEASES = 420


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    """A server on a catalogue; tests that write add rows of their own and count on no total."""
    async with catalogue_seed.api(server, tmp_path_factory.mktemp("reads"), RELEASES) as started:
        yield started


async def hidden(api: Api) -> list[int]:
    return [row["id"] for row in await api.conn.fetch("select id from releases where not visible")]


async def test_a_release_is_found_by_id_and_by_slug(api: Api) -> None:
    by_id = await api.get("/releases/9", Release)
    assert by_id == await api.get("/releases/release-3", Release)
    assert by_id == await api.get("/releases/0009/", Release)
    assert (by_id["id"], by_id["slug"], by_id["title"]) == (9, "release-3", "Release 3")
    assert by_id["titles"] == {language: f'Release "3" {language}' for language in ("en", "ja", "romaji", "ru")}
    assert by_id["external_ids"] == {"kitsu": "3", "mal": 3}
    assert by_id["franchise"] == {"id": 2, "name": "Franchise 000002"}


async def test_numbers_of_a_release_come_live_from_its_metrics(api: Api) -> None:
    made = await catalogue_seed.add(api.conn, "well-rated")
    await api.conn.execute(
        "update popularity_metrics set average_rating = 7.456, rating_count = 3, total_views = 5000000000,"
        " favorites = 2 where release_id = $1",
        made,
    )
    found = await api.get(f"/releases/{made}", Release)
    assert found["rating"] == {"average": 7.46, "count": 3}
    assert found["counters"] == {"views": 5_000_000_000, "favorites": 2}


async def test_a_release_without_metrics_shows_zeros(api: Api) -> None:
    made = await catalogue_seed.add(api.conn, "without-metrics")
    await api.conn.execute("delete from popularity_metrics where release_id = $1", made)
    found = await api.get(f"/releases/{made}", Release)
    assert (found["rating"], found["counters"]) == ({"average": 0, "count": 0}, {"views": 0, "favorites": 0})


async def test_a_retired_slug_answers_301_to_the_current_one(api: Api) -> None:
    await api.conn.execute("insert into release_slugs (slug, release_id) values ('once-known-as', 12)")
    _, headers = await api.ask("/releases/once-known-as", 301)
    assert headers["Location"] == "/api/v1/releases/release-4"
    _, headers = await api.ask("/releases/once-known-as/", 301)
    assert headers["Location"] == "/api/v1/releases/release-4"


@pytest.mark.parametrize("retired", ["of-a-deleted", "of-an-unpublished"])
async def test_a_retired_slug_of_a_hidden_release_leads_nowhere(api: Api, retired: str) -> None:
    release_id = 101 * 3 if retired == "of-a-deleted" else 97 * 3
    await api.conn.execute("insert into release_slugs (slug, release_id) values ($1, $2)", retired, release_id)
    await api.fault(f"/releases/{retired}", 404)


@pytest.mark.parametrize(
    "path",
    ["/releases/4", "/releases/nothing", "/releases/999999999999999999", "/releases/99999999999999999999999",
     "/releases/-1", "/releases/%00", "/releases/%D1%8F", "/releases/1.5", "/episodes/0", "/episodes/x",
     "/episodes/99999999999999999999", "/franchises/999999", "/franchises/x", "/releases/nothing/episodes",
     "/releases/nothing/related", "/releases/%00/related"],
)  # fmt: skip
async def test_what_is_unknown_is_404(api: Api, path: str) -> None:
    assert (await api.fault(path, 404))["code"] == "not_found"


async def test_what_is_deleted_or_unpublished_is_nowhere(api: Api) -> None:
    gone = await hidden(api)
    assert {97 * 3, 101 * 3} <= set(gone)
    for release_id in gone:
        slug = f"release-{release_id // 3}"
        episode = await api.conn.fetchval("select min(id) from episodes where release_id = $1", release_id)
        await api.fault(f"/episodes/{episode}", 404)
        for name, part in product((release_id, slug), ("", "/episodes", "/related")):
            await api.fault(f"/releases/{name}{part}", 404)
    shown = [release["id"] for page in [page async for page in api.walk("/releases?limit=100", ReleasePage)]
             for release in page["results"]]  # fmt: skip
    drawn = (await api.get("/releases/random?limit=100", ReleasePage))["results"]
    latest = (await api.get("/releases/latest?limit=100", ReleasePage))["results"]
    assert not set(gone) & ({*shown} | {release["id"] for release in [*drawn, *latest]})


async def test_what_is_hidden_counts_in_no_genre_and_no_franchise(api: Api) -> None:
    before = {word["id"]: word["releases"] for word in (await api.get("/genres?limit=100", WordPage))["results"]}
    franchise = await api.get("/franchises/3", answers.FranchiseDetail)
    made = await catalogue_seed.add(api.conn, "hidden", genre_ids=[1, 2], franchise_id=3, is_published=False, year=1901)
    after = {word["id"]: word["releases"] for word in (await api.get("/genres?limit=100", WordPage))["results"]}
    assert before == after
    assert franchise == await api.get("/franchises/3", answers.FranchiseDetail)
    await api.conn.execute("update releases set is_published = true where id = $1", made)
    shown = await api.get("/franchises/3", answers.FranchiseDetail)
    assert (shown["releases"], shown["first_year"]) == (franchise["releases"] + 1, 1901)
    assert shown["entries"][0]["id"] == made
    await api.conn.execute("update releases set deleted_at = now() where id = $1", made)
    assert franchise == await api.get("/franchises/3", answers.FranchiseDetail)


async def test_the_latest_are_those_that_changed_last(api: Api) -> None:
    made = await catalogue_seed.add(api.conn, "brand-new", updated_at=await api.conn.fetchval("select now()"))
    page = await api.get("/releases/latest?limit=7", ReleasePage)
    times = [release["updated_at"] for release in page["results"]]
    assert (page["results"][0]["id"], len(times)) == (made, 7)
    assert times == sorted(times, reverse=True)
    assert page["count"] == await api.conn.fetchval("select count(*) from releases where visible")


@pytest.mark.parametrize("path", ["/releases/latest", "/releases/random"])
@pytest.mark.parametrize("limit", [0, 101])
async def test_a_limit_out_of_range_is_refused_everywhere(api: Api, path: str, limit: int) -> None:
    assert (await api.fault(f"{path}?limit={limit}"))["errors"][0]["pointer"] == "/limit"


async def test_random_releases_are_different_ones_and_never_stored(api: Api) -> None:
    body, headers = await api.ask("/releases/random?limit=50")
    page = catalogue_seed.exactly(ReleasePage, body)
    assert headers["Cache-Control"] == "no-store"
    assert "ETag" not in headers
    assert len({release["id"] for release in page["results"]}) == 50 == page["count"]
    assert len((await api.get("/releases/random", ReleasePage))["results"]) == 1


async def test_random_releases_obey_filters(api: Api) -> None:
    page = await api.get("/releases/random?limit=100&type=movie&genre=!1", ReleasePage)
    fitting = "select id from releases where visible and type = 'movie' and not 1 = any (genre_ids)"
    assert {release["id"] for release in page["results"]} == {row["id"] for row in await api.conn.fetch(fitting)}
    assert (await api.get("/releases/random?genre=nothing", ReleasePage))["results"] == []


@pytest.mark.parametrize(
    "wanted", [Filter(), Filter(types=Choice(unwanted=["music"]))], ids=["from everything", "from a filter"]
)
async def test_random_draws_are_spread_evenly(api: Api, wanted: Filter) -> None:
    rows = await api.conn.fetch("select id from releases where visible and type <> 'music' order by id")
    tenth = {row["id"]: place * 10 // len(rows) for place, row in enumerate(rows)}
    draws: Counter[int] = Counter()
    for _ in range(600):
        found = json.loads((await releases.draw(api.conn, wanted, 1))[0])
        if found["type"] != "music":
            draws[tenth[found["id"]]] += 1
    # About sixty each; five standard deviations are 37.
    assert all(18 <= draws[place] <= 97 for place in range(10)), draws


async def test_a_draw_is_full_where_most_ids_are_gaps(server: Server) -> None:
    async with catalogue_seed.database(server, 20) as dsn:
        conn = await catalogue_seed.connect(dsn)
        await catalogue_seed.add(conn, "far-away", id=5_000_000)
        assert len(await releases.draw(conn, Filter(), 21)) == 21
        await conn.execute("update releases set is_published = false")
        assert await releases.draw(conn, Filter(), 5) == []
        await conn.close()


async def test_the_related_are_of_the_same_franchise_in_the_order_they_came_out(api: Api) -> None:
    made = [
        await catalogue_seed.add(api.conn, f"saga-{year}-{n}", franchise_id=30, year=year)
        for n, year in enumerate([2020, 1999, None, 2005, 1999])
    ]
    page = await api.get("/releases/saga-2020-0/related?limit=100", ReleasePage)
    years = [release["year"] or 9999 for release in page["results"]]
    assert years == sorted(years)
    assert set(made[1:]) <= {release["id"] for release in page["results"]}
    assert made[0] not in {release["id"] for release in page["results"]}
    assert {release["franchise"]["id"] for release in page["results"]} == {30}
    assert page["count"] == len(page["results"])
    cut = await api.get(f"/releases/{made[0]}/related?limit=2&page=2", ReleasePage)
    assert (cut["results"], cut["count"]) == (page["results"][2:4], page["count"])
    assert cut["previous"] == f"/api/v1/releases/{made[0]}/related?limit=2&page=1"
    beyond = await api.get(f"/releases/{made[0]}/related?page=50", ReleasePage)
    assert (beyond["count"], beyond["results"]) == (page["count"], [])


async def test_a_release_without_a_franchise_has_no_related(api: Api) -> None:
    assert (await api.get("/releases/3", Release))["franchise"] is None
    page = await api.get("/releases/3/related", ReleasePage)
    assert (page["count"], page["results"], page["next"]) == (0, [], None)


@pytest.mark.parametrize(("path", "column"), [("/genres", "genre_ids"), ("/tags", "tag_ids")])
async def test_words_come_by_name_with_their_releases(api: Api, path: str, column: str) -> None:
    pages = [page async for page in api.walk(f"{path}?limit=7", WordPage)]
    words = [word for page in pages for word in page["results"]]
    table = path.removeprefix("/")
    expected = await api.conn.fetch(
        f"select w.id, (select count(*) from releases r where r.visible and w.id = any (r.{column})) as releases"
        f" from {table} w order by w.name_key"
    )
    assert [(word["id"], word["releases"]) for word in words] == [tuple(row) for row in expected]
    assert {page["count"] for page in pages} == {len(words)}


@pytest.mark.parametrize(
    ("path", "kind"), [("/genres", WordPage), ("/tags", WordPage), ("/franchises", answers.FranchisePage)]
)
async def test_a_page_beyond_the_end_of_a_vocabulary_still_counts(api: Api, path: str, kind: type) -> None:
    first = await api.get(path, kind)
    beyond = await api.get(f"{path}?page=100&limit=100", kind)
    assert (beyond["count"], beyond["results"], beyond["next"]) == (first["count"], [], None)
    assert first["count"] > 0
    assert (await api.fault(f"{path}?limit=100&page=101"))["errors"][0]["pointer"] == "/page"


async def test_franchises_come_by_name_with_what_their_releases_add_up_to(api: Api) -> None:
    pages = [page async for page in api.walk("/franchises?limit=8", answers.FranchisePage)]
    found = [franchise for page in pages for franchise in page["results"]]
    assert len(found) == pages[0]["count"] == RELEASES // 12
    assert all(one["name"] <= other["name"] for one, other in pairwise(found))
    rows = await api.conn.fetch("select year, episodes_total from releases where visible and franchise_id = 5")
    fifth = next(franchise for franchise in found if franchise["id"] == 5)
    years = [row["year"] for row in rows if row["year"] is not None]
    assert (fifth["releases"], fifth["first_year"], fifth["last_year"]) == (len(rows), min(years), max(years))
    assert fifth["episodes_total"] == sum(row["episodes_total"] or 0 for row in rows)


async def test_a_franchise_lists_its_releases_in_the_order_they_came_out(api: Api) -> None:
    found = await api.get("/franchises/6", answers.FranchiseDetail)
    years = [release["year"] or 9999 for release in found["entries"]]
    assert years == sorted(years)
    assert len(years) == found["releases"] > 2


async def test_a_franchise_without_releases_is_shown_empty(api: Api) -> None:
    made = await api.conn.fetchval(
        "insert into franchises (slug, name, name_key) values ('empty', 'Empty', 'empty') returning id"
    )
    found = await api.get(f"/franchises/{made}", answers.FranchiseDetail)
    await api.conn.execute("delete from franchises where id = $1", made)
    assert found == {
        "id": made, "slug": "empty", "name": "Empty", "releases": 0, "first_year": None, "last_year": None,
        "episodes_total": 0, "entries": [],
    }  # fmt: skip


@pytest.mark.parametrize(
    "path",
    ["/releases", "/releases/latest", "/releases/3", "/releases/3/episodes", "/releases/3/related", "/genres", "/tags",
     "/franchises", "/franchises/2", "/schedule"],
)  # fmt: skip
async def test_a_public_read_may_be_kept_and_is_answered_304_to_who_has_it(api: Api, path: str) -> None:
    _, headers = await api.ask(path)
    assert headers["Cache-Control"].startswith("public, max-age=")
    target = f"/api/v1{path}"
    async with api.running.client.get(target, headers={"If-None-Match": headers["ETag"]}) as answer:
        assert (answer.status, await answer.read()) == (304, b"")


async def test_links_begin_with_the_public_address_and_never_with_the_host_header(
    server: Server, tmp_path: Path
) -> None:
    async with (
        catalogue_seed.database(server, 30) as dsn,
        catalogue_seed.running(dsn, tmp_path, PUBLIC_URL="https://anime.example") as started,
        started.client.get("/api/v1/releases?limit=5", headers={"Host": "evil.example"}) as answer,
    ):
        assert json.loads(await answer.read())["next"].startswith("https://anime.example/api/v1/releases?")
