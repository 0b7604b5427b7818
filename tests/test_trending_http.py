"""The tops over HTTP: trending pages and analytics/top, from views to the answer."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from server import keys
from server.events import PERIODS
from tests.running import Running, running
from tests.seeding import commit, event, hours_ago, roll_up_all, seed_partitions, seed_releases
from tests.test_trending import run

TRENDING = "/api/v1/recommendations/trending"
TOP = "/api/v1/analytics/top"


async def watch(conn: Any, counts: dict[int, dict[float, int]]) -> None:
    """Views of each release so many hours ago, rolled up and taken into the trends."""
    for release, ages in counts.items():
        for hours, count in ages.items():
            when = hours_ago(hours)
            await commit(conn, *(event(release, viewer=n, viewed_at=when) for n in range(count)))
    await roll_up_all(conn)
    await run(conn, hours_ago(0))


async def get(server: Running, path: str, **query: Any) -> Any:
    async with server.client.get(path, params=query) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def test_pages_walk_the_whole_list_of_at_most_a_thousand(conn: Any, dsn: str, tmp_path: Path) -> None:
    await seed_partitions(conn)
    releases = await seed_releases(conn, 1010)
    await watch(conn, {releases[0]: {1: 3}, releases[1]: {1: 5}, releases[2]: {30: 20}})
    async with running(dsn, tmp_path) as server:
        found: list[Any] = []
        link: str | None = f"{TRENDING}?period=day&limit=100"
        while link:
            page = await get(server, link)
            assert (page["type"], page["period"], page["count"]) == ("trending", "day", 1000)
            found += page["results"]
            link = page["next"]
        assert [row["release"]["id"] for row in found] == [releases[1], releases[0], *releases[:11:-1]]
        assert [row["reasons"][0]["code"] for row in found[:3]] == ["trending", "trending", "popular"]
        assert found[0]["score"] > found[1]["score"] > found[2]["score"] == 0
        assert (await get(server, TRENDING))["results"][0]["release"]["id"] == releases[2]
        assert (await get(server, TRENDING, limit=100, page=11))["results"] == []
        async with server.client.get(TRENDING, params={"limit": 100, "page": 101}) as answer:
            assert answer.status == 422
        # Hidden since the pass: the others stay in order.
        await conn.execute("update releases set is_published = false where id = $1", releases[1])
        server.app[keys.CACHE].drop_all()
        first = await get(server, TRENDING, period="day", limit=3)
        assert [row["release"]["id"] for row in first["results"]] == [releases[0], releases[-1]]


async def genres(conn: Any, names: list[str]) -> list[int]:
    return [
        await conn.fetchval("insert into genres (slug, name, name_key) values ($1, $1, $1) returning id", name)
        for name in names
    ]


async def test_trending_by_genre_keeps_the_order_and_goes_on_with_what_is_popular(
    conn: Any, dsn: str, tmp_path: Path
) -> None:
    await seed_partitions(conn)
    releases = await seed_releases(conn, 1100)
    drama, sport = await genres(conn, ["drama", "sport"])
    both, only, other, unwatched, beyond = releases[0], releases[1], releases[2], releases[3], releases[4]
    await conn.execute("update releases set genre_ids = array[$1::bigint, $2] where id = $3", drama, sport, both)
    await conn.execute(
        "update releases set genre_ids = array[$1::bigint] where id = any ($2)", drama, [only, unwatched, beyond]
    )
    await conn.execute("update releases set genre_ids = array[$1::bigint] where id = $2", sport, other)
    await watch(conn, {both: {1: 3}, only: {1: 5}, other: {1: 9}})
    # Below the thousand of the top, these two: the more popular comes first.
    await conn.execute("update popularity_metrics set popularity_score = 0.5 where release_id = $1", beyond)
    await conn.execute("update popularity_metrics set popularity_score = 0.1 where release_id = $1", unwatched)
    async with running(dsn, tmp_path) as server:

        async def shown(*wanted: str) -> list[int]:
            page = await get(server, f"{TRENDING}?period=day&" + "&".join(f"genre={one}" for one in wanted))
            assert page["count"] == len(page["results"])
            assert page["next"] is None
            return [row["release"]["id"] for row in page["results"]]

        assert await shown("drama") == [only, both, beyond, unwatched]
        assert await shown(str(drama), "sport") == await shown("drama,sport") == [both]
        assert await shown("drama", "!sport") == [only, beyond, unwatched]
        assert await shown("nothing") == []
        page = await get(server, f"{TRENDING}?period=day&genre=drama&limit=2")
        assert page["next"] == f"{TRENDING}?period=day&genre=drama&limit=2&page=2"
        codes = [row["reasons"][0]["code"] for row in page["results"]]
        codes += [row["reasons"][0]["code"] for row in (await get(server, page["next"]))["results"]]
        assert codes == ["trending", "trending", "popular", "popular"]
        assert len((await get(server, f"{TRENDING}?period=day&genre=!drama&limit=100"))["results"]) == 100


async def test_tops_of_every_period_count_views_and_leave_out_what_is_hidden(
    conn: Any, dsn: str, tmp_path: Path
) -> None:
    await seed_partitions(conn)
    one, two, three = await seed_releases(conn, 3)
    (hidden,) = await seed_releases(conn, 1, visible=False)
    drama, sport = await genres(conn, ["drama", "sport"])
    await conn.execute("update releases set genre_ids = array[$1::bigint] where id = any ($2)", drama, [one, hidden])
    await conn.execute("update releases set genre_ids = array[$1::bigint, $2] where id = $3", drama, sport, two)
    await conn.execute("update releases set title = '=cmd()' where id = $1", one)
    await conn.execute("update releases set is_published = true where id = $1", hidden)
    await watch(conn, {one: {2: 4, 160: 1}, two: {30: 7}, three: {100: 2}, hidden: {1: 50}})
    await conn.execute("update releases set is_published = false where id = $1", hidden)
    await conn.execute("update popularity_metrics set total_views = total_views + 90 where release_id = $1", three)
    expected = {
        "day": ([(one, 4)], [(drama, 4)]),
        "week": ([(two, 7), (one, 5), (three, 2)], [(drama, 12), (sport, 7)]),
        "month": ([(two, 7), (one, 5), (three, 2)], [(drama, 12), (sport, 7)]),
        "all": ([(three, 92), (two, 7), (one, 5)], [(drama, 12), (sport, 7)]),
    }
    async with running(dsn, tmp_path) as server:
        for period, (releases, kinds) in expected.items():
            found = await get(server, TOP, period=period)
            assert [(row["id"], row["views"]) for row in found["releases"]] == releases
            assert [(row["id"], row["views"]) for row in found["genres"]] == kinds
            short = await get(server, TOP, period=period, limit=1)
            assert (short["releases"], short["genres"]) == (found["releases"][:1], found["genres"][:1])
            async with server.client.get(TOP, params={"period": period, "format": "csv"}) as answer:
                lines = list(csv.DictReader(io.StringIO(await answer.text())))
                assert "s-maxage=300" in answer.headers["Cache-Control"]
            rows = [("release", row) for row in found["releases"]] + [("genre", row) for row in found["genres"]]
            titles = [row.get("title") or row["name"] for _, row in rows]
            # What a spreadsheet would run is made harmless.
            assert [line["title"] for line in lines] == [title.replace("=cmd()", "'=cmd()") for title in titles]
            assert [(line["kind"], int(line["id"]), int(line["views"])) for line in lines] == [
                (kind, row["id"], row["views"]) for kind, row in rows
            ]
        assert set(server.app[keys.TRENDS].by_period) == set(PERIODS)
