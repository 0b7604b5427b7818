"""Lists, ratings, progress and history over HTTP: what is answered, what is refused; one reads one's own writes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
import pytest_asyncio

from server.database import connect
from server.keys import DATABASE
from server.schemas.library import (
    CollectedPage,
    ContinuePage,
    EpisodeState,
    FavoritePage,
    HistoryPage,
    IgnoredPage,
    LibraryChanged,
    ProgressPage,
    RatedPage,
)
from tests.catalogue_seed import exactly
from tests.conftest import Server
from tests.http_fixture import SHARED, check_problem, queries_seen, shared_site
from tests.people import Person, person
from tests.running import Running
from tests.working import until

pytestmark = SHARED
ME = "/api/v1/profile"
COUNTS = {"planned": 0, "watching": 0, "completed": 0, "postponed": 0, "dropped": 0}


class Client:
    """Somebody with a library."""

    def __init__(self, site: Running, who: Person, episodes: dict[int, list[int]]) -> None:
        self.site, self.who, self.episodes = site, who, episodes

    async def ask(self, method: str, path: str, status: int, body: Any = None, **headers: str) -> Any:
        data = body if body is None or isinstance(body, bytes) else json.dumps(body)
        sent = self.who.headers | ({} if body is None else {"Content-Type": "application/json"}) | headers
        target = path if path.startswith("/api") else ME + path
        async with self.site.client.request(method, target, data=data, headers=sent) as answer:
            text = await answer.read()
            assert answer.status == status, text
            assert answer.headers["Cache-Control"] in ("private, no-store", "no-store")
            self.revision = int(answer.headers.get("X-Revision", "-1"))
            if status >= 400:
                return check_problem(status, answer.headers, text)
            return text

    async def get(self, path: str, kind: Any) -> Any:
        return exactly(kind, await self.ask("GET", path, 200))

    async def put(self, path: str, body: Any = None) -> int:
        assert await self.ask("PUT", path, 204, body) == b""
        return self.revision

    async def delete(self, path: str) -> int:
        assert await self.ask("DELETE", path, 204) == b""
        return self.revision

    async def many(self, method: str, path: str, body: Any) -> Any:
        return exactly(LibraryChanged, await self.ask(method, path, 200, body))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with shared_site(server, tmp_path_factory.mktemp("library")) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def episodes(site: Running) -> dict[int, list[int]]:
    conn = await connect(site.app[DATABASE].dsn)
    found: dict[int, list[int]] = {}
    for row in await conn.fetch("select id, release_id from episodes where deleted_at is null order by ordinal"):
        found.setdefault(row["release_id"], []).append(row["id"])
    await conn.execute("update releases set status = 'finished' where id in (3, 6, 9)")
    await conn.close()
    return found


@pytest_asyncio.fixture(loop_scope="module")
async def me(site: Running, episodes: dict[int, list[int]]) -> Client:
    return Client(site, await person(site), episodes)


async def test_favourites_are_put_listed_and_deleted(me: Client) -> None:
    assert [await me.put(f"/favorites/{one}") for one in (3, 6, 3)] == [1, 2, 2]
    page = await me.get("/favorites", FavoritePage)
    assert (page["count"], page["next"], page["previous"]) == (2, None, None)
    assert [row["release"]["id"] for row in page["results"]] == [6, 3]
    assert page["results"][0]["release"]["title"] == "Release 2"
    assert [await me.delete(f"/favorites/{one}") for one in (3, 3, 999)] == [3, 3, 3]
    assert [row["release"]["id"] for row in (await me.get("/favorites", FavoritePage))["results"]] == [6]


async def test_lists_are_paged_and_their_links_carry_the_filter(me: Client) -> None:
    await me.many("PUT", "/collections/planned", [3, 6, 9, 12])
    await me.many("PUT", "/collections/dropped", [15])
    first = await me.get("/collections?collection=planned&limit=3", CollectedPage)
    assert first["next"] == f"{ME}/collections?collection=planned&limit=3&page=2"
    assert (first["count"], first["counts"]) == (4, COUNTS | {"planned": 4, "dropped": 1})
    second = await me.get(first["next"], CollectedPage)
    assert (second["previous"], second["next"]) == (f"{ME}/collections?collection=planned&limit=3&page=1", None)
    shown = [(row["release"]["id"], row["collection"]) for page in (first, second) for row in page["results"]]
    assert sorted(shown) == [(3, "planned"), (6, "planned"), (9, "planned"), (12, "planned")]
    assert (await me.get("/collections", CollectedPage))["count"] == 5


async def test_a_release_is_in_one_collection_and_leaves_only_that(me: Client) -> None:
    assert await me.put("/collections/planned/3") == 1
    assert await me.put("/collections/watching/3") == 2
    assert await me.delete("/collections/planned/3") == 2
    assert (await me.get("/collections", CollectedPage))["counts"] == COUNTS | {"watching": 1}
    assert await me.many("DELETE", "/collections/planned", [3]) == {"changed": 0, "revision": 2, "rejected": []}
    assert await me.delete("/collections/watching/3") == 3
    assert (await me.get("/collections", CollectedPage))["results"] == []
    await me.ask("PUT", "/collections/favourite/3", 404)


async def test_ratings_and_ignores_are_kept_and_taken_back(me: Client) -> None:
    await me.put("/ratings/3", {"rating": 7})
    await me.put("/ratings/3", {"rating": 9})
    await me.put("/ignores/6")
    rated, ignored = await me.get("/ratings", RatedPage), await me.get("/ignores", IgnoredPage)
    assert [(row["release"]["id"], row["rating"]) for row in rated["results"]] == [(3, 9)]
    assert [row["release"]["id"] for row in ignored["results"]] == [6]
    assert [await me.delete("/ratings/3"), await me.delete("/ignores/6"), await me.delete("/ignores/6")] == [4, 5, 5]
    assert (await me.get("/ratings", RatedPage))["count"] == (await me.get("/ignores", IgnoredPage))["count"] == 0


async def test_many_changes_at_once_say_which_were_not_possible(me: Client) -> None:
    detail = "There is no such release."
    found = await me.many("PUT", "/favorites", [3, 4, 6, 999, 3])
    rejected = [{"index": 1, "detail": detail}, {"index": 3, "detail": detail}]
    assert found == {"changed": 2, "revision": 1, "rejected": rejected}
    assert await me.many("PUT", "/favorites", []) == {"changed": 0, "revision": 1, "rejected": []}
    ratings = [{"release_id": 3, "rating": 1}, {"release_id": 4, "rating": 2}, {"release_id": 3, "rating": 10}]
    found = await me.many("PUT", "/ratings", ratings)
    assert found == {"changed": 1, "revision": 2, "rejected": [{"index": 1, "detail": detail}]}
    assert await me.many("DELETE", "/favorites", [3, 4]) == {"changed": 1, "revision": 3, "rejected": []}
    made = [{"episode_id": me.episodes[3][0], "position_seconds": 9}, {"episode_id": 99999, "position_seconds": 9}]
    found = await me.many("PUT", "/progress", made)
    assert found == {"changed": 1, "revision": 4, "rejected": [{"index": 1, "detail": "There is no such episode."}]}


@pytest.mark.parametrize(
    ("path", "row"),
    [
        ("/favorites", 3), ("/collections/planned", 3), ("/ratings", {"release_id": 3, "rating": 5}),
        ("/progress", {"episode_id": 1, "position_seconds": 5}),
    ],
    ids=lambda value: str(value)[:12],
)  # fmt: skip
async def test_five_hundred_at_once_are_taken_and_one_more_is_not(me: Client, path: str, row: Any) -> None:
    assert (await me.many("PUT", path, [row] * 500))["changed"] <= 1
    assert (await me.ask("PUT", path, 422, [row] * 501))["errors"][0]["pointer"] == ""
    if isinstance(row, int):
        await me.many("DELETE", path, [row] * 500)
        await me.ask("DELETE", path, 422, [row] * 501)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/ratings/3", {"rating": 0}, 422), ("/ratings/3", {"rating": 11}, 422), ("/ratings/3", {"rating": 7.5}, 422),
        ("/ratings/3", {"rating": "7"}, 422), ("/ratings/3", {"rating": True}, 422), ("/ratings/3", {}, 422),
        ("/ratings/3", {"rating": 7, "note": ""}, 422), ("/ratings/3", b"", 400), ("/ratings/3", b"{", 400),
        ("/ratings/3", [7], 422), ("/ratings/999", {"rating": 7}, 404), ("/ratings/4", {"rating": 7}, 404),
        ("/favorites", [0], 422), ("/favorites", [-3], 422), ("/favorites", [2**63], 422), ("/favorites", ["3"], 422),
        ("/favorites", {"release_id": 3}, 422), ("/favorites", [None], 422), ("/favorites", [3.5], 422),
        ("/favorites", b"[" * 5000, 400), ("/favorites", b'["\xff"]', 400), ("/favorites", b'["\\ud800"]', 400),
        ("/favorites/0", None, 404), ("/favorites/x", None, 404), ("/favorites/9223372036854775808", None, 404),
        ("/favorites/99999999999999999999", None, 404), ("/favorites/%00", None, 404), ("/favorites/-1", None, 404),
        ("/collections/planned/999", None, 404), ("/collections/%00/3", None, 404), ("/ignores/999", None, 404),
        ("/progress/1", {"position_seconds": -1}, 422), ("/progress/1", {"position_seconds": 864_001}, 422),
        ("/progress/1", {"completed": True}, 422), ("/progress/1", {"position_seconds": 1, "completed": 1}, 422),
        ("/progress/999999", {"position_seconds": 1}, 404), ("/progress/0", {"position_seconds": 1}, 404),
        ("/progress", [{"episode_id": 1}], 422), ("/progress", [{"position_seconds": 1}], 422),
        ("/progress", [{"episode_id": 1, "position_seconds": 1, "restart": True}], 422),
    ],
    ids=str,
)  # fmt: skip
async def test_what_makes_no_sense_is_refused_and_changes_nothing(
    me: Client, path: str, body: Any, status: int
) -> None:
    await me.ask("PUT", path, status, body)
    assert await me.delete("/favorites/999") == 0


@pytest.mark.parametrize(
    "path",
    [
        "/favorites?limit=101", "/favorites?limit=0", "/favorites?page=0", "/favorites?page=102&limit=100",
        "/favorites?cursor=x", "/collections?collection=liked", "/progress?release_id=0", "/progress?release_id=x",
        "/progress?release_id=9223372036854775808", "/history?cursor=%00", "/history?cursor=W10", "/history?limit=101",
        "/continue?limit=101",
    ],
)  # fmt: skip
async def test_parameters_that_make_no_sense_are_refused(me: Client, path: str) -> None:
    assert (await me.ask("GET", path, 422))["errors"]


async def test_progress_is_put_read_and_deleted(me: Client) -> None:
    (first, second, *_), (other, *_) = me.episodes[3], me.episodes[6]
    assert await me.put(f"/progress/{first}", {"position_seconds": 300}) == 1
    assert await me.put(f"/progress/{first}", {"position_seconds": 300, "completed": False}) == 1
    await me.put(f"/progress/{second}", {"position_seconds": 1400, "completed": True})
    await me.put(f"/progress/{other}", {"position_seconds": 1})
    one = await me.get(f"/progress/{first}", EpisodeState)
    assert {name: one[name] for name in ("episode_id", "release_id", "position_seconds", "completed")} == {
        "episode_id": first, "release_id": 3, "position_seconds": 300, "completed": False,
    }  # fmt: skip
    page = await me.get("/progress", ProgressPage)
    assert (page["count"], [row["episode_id"] for row in page["results"]]) == (3, [other, second, first])
    page = await me.get("/progress?release_id=3&limit=1", ProgressPage)
    assert (page["count"], page["next"]) == (2, f"{ME}/progress?release_id=3&limit=1&page=2")
    assert [await me.delete(f"/progress/{first}"), await me.delete(f"/progress/{first}")] == [4, 4]
    await me.ask("GET", f"/progress/{first}", 404)
    assert (await me.get("/progress?release_id=3", ProgressPage))["count"] == 1


async def test_the_last_episode_moves_the_release_to_completed_at_once(me: Client) -> None:
    *_, last = me.episodes[3]
    await me.put("/collections/watching/3")
    await me.put(f"/progress/{last}", {"position_seconds": 1400, "completed": True})
    assert (await me.get("/collections", CollectedPage))["counts"] == COUNTS | {"completed": 1}
    assert (await me.get("/continue", ContinuePage))["results"] == []


async def test_what_to_go_on_with_follows_what_is_watched(me: Client) -> None:
    (first, second, *_), (other, *_) = me.episodes[3], me.episodes[6]
    await me.put(f"/progress/{first}", {"position_seconds": 1400, "completed": True})
    await me.put(f"/progress/{other}", {"position_seconds": 70})
    page = await me.get("/continue", ContinuePage)
    assert [(row["episode"]["id"], row["position_seconds"]) for row in page["results"]] == [(other, 70), (second, 0)]
    await me.put("/ignores/6")
    await me.put("/collections/dropped/3")
    assert (await me.get("/continue", ContinuePage))["results"] == []


async def test_the_history_is_read_by_cursor_and_stands_still_under_new_rows(me: Client) -> None:
    watched = [episode for release in (3, 6, 9) for episode in me.episodes[release][:2]]
    for episode in watched:
        await me.put(f"/progress/{episode}", {"position_seconds": 60})
    pages, following = [], "/history?limit=2"
    while following:
        pages.append(await me.get(following, HistoryPage))
        following = pages[-1]["next"]
        # Whatever comes newly is not on a later page, nor does it push anything there.
        await me.put(f"/progress/{me.episodes[12][len(pages)]}", {"position_seconds": len(pages)})
    assert [row["episode"]["id"] for page in pages for row in page["results"]] == watched[::-1]
    assert [page["count"] for page in pages] == [6, 7, 8]
    assert all(row["release"]["id"] == row["episode"]["release_id"] for page in pages for row in page["results"])
    assert (await me.get("/history", HistoryPage))["next"] is None


async def test_nobody_sees_or_changes_the_library_of_another(me: Client, site: Running) -> None:
    await me.put("/favorites/3")
    other = Client(site, await person(site), me.episodes)
    assert (await other.get("/favorites", FavoritePage))["count"] == 0
    assert await other.delete("/favorites/3") == 0
    assert (await me.get("/favorites", FavoritePage))["count"] == 1
    for method, path in (("GET", "/favorites"), ("PUT", "/favorites/3"), ("GET", "/history"), ("PUT", "/progress/1")):
        async with site.client.request(method, ME + path) as answer:
            assert answer.status == 401


READS = {
    "/favorites": 2, "/collections": 2, "/collections?collection=planned": 2, "/ratings": 2, "/ignores": 2,
    "/progress": 2, "/progress?release_id=3": 2, "/history": 2, "/continue": 1,
}  # fmt: skip


@pytest.mark.parametrize("path", READS)
async def test_a_list_takes_as_many_queries_however_long_it_is(me: Client, path: str) -> None:
    releases = [one for one in me.episodes if len(me.episodes[one]) >= 2]
    for count in (1, 12):
        ids = releases[:count]
        for target in ("/favorites", "/collections/planned"):
            await me.many("PUT", target, ids)
        await me.many("PUT", "/ratings", [{"release_id": one, "rating": 5} for one in ids])
        await me.many("PUT", "/progress", [{"episode_id": me.episodes[one][0], "position_seconds": 9} for one in ids])
        with queries_seen() as names:
            await me.ask("GET", path, 200)
        own = {"page", "count", "counts", "page_of_release", "count_of_release", "history", "count_history"}
        assert len([name for name in names if name in own | {"continue_with"}]) == READS[path]


async def test_a_write_is_seen_by_the_counters_of_the_release_before_long(me: Client, site: Running) -> None:
    conn = await connect(site.app[DATABASE].dsn)
    try:
        before = await conn.fetchval("select favorites from popularity_metrics where release_id = 90")
        await me.put("/favorites/90")
        await until(partial(has, conn, before + 1))
        await me.delete("/favorites/90")
        await until(partial(has, conn, before))
    finally:
        await conn.close()


async def has(conn: Any, favorites: int) -> bool:
    found: int = await conn.fetchval("select favorites from popularity_metrics where release_id = 90")
    return found == favorites
