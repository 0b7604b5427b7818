"""Batches: up to 500 edits, all or nothing, or each for itself; once, wherever they are interrupted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

import actors.works.edit as work
from actors.operations import Look
from actors.works.edit import BatchWork, EditWork
from server.cms import engine
from server.cms.edits import Edit, to_json
from server.errors import DatabaseUnavailable
from sql import operations
from tests.cms import Desk, desk, public, title
from tests.conftest import Server
from tests.http_fixture import ON_18, SHARED, problem, shared_site
from tests.people import make_user
from tests.running import Running
from tests.working import Bench, bench, execute, until


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with shared_site(server, tmp_path_factory.mktemp("site")) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def editor(site: Running) -> Desk:
    return await desk(site)


# Nobody rests before the next attempt.
AT_ONCE = "update operations set leased_until = now() - interval '1 second' where status = 'queued'"


def post(name: str, **more: Any) -> dict[str, Any]:
    return {"method": "POST", "path": "/admin/releases", "body": {"title": name, **more}}


def employ(desk: Bench, drop: Any) -> None:
    """Give the actor of this bench the works of the CMS."""
    actor: Any = desk.supervisor.actor
    actor._works |= {one.kind: one for one in (EditWork(desk.database, drop), BatchWork(desk.database, drop))}


class TestOverHttp:
    """What clients see."""

    pytestmark = SHARED

    async def test_a_batch_of_five_hundred_is_made_and_tells_the_fate_of_each(self, editor: Desk) -> None:
        names = [title() for _ in range(500)]
        found = await editor.ask("POST", "/batch", {"operations": [post(name, genres=["Batched"]) for name in names]})
        assert (found["status"], found["percent"], found["errors"]) == ("succeeded", 100, [])
        assert found["progress"] == {"done": 500, "total": 500}
        ids = [one["id"] for one in found["result"]["results"]]
        assert len(set(ids)) == 500
        assert (await editor.read(f"/releases/{ids[17]}"))[0]["title"] == names[17]
        assert (await public(editor.site, "/releases?genre=batched"))[1]["count"] == 500

    async def test_edits_of_all_kinds_follow_one_another(self, editor: Desk) -> None:
        name = title()
        made = await editor.done("POST", "/releases", {"title": name})
        path = f"/admin/releases/{made['id']}"
        _, etag = await editor.read(f"/releases/{made['id']}")
        rows = [
            {"method": "PATCH", "path": path, "body": {"title": "First"}, "if_match": etag},
            {"method": "POST", "path": "/api/v1/admin/episodes", "body": {"release_id": made["id"], "ordinal": 1}},
            {"method": "PUT", "path": f"/api/v1{path}/", "body": {"title": "Second", "year": 2001}},
            {"method": "DELETE", "path": path},
            {"method": "POST", "path": f"{path}/restore"},
            {"method": "POST", "path": "/admin/tags", "body": {"name": title("Tag")}},
        ]
        results = (await editor.done("POST", "/batch", {"operations": rows}))["results"]
        assert [one["noun"] for one in results] == ["release", "episode", "release", "release", "release", "tag"]
        written, _ = await editor.read(f"/releases/{made['id']}")
        assert (written["title"], written["year"], written["deleted_at"]) == ("Second", 2001, None)

    async def test_all_that_is_wrong_with_a_batch_is_told_at_once_and_nothing_is_done(self, editor: Desk) -> None:
        name = title()
        rows = [
            post(name), post("", year=1), {"method": "POST", "path": "/admin/users", "body": {}},
            {"method": "PUT", "path": "/admin/releases", "body": {"title": "x"}},
            {"method": "POST", "path": "/admin/genres/3", "body": {"name": "x"}},
            {"method": "DELETE", "path": "/admin/releases/3", "body": {"title": "x"}},
            {"method": "PATCH", "path": "/admin/releases/3"},
            {"method": "DELETE", "path": "/admin/releases/3/restore"},
        ]  # fmt: skip
        async with editor.request("POST", "/batch", json={"operations": rows}) as answer:
            found = await problem(answer, 422)
        assert {fault["pointer"].removeprefix("/operations/") for fault in found["errors"]} == {
            "1/body/title", "1/body/year", "2/path", "3/path", "4/path", "5/body", "6/body", "7/path",
        }  # fmt: skip
        assert await editor.listed(f"/releases?q={name}") == []

    @pytest.mark.parametrize("rows", [[], [post("x")] * 501])
    async def test_a_batch_holds_one_to_five_hundred(self, editor: Desk, rows: list[Any]) -> None:
        async with editor.request("POST", "/batch", json={"operations": rows}) as answer:
            await problem(answer, 422)

    async def test_a_batch_that_cannot_be_made_is_refused_at_once_as_a_whole(self, editor: Desk) -> None:
        name = title()
        rows = [post(name), {"method": "DELETE", "path": "/admin/releases/987654321"}]
        async with editor.request("POST", "/batch", json={"operations": rows}) as answer:
            found = await problem(answer, 404)
        assert [fault["pointer"] for fault in found["errors"]] == ["/operations/1"]
        rows.append({"method": "DELETE", "path": "/admin/releases/3", "if_match": '"old"'})
        async with editor.request("POST", "/batch", json={"operations": rows}) as answer:
            found = await problem(answer, 409)
        assert [fault["pointer"] for fault in found["errors"]] == ["/operations/1", "/operations/2"]
        assert await editor.listed(f"/releases?q={name}") == []

    async def test_without_atomic_what_can_be_done_is_done(self, editor: Desk) -> None:
        names = [title() for _ in range(120)]
        rows = [post(name) for name in names]
        rows[7] = {"method": "DELETE", "path": "/admin/releases/987654321"}
        rows[60] = {"method": "PATCH", "path": "/admin/releases/3", "body": {"year": 2020}, "if_match": '"old"'}
        found = await editor.ask("POST", "/batch", {"operations": rows, "atomic": False})
        assert found["status"] == "succeeded"
        assert [(one["row"], one["code"]) for one in found["errors"]] == [(7, "not_found"), (60, "precondition_failed")]
        results = found["result"]["results"]
        assert (len(results), found["result"]["refused"]) == (120, 2)
        assert [index for index, one in enumerate(results) if one is None] == [7, 60]
        assert (await editor.read(f"/releases/{results[119]['id']}"))[0]["title"] == names[119]

    async def test_if_match_is_about_the_state_right_before_the_edit_whatever_becomes_of_the_others(
        self, editor: Desk
    ) -> None:
        for others in ([], [{"method": "DELETE", "path": "/admin/releases/987654321"}]):
            made = await editor.done("POST", "/releases", {"title": title()})
            path = f"/admin/releases/{made['id']}"
            _, etag = await editor.read(f"/releases/{made['id']}")
            rows = [
                {"method": "PATCH", "path": path, "body": {"title": "First"}, "if_match": etag},
                {"method": "PATCH", "path": path, "body": {"title": "Second"}, "if_match": etag},
                *others,
            ]
            found = await editor.ask("POST", "/batch", {"operations": rows, "atomic": False})
            assert (found["errors"][0]["row"], found["errors"][0]["code"]) == (1, "precondition_failed")
            assert (await editor.read(f"/releases/{made['id']}"))[0]["title"] == "First"

    async def test_each_fault_of_each_edit_is_told_with_its_place(self, editor: Desk) -> None:
        rows = [post(title()), *(post(" ", tags=[" "]) for _ in range(120))]
        found = await editor.ask("POST", "/batch", {"operations": rows, "atomic": False})
        assert found["result"]["refused"] == 120
        said = [(one["row"], one["field"], one["code"]) for one in found["errors"]]
        fields = ("/title", "/tags")
        assert said == [(row, field, "unprocessable") for row in range(1, 121) for field in fields]
        assert all(one["detail"] for one in found["errors"])


class TestInterrupted:
    """What an attempt committed is never done again."""

    pytestmark = ON_18

    @staticmethod
    async def queue(desk: Bench, user: int, kind: str, edits: list[Edit], *, atomic: bool = True) -> UUID:
        async with desk.database.transaction() as conn:
            numbered = await engine.reserve(conn, edits)
            asked = {"edits": to_json(numbered), "atomic": atomic, "origin": "cms", "undoes": None}
            entities = {one.entity for one in numbered}
            return (await operations.create(conn, user, kind, asked, entities=entities, shared=True)).id

    @pytest.mark.parametrize("atomic", [True, False])
    async def test_a_batch_cut_off_behind_its_effect_goes_on_and_doubles_nothing(
        self, dsn: str, tmp_path: Path, atomic: bool
    ) -> None:
        user = await make_user(dsn, role="admin")
        edits = [Edit("release", "create", None, {"title": f"Release {n}", "genres": ["Old"]}) for n in range(120)]
        dropped: list[set[str]] = []
        cuts = 3

        def drop(tags: Any) -> None:
            # Called right behind the commit of an effect.
            nonlocal cuts
            dropped.append(set(tags))
            if cuts:
                cuts -= 1
                raise DatabaseUnavailable("The process is gone.")

        async with bench(dsn, tmp_path) as desk:
            employ(desk, drop)
            one = await self.queue(desk, user, "batch", edits, atomic=atomic)

            async def over() -> bool:
                await execute(dsn, AT_ONCE)
                desk.supervisor.ref.tell(Look())
                return (await desk.row(one))["status"] == "succeeded"

            await until(over, 20)
            row = await desk.row(one)
        assert row["attempts"] == 4
        assert len({result["id"] for result in row["result"]["results"]}) == 120
        assert await execute(dsn, "select count(*) from releases") == 120
        assert await execute(dsn, "select count(*) from revisions where noun = 'release'") == 120
        assert "releases" in dropped[-1] | dropped[-2]

    async def test_a_rename_cut_off_between_two_slices_reaches_every_release(
        self, dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        user = await make_user(dsn, role="admin")
        monkeypatch.setattr(work, "SLICE", 10)
        slices: list[int] = []
        real = work.rebuild.slice

        async def counted(*given: Any) -> Any:
            slices.append(given[3])
            if len(slices) == 3:
                raise DatabaseUnavailable("The process is gone.")
            return await real(*given)

        monkeypatch.setattr(work.rebuild, "slice", counted)
        async with bench(dsn, tmp_path) as desk:
            employ(desk, lambda _: None)
            edits = [Edit("release", "create", None, {"title": f"Release {n}", "genres": ["Old"]}) for n in range(35)]
            await desk.ended(await self.queue(desk, user, "batch", edits))
            genre = await execute(dsn, "select id from genres")
            one = await self.queue(desk, user, "edit", [Edit("genre", "update", genre, {"name": "New"})])

            async def over() -> bool:
                await execute(dsn, AT_ONCE)
                desk.supervisor.ref.tell(Look())
                # Whoever cancels it now comes too late: half of it would be the old name.
                async with desk.database.connection() as conn:
                    if len(slices) == 3:
                        await operations.cancel(conn, None, one)
                return (await desk.row(one))["status"] not in ("queued", "running")

            await until(over, 20)
            assert (await desk.row(one))["status"] == "succeeded"
        assert slices[2] == slices[3] > slices[1] > 0
        stale = "select count(*) from release_documents where document not like '%\"New\"%'"
        assert await execute(dsn, stale) == 0
        assert await execute(dsn, "select count(*) from revisions where noun = 'genre' and action = 'updated'") == 1

    async def test_an_edit_whose_effect_is_there_does_not_fail_however_often_its_end_does(
        self, dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        user = await make_user(dsn, role="admin")
        real = work.rebuild.slice
        failures = 0

        async def failing(*given: Any) -> Any:
            nonlocal failures
            if failures < 13:
                failures += 1
                raise (ValueError("inner text"), DatabaseUnavailable("Gone."), TimeoutError)[failures % 3]
            return await real(*given)

        monkeypatch.setattr(work.rebuild, "slice", failing)
        async with bench(dsn, tmp_path) as desk:
            employ(desk, lambda _: None)
            await desk.ended(
                await self.queue(
                    desk, user, "edit", [Edit("release", "create", None, {"title": "A", "genres": ["Old"]})]
                )
            )
            genre = await execute(dsn, "select id from genres")
            one = await self.queue(desk, user, "edit", [Edit("genre", "update", genre, {"name": "New"})])

            async def over() -> bool:
                await execute(dsn, AT_ONCE)
                desk.supervisor.ref.tell(Look())
                return (await desk.row(one))["status"] not in ("queued", "running")

            await until(over, 20)
            assert (await desk.row(one))["status"] == "succeeded"
        assert failures == 13
        assert await execute(dsn, "select count(*) from release_documents where document like '%\"New\"%'") == 1
        assert await execute(dsn, "select count(*) from revisions where noun = 'genre' and action = 'updated'") == 1

    @pytest.mark.parametrize("error", [ValueError("inner text"), DatabaseUnavailable("Gone.")])
    async def test_what_a_batch_has_done_is_followed_up_before_it_fails(
        self, dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
    ) -> None:
        user = await make_user(dsn, role="admin")
        monkeypatch.setattr(work, "PORTION", 2)
        real = work.in_part

        async def failing(conn: Any, edits: list[Edit], by: Any) -> Any:
            if any(one.body == {"title": "Never"} for one in edits):
                raise error
            return await real(conn, edits, by)

        monkeypatch.setattr(work, "in_part", failing)
        async with bench(dsn, tmp_path) as desk:
            employ(desk, lambda _: None)
            await desk.ended(
                await self.queue(
                    desk, user, "edit", [Edit("release", "create", None, {"title": "A", "genres": ["Old"]})]
                )
            )
            genre = await execute(dsn, "select id from genres")
            edits = [
                Edit("genre", "update", genre, {"name": "New"}),
                *(Edit("release", "create", None, {"title": name}) for name in ("B", "Never", "C")),
            ]
            one = await self.queue(desk, user, "batch", edits, atomic=False)

            async def over() -> bool:
                await execute(dsn, AT_ONCE)
                desk.supervisor.ref.tell(Look())
                return (await desk.row(one))["status"] not in ("queued", "running")

            await until(over, 20)
            row = await desk.row(one)
        assert (row["status"], len(row["result"]["results"])) == ("failed", 2)
        assert "inner text" not in str(row["errors"])
        assert await execute(dsn, "select count(*) from release_documents where document like '%\"New\"%'") == 1
        assert await execute(dsn, "select count(*) from releases") == 2
