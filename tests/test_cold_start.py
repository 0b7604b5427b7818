"""A beginning for whoever keeps nothing yet: what is watched, rated and popular, then what is new, and some picks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import pairwise

import pytest
import pytest_asyncio

from server.database import connect
from server.events import Trend
from server.keys import CACHE, DATABASE, TRENDS
from tests.catalogue_seed import rebuild
from tests.conftest import Server
from tests.http_fixture import SHARED, shared_site
from tests.people import Person, person
from tests.recommending import World, forget_catalogue
from tests.running import Running
from tests.working import until

pytestmark = SHARED


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with shared_site(server, tmp_path_factory.mktemp("cold")) as started:

        async def calculated() -> bool:
            return started.app[TRENDS].passes > 0

        # The only pass in an hour: what tests make of the trends afterwards stays.
        await until(calculated)
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def world(site: Running) -> AsyncIterator[World]:
    conn = await connect(site.app[DATABASE].dsn)
    await conn.execute("delete from trend_windows")
    await forget_catalogue(conn)
    site.app[CACHE].drop_all()
    site.app[TRENDS].by_period.clear()
    yield World(site, conn)
    await conn.close()


async def rate(world: World, name: str, average: float, people: int) -> None:
    await world.conn.execute(
        "update popularity_metrics set average_rating = $2, rating_count = $3, rating_sum = $4 where release_id = $1",
        world.ids[name], average, people, round(average * people),
    )  # fmt: skip


async def popular(world: World, name: str, popularity: int) -> None:
    await world.conn.execute(
        "update popularity_metrics set imported_popularity = $2 where release_id = $1", world.ids[name], popularity
    )


async def trending(world: World, *names: str) -> None:
    """A top of the week, as a pass would leave it: what nobody watched stands at its end."""
    ids = [world.ids[name] for name in names]
    for place, release_id in enumerate(ids[:-1]):
        await world.conn.execute("insert into trend_windows values ('week', $1, $2, 0)", release_id, 10 - place)
    scores = [float(10 - place) for place in range(len(ids) - 1)] + [0.0]
    world.site.app[TRENDS].by_period["week"] = Trend("week", datetime.now(UTC), ids, scores)


async def six(world: World) -> None:
    """One release for each pool, and some that are only new."""
    for name in ("Older", "Old", "Watched", "Unwatched", "Few", "Rated", "Better", "Popular"):
        await world.release(name)
    await world.conn.execute(
        "update releases set created_at = '2020-05-01' where id = any ($1)",
        [world.ids["Older"], world.ids["Few"], world.ids["Unwatched"]],
    )
    await rebuild(world.conn, *(world.ids[name] for name in ("Older", "Few", "Unwatched")))
    await rate(world, "Rated", 9.0, 4)
    await rate(world, "Better", 8.5, 400)
    await rate(world, "Few", 10.0, 2)
    await popular(world, "Popular", 500)
    await trending(world, "Watched", "Unwatched")


def first_codes(page: dict[str, list[dict[str, list[dict[str, str]]]]]) -> list[str]:
    return [row["reasons"][0]["code"] for row in page["results"]]


async def test_whoever_keeps_nothing_gets_what_is_watched_rated_popular_and_new(world: World) -> None:
    await six(world)
    me = await person(world.site)
    page = await world.get("/personal", me)
    assert (page["type"], page["count"]) == ("cold_start", 8)
    names = dict(zip(world.titles(page), first_codes(page), strict=True))
    assert list(names)[:4] == ["Watched", "Better", "Popular", "Rated"]
    assert list(names.values())[:4] == ["trending", "top_rated", "popular", "top_rated"]
    # Then the newest, of which a top rated by two people only is one, and what nobody has watched.
    assert set(list(names.values())[4:]) == {"newest"}
    assert list(names)[4] == "Old"
    await world.check(page, me)
    scores = [row["score"] for row in page["results"]]
    assert all(one > other > 0 for one, other in pairwise(scores))
    assert (await world.get("", me))["results"] == page["results"]


async def test_an_empty_catalogue_recommends_nothing_and_the_first_release_shows_at_once(world: World) -> None:
    me = await person(world.site)
    assert (await world.get("/personal", me))["results"] == []
    await world.release("First")
    world.site.app[CACHE].drop(["releases"])
    assert world.titles(await world.get("/personal", me)) == ["First"]


async def test_what_is_planned_gives_three_picks_that_share_its_genres(world: World) -> None:
    await world.release("Planned", "drama")
    for number in range(5):
        await world.release(f"Drama{number}", "drama", popularity=0.5 - number / 10)
    await world.release("Comedy", "comedy", popularity=0.9)
    await popular(world, "Comedy", 900)
    me = await person(world.site)
    await world.keep(me, "collections/planned", "Planned")
    page = await world.get("/personal", me)
    assert page["type"] == "cold_start"
    assert world.titles(page)[:4] == ["Drama0", "Drama1", "Drama2", "Comedy"]
    for row in page["results"][:3]:
        assert [reason["code"] for reason in row["reasons"]] == ["because_planned", "shares_genres"]
    assert "Planned" not in world.titles(page)
    await world.check(page, me)


async def test_followed_genres_give_picks_too(world: World) -> None:
    await world.release("Drama", "drama", popularity=0.1)
    await world.release("Comedy", "comedy", popularity=0.9)
    me = await person(world.site)
    body = {"subscription_type": "genre", "target_id": world.words["genres/drama"]}
    async with world.site.client.post("/api/v1/subscriptions", headers=me.headers, json=body) as answer:
        assert answer.status == 201
    page = await world.get("/personal", me)
    assert world.titles(page) == ["Drama", "Comedy"]
    assert page["results"][0]["reasons"][0]["text"] == "You follow the genre drama."
    await world.check(page, me)


async def test_sequels_and_what_is_kept_are_left_out(world: World) -> None:
    for number in (1, 2, 3):
        await world.release(f"Part{number}", franchise="Saga", year=2000 + number)
    await world.release("Ignored")
    await world.release("Dropped", franchise="Lost", year=2001)
    await world.release("DroppedNext", franchise="Lost", year=2002)
    await trending(world, "Part3", "Part2", "Part1", "Ignored")
    me = await person(world.site)
    assert world.titles(await world.get("/personal", me))[0] == "Part1"
    await world.keep(me, "ignores", "Ignored")
    await world.keep(me, "collections/dropped", "Dropped")
    page = await world.get("/personal", me)
    assert (page["type"], world.titles(page)) == ("cold_start", ["Part1"])
    await world.check(page, me)


async def test_a_short_list_of_ones_own_is_filled_up_behind(world: World) -> None:
    await world.release("Liked")
    await world.release("Own")
    await world.release("Popular")
    await popular(world, "Popular", 10)
    await world.speaks("Liked", ("Own", 0.4))
    me: Person = await person(world.site)
    await world.keep(me, "favorites", "Liked")
    page = await world.get("/personal", me)
    assert (page["type"], world.titles(page)) == ("personal", ["Own", "Popular"])
    assert first_codes(page) == ["because_favorited", "popular"]
    assert page["results"][0]["score"] == 0.48 > page["results"][1]["score"] > 0
    await world.check(page, me)


async def test_once_something_is_kept_that_tells_a_taste_the_beginning_is_over(world: World) -> None:
    await world.release("Liked")
    await world.release("Own")
    await world.speaks("Liked", ("Own", 0.4))
    me = await person(world.site)
    assert (await world.get("/personal", me))["type"] == "cold_start"
    await world.keep(me, "collections/planned", "Liked")
    assert (await world.get("/personal", me))["type"] == "cold_start"
    await world.keep(me, "collections/completed", "Liked")
    assert (await world.get("/personal", me))["type"] == "personal"
