"""GET /releases: every filter against the rows themselves, every order, paging by page and by cursor."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from server.bodies import releases as bodies
from server.rules import cursors
from server.schemas.catalogue_answers import ReleasePage
from tests import catalogue_seed
from tests.catalogue_seed import Api
from tests.conftest import Server

pytestmark = pytest.mark.asyncio(loop_scope="module")
RELEASES = 420
Row = asyncpg.Record
EVERY_PAGE = "/releases?limit=100"

# As a client writes it, and what it means of a row.
FILTERS: dict[str, Callable[[Row], bool]] = {
    "genre=genre-3": lambda r: 3 in r["genre_ids"],
    "genre=3": lambda r: 3 in r["genre_ids"],
    "genre=Genre+3": lambda r: 3 in r["genre_ids"],
    "genre=gEnRe%20%203": lambda r: 3 in r["genre_ids"],
    "genre=%EF%BC%A7enre%E3%80%803": lambda r: 3 in r["genre_ids"],
    "genre=1&genre=genre-2": lambda r: {1, 2} <= set(r["genre_ids"]),
    "genre=1,genre-2": lambda r: {1, 2} <= set(r["genre_ids"]),
    "genre=!1": lambda r: 1 not in r["genre_ids"],
    "genre=!1&genre=!genre-2": lambda r: not {1, 2} & set(r["genre_ids"]),
    "genre=2,!Genre+1": lambda r: 2 in r["genre_ids"] and 1 not in r["genre_ids"],
    "genre=1,nothing": lambda _: False,
    "genre=!nothing,1": lambda r: 1 in r["genre_ids"],
    "tag=tag-1": lambda r: 1 in r["tag_ids"],
    "tag=!1": lambda r: 1 not in r["tag_ids"],
    "tag=nothing": lambda _: False,
    "type=tv": lambda r: r["type"] == "tv",
    "type=tv,movie&type=ova": lambda r: r["type"] in ("tv", "movie", "ova"),
    "type=!tv": lambda r: r["type"] != "tv",
    "type=!tv,!movie": lambda r: r["type"] not in ("tv", "movie"),
    "status=ongoing": lambda r: r["status"] == "ongoing",
    "status=!finished": lambda r: r["status"] != "finished",
    "season=winter": lambda r: r["season"] == "winter",
    "season=winter,spring": lambda r: r["season"] in ("winter", "spring"),
    "season=!winter": lambda r: r["season"] != "winter",
    "age_rating=16%2B": lambda r: r["age_rating"] == "16+",
    "age_rating=16+": lambda r: r["age_rating"] == "16+",
    "age_rating=16&age_rating=18": lambda r: r["age_rating"] in ("16+", "18+"),
    "age_rating=!18%2B": lambda r: r["age_rating"] != "18+",
    "franchise=1": lambda r: r["franchise_id"] == 1,
    "franchise=franchise-2,FRANCHISE+000001": lambda r: r["franchise_id"] in (1, 2),
    "franchise=1,nothing": lambda r: r["franchise_id"] == 1,
    "franchise=nothing": lambda _: False,
    "franchise=!1": lambda r: r["franchise_id"] != 1,
    "year_from=2000": lambda r: (r["year"] or 0) >= 2000,
    "year_to=1999": lambda r: r["year"] is not None and r["year"] <= 1999,
    "year_from=1990&year_to=1999": lambda r: 1990 <= (r["year"] or 0) <= 1999,
    "year_from=2001&year_to=2000": lambda _: False,
    "genre=!1&type=tv&status=finished&season=winter,spring&year_from=1970&age_rating=!0&franchise=!1": lambda r: (
        1 not in r["genre_ids"]
        and (r["type"], r["status"]) == ("tv", "finished")
        and r["season"] in ("winter", "spring")
        and (r["year"] or 0) >= 1970
        and r["age_rating"] != "0+"
        and r["franchise_id"] != 1
    ),
}
ORDERS: dict[str, Callable[[Row], Any]] = {
    "updated": lambda r: r["updated_at"],
    "year": lambda r: r["year"] or 0,
    "title": lambda r: r["sort_title"],
    "rating": lambda r: r["average_rating"],
    "popularity": lambda r: r["popularity_score"],
}
SORTS = [*ORDERS, *(f"-{name}" for name in ORDERS)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    """A server on a catalogue that these tests only read."""
    async with catalogue_seed.api(server, tmp_path_factory.mktemp("lists"), RELEASES) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rows(api: Api) -> list[Row]:
    """What readers may see of it."""
    return await api.conn.fetch(
        "select r.*, m.average_rating, m.popularity_score"
        " from releases r join popularity_metrics m on m.release_id = r.id"
        " where r.is_published and r.deleted_at is null"
    )


def ordered(rows: list[Row], sort: str) -> list[int]:
    key = ORDERS[sort.removeprefix("-")]
    return [r["id"] for r in sorted(rows, key=lambda r: (key(r), r["id"]), reverse=sort.startswith("-"))]


async def ids_of(api: Api, path: str, count: int) -> list[int]:
    """Ids along all pages, each of which must tell the same exact count."""
    found: list[int] = []
    async for page in api.walk(path, ReleasePage):
        assert page["count"] == count
        found += [release["id"] for release in page["results"]]
    return found


@pytest.mark.parametrize("said", FILTERS)
async def test_a_filter_shows_exactly_the_releases_that_fit(api: Api, rows: list[Row], said: str) -> None:
    fitting = [r for r in rows if FILTERS[said](r)]
    assert "nothing" in said or "year_from=2001" in said or 0 < len(fitting) < len(rows)
    assert await ids_of(api, f"{EVERY_PAGE}&{said}", len(fitting)) == ordered(fitting, "-updated")


async def test_without_a_filter_everything_visible_is_listed_by_the_last_update(api: Api, rows: list[Row]) -> None:
    hidden = await api.conn.fetchval("select count(*) from releases") - len(rows)
    assert hidden > 0
    assert await ids_of(api, EVERY_PAGE, len(rows)) == ordered(rows, "-updated")


@pytest.mark.parametrize("sort", SORTS)
async def test_pages_show_each_release_once_in_the_order_asked_for(api: Api, rows: list[Row], sort: str) -> None:
    assert await ids_of(api, f"{EVERY_PAGE}&sort={sort}", len(rows)) == ordered(rows, sort)


@pytest.mark.parametrize("sort", SORTS)
async def test_cursors_show_each_release_once_in_the_order_asked_for(
    api: Api, rows: list[Row], sort: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "DEEPEST", 37)
    pages = [page async for page in api.walk(f"/releases?limit=37&sort={sort}&type=!ova", ReleasePage)]
    wanted = [r for r in rows if r["type"] != "ova"]
    assert [release["id"] for page in pages for release in page["results"]] == ordered(wanted, sort)
    assert all("cursor=" in page["next"] and "page=" not in page["next"] for page in pages[:-1])
    assert {page["count"] for page in pages} == {len(wanted)}
    assert [len(page["results"]) for page in pages[:-1]] == [37] * (len(pages) - 1)


async def test_a_last_page_by_cursor_that_is_full_leads_nowhere(api: Api, rows: list[Row]) -> None:
    last, before = ordered(rows, "title")[-1], ordered(rows, "title")[-3]
    key = next(r["sort_title"] for r in rows if r["id"] == before)
    page = await api.get(f"/releases?sort=title&limit=2&cursor={cursors.encode('title', key, before)}", ReleasePage)
    assert (page["results"][-1]["id"], len(page["results"]), page["next"]) == (last, 2, None)


async def test_links_keep_filters_and_lead_both_ways(api: Api) -> None:
    first = await api.get("/releases?genre=!1&age_rating=16%2B,18&sort=year&limit=10", ReleasePage)
    assert first["previous"] is None
    assert first["next"].startswith("/api/v1/releases?")
    second = await api.get(first["next"], ReleasePage)
    again = await api.get(second["previous"], ReleasePage)
    assert again["results"] == first["results"]
    assert second["results"][0]["year"] >= first["results"][-1]["year"]
    assert {release["age_rating"] for release in second["results"]} <= {"16+", "18+"}


async def test_a_page_beyond_the_last_is_empty_and_still_counts(api: Api, rows: list[Row]) -> None:
    page = await api.get("/releases?page=50&limit=100", ReleasePage)
    assert (page["count"], page["results"], page["next"]) == (len(rows), [], None)
    assert page["previous"].endswith("page=49")


async def test_beyond_ten_thousand_rows_the_answer_names_the_cursor(api: Api) -> None:
    await api.ask("/releases?limit=100&page=100")
    problem = await api.fault("/releases?limit=100&page=101")
    assert "cursor" in problem["detail"]
    assert problem["errors"][0]["pointer"] == "/page"


@pytest.mark.parametrize(
    ("said", "pointer"),
    [
        ("limit=0", "/limit"),
        ("limit=101", "/limit"),
        ("limit=ten", "/limit"),
        ("page=0", "/page"),
        ("sort=id", "/sort"),
        ("type=series", "/type/0"),
        ("type=tv,series", "/type/1"),
        ("season=!monsoon", "/season/0"),
        ("age_rating=17", "/age_rating/0"),
        ("year_from=1899", "/year_from"),
        ("year_to=soon", "/year_to"),
        ("genre=" + "x" * 321, "/genre/0"),
    ],
)
async def test_a_value_that_does_not_fit_is_named(api: Api, said: str, pointer: str) -> None:
    problem = await api.fault(f"/releases?{said}")
    assert [fault["pointer"] for fault in problem["errors"]] == [pointer]


async def test_all_bad_values_are_named_at_once(api: Api) -> None:
    problem = await api.fault("/releases?limit=0&sort=id&type=series")
    assert {fault["pointer"] for fault in problem["errors"]} == {"/limit", "/sort", "/type/0"}


@pytest.mark.parametrize("page", [1, 2])
async def test_a_page_beside_a_cursor_is_refused(api: Api, page: int) -> None:
    problem = await api.fault(f"/releases?page={page}&sort=year&cursor={cursors.encode('year', 2000, 3)}")
    assert problem["errors"][0]["pointer"] == "/page"


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "!!!!",
        cursors.encode("-year", 2000, 3),
        cursors.encode("year", "2000", 3),
        cursors.encode("year", 2**40, 3),
        cursors.encode("year", 2000, 2**70),
        cursors.encode("year", True, 3),
        "W10",
        "e30",
        "AAAA",
        "%D0%BA",
    ],
)
async def test_a_cursor_that_was_tampered_with_is_refused(api: Api, cursor: str) -> None:
    problem = await api.fault(f"/releases?sort=year&cursor={cursor}")
    assert problem["errors"][0]["pointer"] == "/cursor"


@pytest.mark.parametrize(
    ("sort", "key"),
    [
        ("rating", 1e300),
        ("rating", float("nan")),
        ("rating", float("inf")),
        ("popularity", float("-inf")),
        ("updated", "0001-01-01T00:00:00+14:00"),
        ("updated", "9999-12-31T23:59:59-14:00"),
        ("updated", "2026-01-01T00:00:00"),
        ("title", "a\x00b"),
        ("title", "\ud800"),
        ("title", "a" * 400),
    ],
)
async def test_a_made_up_cursor_never_breaks_the_server(api: Api, sort: str, key: Any) -> None:
    text = cursors.encode(sort, key, 3) if key != "\ud800" else "WyJ0aXRsZSIsIlx1ZDgwMCIsM10"
    async with api.running.client.get("/api/v1/releases", params={"sort": sort, "cursor": text}) as answer:
        assert answer.status in (200, 422)


async def test_a_name_that_cannot_be_stored_is_no_fault_of_the_server(api: Api) -> None:
    await api.fault("/releases?genre=%00")


async def test_a_walk_by_cursor_sees_what_stays_put_once_while_rows_move_and_come(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "DEEPEST", 20)
    async with catalogue_seed.api(server, tmp_path, 200) as api:
        visible = {r["id"] for r in await api.conn.fetch("select id from releases where visible")}
        moved: set[int] = set()
        seen: list[int] = []
        added = 0
        async for page in api.walk("/releases?limit=20&sort=-updated", ReleasePage):
            seen += [release["id"] for release in page["results"]]
            await catalogue_seed.add(api.conn, f"new-{len(seen)}")
            waiting = sorted(visible - set(seen) - moved)
            touched = [seen[-1], *waiting[:1]]
            moved |= set(touched)
            await api.conn.execute("update releases set updated_at = now() where id = any ($1)", touched)
            added += 1
            assert page["count"] == len(visible) + added - 1
    assert len(seen) == len(set(seen))
    assert visible - moved <= set(seen) <= visible


async def test_a_cursor_of_a_long_title_fits_into_an_address(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "DEEPEST", 1)
    async with catalogue_seed.api(server, tmp_path, 1) as api:
        for sign in "𠀋漢 \u3000":
            await catalogue_seed.add(api.conn, f"long-{ord(sign)}", sort_title=sign * 300)
        found = await ids_of(api, "/releases?limit=1&sort=title", 5)
        assert len(set(found)) == 5
