"""What is like a release: stored or worked out at once; of a franchise the first unseen part; reasons that hold."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from server.keys import CACHE, RECOMMENDING
from server.schemas.recommendations import SimilarPage
from tests.catalogue_seed import rebuild
from tests.conftest import Server
from tests.http_fixture import SHARED, problem, queries_seen, shared_site
from tests.people import person
from tests.recommending import API, World, new_world
from tests.running import Running

pytestmark = SHARED


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with shared_site(server, tmp_path_factory.mktemp("similar")) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def world(site: Running) -> AsyncIterator[World]:
    async with new_world(site) as world:
        yield world


async def franchise(world: World) -> None:
    """A seed, three parts of a franchise that is like it, and something else."""
    await world.release("Seed", "drama mystery", "sea")
    await world.release("Third", "drama", franchise="Saga", year=2012)
    await world.release("First", "drama", franchise="Saga", year=2004)
    await world.release("Second", "comedy", franchise="Saga", year=2008)
    await world.release("Alone", "mystery", "sea")
    await world.near("Seed", ("Third", 0.9, 10), ("Alone", 0.6), ("Second", 0.5), ("First", 0.4))


async def test_a_franchise_shows_up_once_as_its_first_part(world: World) -> None:
    await franchise(world)
    page = await world.get(f"/similar/{world.ids['Seed']}")
    assert world.titles(page) == ["First", "Alone"]
    assert (page["type"], page["count"], page["next"]) == ("similar", 2, None)
    assert [row["score"] for row in page["results"]] == [0.9, 0.6]
    codes = [[reason["code"] for reason in row["reasons"]] for row in page["results"]]
    assert codes == [["shares_genres", "first_part"], ["shares_genres", "shares_tags"]]
    await world.check(page, seed="Seed")


async def test_whoever_signs_in_sees_the_first_part_that_they_have_not_seen(world: World) -> None:
    await franchise(world)
    path, viewer = f"/similar/{world.ids['Seed']}", await person(world.site)
    await world.keep(viewer, "collections/completed", "First")
    page = await world.get(path, viewer)
    assert world.titles(page) == ["Second", "Alone"]
    assert page["results"][0]["reasons"][-1] | {"release": None} == {
        "code": "first_unseen_part",
        "text": "The first part you have not seen of the franchise of “Third”, which is similar.",
        "release": None,
    }
    await world.check(page, viewer, "Seed")
    await world.keep(viewer, "ratings", "Second", {"rating": 4})
    page = await world.get(path, viewer)
    assert world.titles(page) == ["Third", "Alone"]
    # The third part is a neighbour itself: what it shares with the seed is said of it.
    assert [reason["code"] for reason in page["results"][0]["reasons"]] == ["shares_genres", "same_audience"]
    await world.check(page, viewer, "Seed")
    await world.keep(viewer, "favorites", "Third")
    await world.keep(viewer, "ignores", "Alone")
    assert await world.get(path, viewer) == page | {"count": 0, "results": []}
    # To visitors and others nothing of that is told.
    assert world.titles(await world.get(path)) == ["First", "Alone"]
    assert world.titles(await world.get(path, await person(world.site))) == ["First", "Alone"]


@pytest.mark.parametrize(("kept", "hidden"), [("collections/dropped", False), ("ignores", False), ("ignores", True)])
async def test_nothing_is_shown_of_a_franchise_of_which_a_part_was_dropped_or_is_ignored(
    world: World, kept: str, hidden: bool
) -> None:
    await franchise(world)
    path, viewer = f"/similar/{world.ids['Seed']}", await person(world.site)
    await world.keep(viewer, kept, "Second")
    if hidden:
        await world.conn.execute("update releases set deleted_at = now() where id = $1", world.ids["Second"])
    assert world.titles(await world.get(path, viewer)) == ["Alone"]
    assert world.titles(await world.get(path)) == ["First", "Alone"]
    await world.keep(viewer, kept, "Second", method="DELETE")
    assert world.titles(await world.get(path, viewer)) == ["First", "Alone"]


async def test_planned_and_begun_releases_are_still_shown(world: World) -> None:
    await franchise(world)
    viewer = await person(world.site)
    await world.keep(viewer, "collections/planned", "First")
    await world.watch(viewer, "Alone")
    assert world.titles(await world.get(f"/similar/{world.ids['Seed']}", viewer)) == ["First", "Alone"]


async def test_the_own_franchise_shows_its_first_other_part(world: World) -> None:
    await world.release("One", franchise="Saga", year=2001)
    await world.release("Two", franchise="Saga", year=2002)
    await world.release("Three", franchise="Saga", year=2003)
    for name, others in (("One", ("Three", "Two")), ("Two", ("Three", "One"))):
        await world.near(name, *((other, 0.5) for other in others))
    first = await world.get(f"/similar/{world.ids['One']}")
    assert world.titles(first) == ["Two"]
    assert [reason["code"] for reason in first["results"][0]["reasons"]] == ["same_franchise"]
    await world.check(first, seed="One")
    assert world.titles(await world.get(f"/similar/{world.ids['Two']}")) == ["One"]


async def test_what_is_hidden_and_what_nothing_can_be_said_of_is_left_out(world: World) -> None:
    await world.release("Seed", "drama")
    await world.release("Hidden", "drama")
    await world.release("Stranger", "comedy")
    await world.release("Liked", "comedy")
    await world.near("Seed", ("Hidden", 0.9), ("Stranger", 0.8), ("Liked", 0.3, 15))
    await world.conn.execute("update releases set deleted_at = now() where id = $1", world.ids["Hidden"])
    page = await world.get(f"/similar/{world.ids['Seed']}")
    assert world.titles(page) == ["Liked"]
    assert page["results"][0]["reasons"] == [
        {
            "code": "same_audience",
            "text": "At least 15 people who finished or liked “Seed” finished or liked this one.",
            "users": 15,
        }
    ]


async def test_without_stored_neighbours_genres_tags_and_franchise_decide(world: World) -> None:
    await world.release("Seed", "drama mystery", "sea lighthouse", "Saga", 2005)
    await world.release("Sequel", "comedy", franchise="Saga", year=2010)
    await world.release("Twin", "drama mystery", "sea lighthouse")
    await world.release("Cousin", "drama", "lighthouse", popularity=0.1)
    await world.release("Popular", "drama", popularity=0.9)
    await world.release("Unknown", "drama", popularity=0.1)
    await world.release("Stranger", "comedy", "space")
    await world.conn.execute("insert into word_frequencies select 'genre', id, 100 from genres on conflict do nothing")
    with queries_seen() as names:
        page = await world.get(f"/similar/{world.ids['Seed']}")
    assert "candidates" in names
    # Of two equally alike ones the more popular comes first.
    assert world.titles(page) == ["Twin", "Cousin", "Sequel", "Popular", "Unknown"]
    await world.check(page, seed="Seed")
    # A row that says there is nobody is as good as none.
    await world.near("Seed")
    world.site.app[CACHE].drop_all()
    assert world.titles(await world.get(f"/similar/{world.ids['Seed']}")) == world.titles(page)


async def test_without_stored_neighbours_a_long_franchise_leaves_room_for_others(world: World) -> None:
    await world.release("Seed", "drama", "sea", "Saga")
    for part in range(1, 41):
        await world.release(f"Part {part}", "drama", "sea", "Saga", 2000 + part)
    await world.release("Other", "drama")
    assert world.titles(await world.get(f"/similar/{world.ids['Seed']}")) == ["Part 1", "Other"]


async def test_a_word_that_was_deleted_is_no_reason(world: World) -> None:
    await world.release("Seed", "drama", "sea")
    await world.release("Other", "drama")
    await world.release("Another", "drama", "sea")
    await world.near("Seed", ("Other", 0.9), ("Another", 0.5))
    await world.conn.execute("update genres set deleted_at = now() where id = $1", world.words["genres/drama"])
    for release_id in world.ids.values():
        await rebuild(world.conn, release_id)
    page = await world.get(f"/similar/{world.ids['Seed']}")
    # Counted are all neighbours, until they are worked out anew; shown is what something can be said of.
    assert (world.titles(page), page["count"]) == (["Another"], 2)
    assert [reason["code"] for reason in page["results"][0]["reasons"]] == ["shares_tags"]
    # It is there again, and not in the documents yet.
    await world.conn.execute("update genres set deleted_at = null where id = $1", world.words["genres/drama"])
    world.site.app[CACHE].drop_all()
    assert world.titles(await world.get(f"/similar/{world.ids['Seed']}")) == ["Another"]


async def test_a_release_filed_under_nothing_has_nothing_like_it(world: World) -> None:
    await world.release("Seed")
    await world.release("Other")
    page = await world.get(f"/similar/{world.ids['Seed']}")
    assert (page["count"], page["results"]) == (0, [])


async def test_pages_hold_together_and_stop_at_the_end(world: World) -> None:
    await world.release("Seed", "drama")
    names = [f"Near{number:02}" for number in range(25)]
    for name in names:
        await world.release(name, "drama")
    await world.near("Seed", *((name, 1 - place / 100) for place, name in enumerate(names)))
    path, found = f"{API}/similar/{world.ids['Seed']}?limit=10", []
    target: str | None = path
    while target is not None:
        page = await world.get(target)
        assert page["count"] == 25
        found += world.titles(page)
        target = page["next"]
    assert found == names
    beyond = await world.get(f"{path}&page=9")
    assert (beyond["count"], beyond["results"], beyond["next"]) == (25, [], None)


async def test_ids_slugs_and_what_there_is_not(world: World) -> None:
    await franchise(world)
    by_id = await world.get(f"/similar/{world.ids['Seed']}")
    by_slug = await world.get("/similar/seed")
    assert by_slug == by_id
    await world.conn.execute("insert into release_slugs (slug, release_id) values ('seedling', $1)", world.ids["Seed"])
    assert await world.get("/similar/seedling") == by_id
    await world.conn.execute("delete from release_slugs")
    for wrong in ("999999999", "9" * 30, "nobody", "%00", "seed%ED%A0%80"):
        async with world.site.client.get(f"{API}/similar/{wrong}") as answer:
            assert answer.status in (400, 404), wrong
    async with world.site.client.get(f"{API}/similar/seed", params={"limit": 101}) as answer:
        await problem(answer, 422)
    async with world.site.client.get(f"{API}/similar/seed") as answer:
        assert msgspec.json.decode(await answer.read(), type=SimilarPage).count == 2


async def test_visitors_share_an_answer_and_whoever_signs_in_has_their_own(world: World) -> None:
    await franchise(world)
    path, viewer = f"{API}/similar/{world.ids['Seed']}", await person(world.site)
    async with world.site.client.get(path) as answer:
        etag = answer.headers["ETag"]
        assert answer.headers["Cache-Control"].startswith("public, max-age=60")
    with queries_seen() as names:
        async with world.site.client.get(path, headers={"If-None-Match": etag}) as answer:
            assert answer.status == 304
    assert not {"seed", "similar_page"} & set(names)
    async with world.site.client.get(path, headers=viewer.headers) as answer:
        assert answer.headers["Cache-Control"] == "private, no-cache"
        mine = answer.headers["ETag"]
    async with world.site.client.get(path, headers=viewer.headers | {"If-None-Match": mine}) as answer:
        assert answer.status == 304


async def test_stored_ones_take_one_statement(world: World) -> None:
    await franchise(world)
    progress = world.site.app[RECOMMENDING]
    before = progress.served["similar"]
    with queries_seen() as names:
        await world.get(f"/similar/{world.ids['Seed']}")
    asked: list[Any] = [name for name in names if name in ("seed", "similar_page", "frequencies", "candidates")]
    assert asked == ["similar_page"]
    assert progress.served["similar"] == before + 1
