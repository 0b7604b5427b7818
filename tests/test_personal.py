"""What somebody may like: by what they keep, without what they know, varied, with reasons that hold; refreshed by what
they do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from server.keys import CACHE, TALK
from server.rules.cache_tags import personal
from server.schemas.recommendations import PersonalPage
from tests.conftest import Server
from tests.http_fixture import SHARED, problem, queries_seen, shared_site
from tests.people import Person, person
from tests.recommending import API, World, new_world
from tests.running import Running
from tests.working import until

pytestmark = SHARED
OURS = {"kept", "rows", "facts", "shown", "pools", "seed", "candidates", "carrying", "followed_genres", "frequencies"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with shared_site(server, tmp_path_factory.mktemp("personal")) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def world(site: Running) -> AsyncIterator[World]:
    async with new_world(site) as world:
        yield world


async def own(world: World, who: Person, path: str = "/personal") -> list[str]:
    """The names of what their history speaks for, in order; all reasons hold."""
    page = await world.get(path, who)
    assert page["type"] == "personal"
    await world.check(page, who)
    rows = [row for row in page["results"] if row["reasons"][0]["code"].startswith("because_")]
    return [row["release"]["title"] for row in rows]


async def seven(world: World) -> None:
    """What somebody liked, and what it speaks for."""
    await world.release("Liked", "drama mystery")
    for name in ("Best", "Good", "Fair"):
        await world.release(name, "drama")
    await world.release("Opposite", "comedy")
    await world.speaks("Liked", ("Best", 0.9), ("Good", 0.5), ("Fair", 0.1), ("Opposite", -0.4))


async def test_what_was_completed_speaks_for_others(world: World) -> None:
    await seven(world)
    me = await person(world.site)
    await world.keep(me, "collections/completed", "Liked")
    page = await world.get("/personal", me)
    assert await own(world, me) == ["Best", "Good", "Fair"]
    assert page["results"][0]["reasons"] == [
        {
            "code": "because_completed",
            "text": "Because you completed “Liked”.",
            "release": {"id": world.ids["Liked"], "slug": "liked", "title": "Liked"},
        },
        {
            "code": "shares_genres",
            "text": "Shares the genre drama with “Liked”.",
            "genres": [{"id": world.words["genres/drama"], "name": "drama", "slug": "drama"}],
            "release": {"id": world.ids["Liked"], "slug": "liked", "title": "Liked"},
        },
    ]
    scores = [row["score"] for row in page["results"]]
    assert scores == sorted(scores, reverse=True)
    assert min(scores) > 0
    # The two addresses are one list.
    assert (await world.get("", me))["results"] == page["results"]
    assert (await world.get(API, me))["type"] == "personal"


async def test_every_way_of_keeping_says_why(world: World) -> None:
    for kept in ("Favourite", "Rated", "Watching", "Begun"):
        await world.release(kept)
        await world.release(f"By{kept}")
        await world.speaks(kept, (f"By{kept}", 0.5))
    me = await person(world.site)
    await world.keep(me, "favorites", "Favourite")
    await world.keep(me, "collections/completed", "Rated")
    await world.keep(me, "ratings", "Rated", {"rating": 9})
    await world.keep(me, "collections/watching", "Watching")
    await world.watch(me, "Begun")
    page = await world.get("/personal", me)
    await world.check(page, me)
    codes = {row["release"]["title"]: row["reasons"][0] for row in page["results"]}
    assert {name: reason["code"] for name, reason in codes.items() if name.startswith("By")} == {
        "ByFavourite": "because_favorited",
        "ByRated": "because_rated",
        "ByWatching": "because_watching",
        "ByBegun": "because_watching",
    }
    assert codes["ByRated"]["text"] == "Because you rated “Rated” 9."
    assert codes["ByWatching"]["text"] == "Because you are watching “Watching”."
    assert codes["ByBegun"]["text"] == "Because you have begun “Begun”."


async def test_what_is_known_dropped_or_ignored_is_left_out(world: World) -> None:
    await seven(world)
    me = await person(world.site)
    await world.keep(me, "favorites", "Liked")
    assert await own(world, me) == ["Best", "Good", "Fair"]
    await world.keep(me, "collections/dropped", "Best")
    await world.keep(me, "ignores", "Good")
    assert await own(world, me) == ["Fair"]
    await world.watch(me, "Fair")
    page = await world.get("/personal", me)
    assert not {"Liked", "Best", "Good", "Fair"} & set(world.titles(page))
    # And what is taken back comes back.
    await world.keep(me, "ignores", "Good", method="DELETE")
    assert "Good" in await own(world, me)


async def test_what_was_dropped_or_ignored_speaks_for_nothing(world: World) -> None:
    await seven(world)
    me = await person(world.site)
    await world.keep(me, "ratings", "Liked", {"rating": 10})
    await world.keep(me, "collections/dropped", "Liked")
    assert (await world.get("/personal", me))["type"] == "cold_start"
    await world.keep(me, "collections/completed", "Liked")
    assert (await world.get("/personal", me))["type"] == "personal"
    await world.keep(me, "ignores", "Liked")
    assert (await world.get("/personal", me))["type"] == "cold_start"


async def saga(world: World) -> None:
    """A franchise of four, all of which somebody's taste speaks for, the last the most."""
    await world.release("Liked")
    for number in range(1, 5):
        await world.release(f"Part{number}", franchise="Saga", year=2000 + number)
    await world.release("Other")
    parts = [(f"Part{number}", number / 10) for number in range(1, 5)]
    await world.speaks("Liked", *parts, ("Other", 0.05))


async def test_of_a_franchise_only_the_next_part_is_shown(world: World) -> None:
    await saga(world)
    me = await person(world.site)
    await world.keep(me, "favorites", "Liked")
    assert await own(world, me) == ["Part1", "Other"]
    await world.keep(me, "collections/completed", "Part1")
    assert await own(world, me) == ["Part2", "Other"]
    await world.keep(me, "collections/watching", "Part2")
    assert await own(world, me) == ["Part3", "Other"]
    await world.keep(me, "collections/planned", "Part3")
    assert await own(world, me) == ["Other"]


async def test_no_sequel_of_what_was_dropped_or_is_ignored(world: World) -> None:
    await saga(world)
    me, she = await person(world.site), await person(world.site)
    await world.keep(me, "favorites", "Liked")
    await world.keep(me, "collections/completed", "Part1")
    await world.keep(me, "collections/dropped", "Part2")
    assert await own(world, me) == ["Other"]
    await world.keep(she, "favorites", "Liked")
    await world.keep(she, "ignores", "Part1")
    assert await own(world, she) == ["Other"]


async def test_no_sequel_either_where_the_part_that_was_dropped_is_hidden_now(world: World) -> None:
    await saga(world)
    me = await person(world.site)
    await world.keep(me, "favorites", "Liked")
    await world.keep(me, "collections/dropped", "Part2")
    await world.conn.execute("update releases set deleted_at = now() where id = $1", world.ids["Part2"])
    assert await own(world, me) == ["Other"]
    page = await world.get("/personal", me)
    assert not {"Part1", "Part3", "Part4"} & set(world.titles(page))


async def test_what_is_planned_and_ignored_is_no_wish(world: World) -> None:
    await world.release("Planned", "drama")
    await world.release("Alike", "drama", popularity=0.9)
    me = await person(world.site)
    await world.keep(me, "collections/planned", "Planned")

    async def wishes() -> bool:
        page = await world.get("/personal", me)
        codes = {reason["code"] for row in page["results"] for reason in row["reasons"]}
        return "because_planned" in codes

    assert await wishes()
    await world.keep(me, "ignores", "Planned")
    assert not await wishes()


async def test_what_fills_up_a_page_goes_by_the_genres_that_stand_there(world: World) -> None:
    await world.release("Liked", "drama")
    for number in range(8):
        await world.release(f"Own{number}", "drama")
    for number in range(30):
        await world.release(f"Fill{number:02}", "drama" if number % 2 else "comedy")
    await world.speaks("Liked", *((f"Own{number}", 0.9 - number / 100) for number in range(8)))
    me = await person(world.site)
    await world.keep(me, "favorites", "Liked")
    assert len(await own(world, me)) == 8
    page = await world.get("/personal?limit=20", me)
    dramas = [row for row in page["results"] if row["release"]["genres"][0]["name"] == "drama"]
    assert (len(page["results"]), len(dramas)) == (20, 10)


async def test_a_page_is_not_all_of_one_genre(world: World) -> None:
    await world.release("Liked", "drama")
    for number in range(20):
        await world.release(f"Drama{number:02}", "drama")
    for number in range(6):
        await world.release(f"Comedy{number:02}", "comedy")
    dramas = [(f"Drama{number:02}", 0.9 - number / 100) for number in range(20)]
    await world.speaks("Liked", *dramas, *((f"Comedy{number:02}", 0.1) for number in range(6)))
    me = await person(world.site)
    await world.keep(me, "favorites", "Liked")
    names = await own(world, me)
    assert 0 < sum(name.startswith("Drama") for name in names) <= 10
    assert sum(name.startswith("Comedy") for name in names) >= 6


async def test_of_a_page_at_most_half_carry_any_one_genre(world: World) -> None:
    await world.release("Liked", "drama")
    # Drama stands second everywhere: no two lead with the same genre.
    for number in range(30):
        await world.release(f"Drama{number:02}", f"genre{number:02} drama")
    for number in range(20):
        await world.release(f"Other{number:02}", f"genre{number:02}")
    dramas = [(f"Drama{number:02}", 0.9 - number / 100) for number in range(30)]
    await world.speaks("Liked", *dramas, *((f"Other{number:02}", 0.1) for number in range(20)))
    me = await person(world.site)
    await world.keep(me, "favorites", "Liked")
    pages = [await world.get(f"/personal?page={number}", me) for number in (1, 2)]
    counts = [sum(name.startswith("Drama") for name in world.titles(page)) for page in pages]
    assert counts == [10, 10]
    assert world.titles(pages[0])[0] == "Drama00"
    assert len(pages[0]["results"]) == 20


async def test_what_the_model_does_not_know_speaks_by_its_neighbours_or_by_what_it_is_filed_under(world: World) -> None:
    await world.release("Stored", "drama")
    await world.release("New", "mystery", "lighthouse")
    await world.release("NearStored", "comedy")
    await world.release("LikeNew", "mystery", "lighthouse")
    await world.near("Stored", ("NearStored", 0.7))
    me = await person(world.site)
    await world.keep(me, "favorites", "Stored")
    assert await own(world, me) == ["NearStored"]
    await world.keep(me, "favorites", "New")
    with queries_seen() as names:
        assert set(await own(world, me)) == {"NearStored", "LikeNew"}
    assert "candidates" in names


async def test_hidden_releases_are_neither_shown_nor_named(world: World) -> None:
    await world.release("Gone", "drama")
    await world.release("Liked", "drama")
    await world.release("Shown", "drama")
    await world.release("Hidden", "drama")
    await world.speaks("Gone", ("Shown", 0.9), ("Hidden", 0.9))
    await world.speaks("Liked", ("Shown", 0.1))
    me = await person(world.site)
    await world.keep(me, "favorites", "Gone")
    await world.keep(me, "favorites", "Liked")
    ids = [world.ids["Gone"], world.ids["Hidden"]]
    await world.conn.execute("update releases set deleted_at = now() where id = any ($1)", ids)
    page = await world.get("/personal", me)
    named = {reason["release"]["title"] for row in page["results"] for reason in row["reasons"] if "release" in reason}
    assert world.titles(page)[0] == "Shown"
    assert named == {"Liked"}
    await world.check(page, me)


async def settled(world: World, who: Person) -> None:
    """Wait until their answer comes from memory: what they did before is told to all instances, this one included."""

    async def remembered() -> bool:
        with queries_seen() as names:
            await world.get("/personal", who)
            await world.get("/personal?limit=20", who)
        return not OURS & set(names)

    await until(remembered)


async def test_an_answer_is_kept_until_its_user_does_something(world: World) -> None:
    await seven(world)
    me, she = await person(world.site), await person(world.site)
    for who in (me, she):
        await world.keep(who, "favorites", "Liked")
        await settled(world, who)
    await world.keep(me, "ignores", "Best")
    # At once, without waiting for anybody to be told.
    assert "Best" not in world.titles(await world.get("/personal", me))
    assert "Best" in world.titles(await world.get("/personal", she))
    await settled(world, me)


async def asks_anew(world: World, who: Person, tag: str) -> bool:
    """Whether dropping the tag has their answer made anew."""
    world.site.app[CACHE].drop([tag])
    with queries_seen() as names:
        await world.get("/personal", who)
    return "kept" in names


async def test_an_answer_goes_when_a_release_in_it_changes_or_another_instance_says_so(world: World) -> None:
    await seven(world)
    for number in range(20):
        await world.release(f"Further{number:02}")
    further = [(f"Further{number:02}", 0.01) for number in range(20)]
    await world.speaks("Liked", ("Best", 0.9), ("Good", 0.5), *further)
    me, she = await person(world.site), await person(world.site)
    await world.keep(me, "favorites", "Liked")
    await settled(world, me)
    shown, named = f"release:{world.ids['Best']}", f"release:{world.ids['Liked']}"
    for tag in (shown, named, personal(me.id), "personal"):
        assert await asks_anew(world, me, tag), tag
    for tag in ("releases", "release:1", personal(she.id)):
        assert not await asks_anew(world, me, tag), tag
    # A beginning shows what is new.
    await world.get("/personal", she)
    assert await asks_anew(world, she, "releases")
    # What somebody did here is told to others by the same tag.
    told = world.site.app[TALK]
    taken: list[Any] = []
    before, told._drop = told._drop, taken.append
    try:
        await world.keep(me, "favorites", "Good")
    finally:
        told._drop = before
    assert taken == [{personal(me.id)}]


async def test_nothing_of_an_erased_account_stays_in_memory(world: World) -> None:
    await seven(world)
    me = await person(world.site)
    await world.keep(me, "favorites", "Liked")
    await world.get("/personal", me)

    def remembered() -> bool:
        held = world.site.app[CACHE].keys()
        return any(isinstance(key, tuple) and me.id in key[1:] for key in held if "recommendations" in str(key))

    assert remembered()
    async with world.site.client.delete("/api/v1/profile", headers=me.headers) as answer:
        assert answer.status == 204
    assert not remembered()


async def test_answers_are_private_and_only_for_who_signs_in(world: World) -> None:
    await seven(world)
    me = await person(world.site)
    await world.keep(me, "favorites", "Liked")
    for path in (API, f"{API}/personal"):
        async with world.site.client.get(path) as answer:
            await problem(answer, 401)
        for _ in range(2):
            # Made, and from memory.
            async with world.site.client.get(path, headers=me.headers) as answer:
                assert answer.status == 200
                assert answer.headers["Cache-Control"] == "private, no-store"
                assert "Surrogate-Key" not in answer.headers
                assert "ETag" not in answer.headers
                assert msgspec.json.decode(await answer.read(), type=PersonalPage).type == "personal"
        async with world.site.client.get(path, headers=me.headers, params={"limit": 0}) as answer:
            await problem(answer, 422)


async def test_pages_hold_together(world: World) -> None:
    await world.release("Liked")
    names = [f"Near{number:02}" for number in range(45)]
    for name in names:
        await world.release(name)
    await world.speaks("Liked", *((name, 1 - place / 100) for place, name in enumerate(names)))
    me = await person(world.site)
    await world.keep(me, "favorites", "Liked")
    target: str | None = f"{API}?limit=15"
    found: list[str] = []
    while target is not None:
        page = await world.get(target, me)
        assert page["count"] == 45
        found += world.titles(page)
        target = page["next"]
    assert found == names
    assert (await world.get("?page=9", me))["results"] == []
