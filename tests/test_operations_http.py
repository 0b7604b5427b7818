"""Operations as their owners see them, and as nobody else does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest
import pytest_asyncio
from aiohttp import web

import server.app as server_app
import server.crew as server_crew
from server.http.accepted import accepted, waited
from server.http.guard import user_id
from server.http.idempotency import once
from server.http.route import Route
from server.keys import DATABASE, FILES
from server.schemas.operations import Operation, OperationPage
from sql import operations
from tests.conftest import Server
from tests.http_fixture import SHARED, problem, shared_site
from tests.people import Person, person
from tests.running import Running
from tests.working import Hold, Write, execute, until

pytestmark = SHARED
PATH = "/api/v1/operations"


async def begin(request: web.Request) -> web.StreamResponse:
    """POST /api/v1/test/work/{kind}: what a handler of long work looks like."""
    body = await request.read()

    async def effect(conn: Any) -> Any:
        made = await operations.create(conn, user_id(request), request.match_info["kind"], {"rows": 3})
        return await accepted(request, conn, made)

    return await waited(request, await once(request, body, effect))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def holds() -> list[Hold]:
    return [Hold()]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory, holds: list[Hold]) -> AsyncIterator[Running]:
    patch = pytest.MonkeyPatch()
    route = Route(
        method="POST", path="/api/v1/test/work/{kind}", handler=begin, summary="", tag="", access="user", status=202
    )
    rows = server_app.table()
    patch.setattr(server_crew, "_works", lambda *_: [Write(), holds[0]])
    patch.setattr(server_app, "table", lambda: (*rows, route))
    async with shared_site(server, tmp_path_factory.mktemp("site")) as started:
        yield started
    patch.undo()


async def start(site: Running, who: Person, kind: str, **headers: str) -> dict[str, Any]:
    async with site.client.post(f"/api/v1/test/work/{kind}", headers=who.headers | headers) as answer:
        assert answer.status == 202, await answer.text()
        body = await answer.json()
        assert answer.headers["Location"] == f"{PATH}/{body['id']}"
        return dict(body)


async def read(site: Running, who: Person, operation_id: str) -> dict[str, Any]:
    async with site.client.get(f"{PATH}/{operation_id}", headers=who.headers) as answer:
        assert answer.status == 200
        assert answer.headers["Cache-Control"] == "private, no-store"
        body = await answer.read()
        msgspec.json.decode(body, type=Operation)
        return dict(msgspec.json.decode(body))


async def test_whoever_prefers_to_wait_sees_the_end(site: Running) -> None:
    who = await person(site)
    done = await start(site, who, "write", Prefer="respond-async, wait=9")
    assert (done["status"], done["progress"], done["result"]) == ("succeeded", {"done": 3, "total": 3}, {"lines": 3})
    assert done["download"] == f"{PATH}/{done['id']}/download"
    assert await read(site, who, done["id"]) == done


async def test_waiting_ends_with_the_wait_and_holds_no_connection(site: Running, holds: list[Hold]) -> None:
    who = await person(site)
    waiting = asyncio.gather(*(start(site, who, "hold", Prefer="wait=1") for _ in range(8)))

    async def some_wait() -> bool:
        return len(holds[0].begun) >= 2

    async def nobody_holds_one() -> bool:
        # Actors take one now and then; eight requests that held theirs would leave no such moment.
        return site.app[DATABASE].in_use == 0

    await until(some_wait)
    await until(nobody_holds_one)
    assert {one["status"] for one in await waiting} == {"running", "queued"}
    holds[0].go.set()
    for one in await waiting:

        async def over(operation_id: str = one["id"]) -> bool:
            return (await read(site, who, operation_id))["status"] == "succeeded"

        await until(over)
    holds[0].go.clear()


async def test_a_key_sent_twice_begins_one_operation(site: Running) -> None:
    who = await person(site)
    made = [await start(site, who, "write", **{"Idempotency-Key": "twice", "Prefer": "wait=5"}) for _ in range(2)]
    assert made[0] == made[1]
    async with site.client.get(PATH, headers=who.headers) as answer:
        assert (await answer.json())["count"] == 1


async def test_the_list_is_mine_paged_and_newest_first(site: Running) -> None:
    who, other = await person(site), await person(site)
    made = [(await start(site, who, "write", Prefer="wait=5"))["id"] for _ in range(3)]
    await start(site, other, "write")
    async with site.client.get(f"{PATH}?limit=2", headers=who.headers) as answer:
        body = await answer.read()
        page = msgspec.json.decode(body, type=OperationPage)
        assert (page.count, page.next, page.previous) == (3, f"{PATH}?limit=2&page=2", None)
        assert [str(one.id) for one in page.results] == [made[2], made[1]]
    async with site.client.get(f"{PATH}?limit=2&page=2", headers=who.headers) as answer:
        rest = await answer.json()
        assert [one["id"] for one in rest["results"]] == [made[0]]
        assert rest["previous"] == f"{PATH}?limit=2&page=1"
    async with site.client.get(f"{PATH}?limit=101", headers=who.headers) as answer:
        await problem(answer, 422)


async def test_what_is_not_mine_is_not_there(site: Running) -> None:
    who, other = await person(site), await person(site)
    made = (await start(site, who, "write", Prefer="wait=5"))["id"]
    for operation_id in (made, str(uuid4()), "5", "-" * 36):
        for method, tail in (("GET", ""), ("GET", "/download"), ("POST", "/cancel")):
            async with site.client.request(method, f"{PATH}/{operation_id}{tail}", headers=other.headers) as answer:
                await problem(answer, 404)
    for method, tail in (("GET", ""), ("GET", f"/{made}"), ("GET", f"/{made}/download"), ("POST", f"/{made}/cancel")):
        async with site.client.request(method, PATH + tail) as answer:
            await problem(answer, 401)


async def test_a_file_is_downloaded_whole_or_in_part(site: Running) -> None:
    who = await person(site)
    made = await start(site, who, "write", Prefer="wait=5")
    async with site.client.get(made["download"], headers=who.headers) as answer:
        assert (answer.status, await answer.text()) == (200, "a line\n" * 3)
        assert answer.headers["Cache-Control"] == "private, no-store"
        day = made["created_at"][:10]
        assert answer.headers["Content-Disposition"] == f'attachment; filename="yojohan-write-{day}.txt"'
        assert (answer.headers["Content-Type"], answer.headers["X-Content-Type-Options"]) == ("text/plain", "nosniff")
    async with site.client.get(made["download"], headers=who.headers | {"Range": "bytes=2-5"}) as answer:
        assert (answer.status, await answer.text()) == (206, "line")
    async with site.client.get(made["download"], headers=who.headers | {"Range": "bytes=900-"}) as answer:
        assert answer.status == 416
    async with site.client.head(made["download"], headers=who.headers) as answer:
        assert (answer.status, answer.headers["Content-Length"]) == (200, "21")


async def test_a_file_that_is_gone_is_not_found(site: Running) -> None:
    who = await person(site)
    made = await start(site, who, "write", Prefer="wait=5")
    name = await execute(site.app[DATABASE].dsn, f"select file from operations where id = '{made['id']}'")
    site.app[FILES].path(name).unlink()
    async with site.client.get(made["download"], headers=who.headers) as answer:
        await problem(answer, 404)


@pytest.mark.parametrize(
    "name",
    ["../secret", "exports/../../secret", "/etc/hostname", "exports/..", "exports/", "exports/link", "postgres/x"],
)
async def test_no_name_leads_out_of_the_folders(site: Running, tmp_path: Path, name: str) -> None:
    who = await person(site)
    made = await start(site, who, "write", Prefer="wait=5")
    root = site.app[FILES].path("exports/x").parent
    (root.parent / "secret").write_text("secret")
    (tmp_path / "outside").write_text("secret")
    if name == "exports/link":
        (root / "link").symlink_to(tmp_path / "outside")
    await execute(site.app[DATABASE].dsn, f"update operations set file = $1 where id = '{made['id']}'", name)
    async with site.client.get(made["download"], headers=who.headers) as answer:
        await problem(answer, 404)


async def test_cancelling_ends_what_waits_stops_what_runs_and_leaves_what_is_over(
    site: Running, holds: list[Hold]
) -> None:
    who = await person(site)
    before = len(holds[0].begun)
    made = [(await start(site, who, "hold"))["id"] for _ in range(3)]

    async def two_run() -> bool:
        return len(holds[0].begun) == before + 2

    await until(two_run)
    answers = []
    for operation_id in reversed(made):
        async with site.client.post(f"{PATH}/{operation_id}/cancel", headers=who.headers) as answer:
            assert answer.status == 200
            answers.append((await answer.json())["status"])
    assert (answers[0], set(answers)) == ("cancelled", {"cancelled", "running"})
    for operation_id in made:

        async def over(operation_id: str = operation_id) -> bool:
            return (await read(site, who, operation_id))["status"] == "cancelled"

        await until(over)
    done = await start(site, who, "write", Prefer="wait=5")
    async with site.client.post(f"{PATH}/{done['id']}/cancel", headers=who.headers) as answer:
        assert (await answer.json())["status"] == "succeeded"


async def test_what_administrators_share_is_seen_by_whoever_began_it_only_while_they_are_one(site: Running) -> None:
    who = await person(site, role="admin")
    tokens = {}
    for scopes in (["read", "write"], ["read", "write", "admin"]):
        draft = {"name": "machine", "scopes": scopes}
        async with site.client.post("/api/v1/auth/tokens", json=draft, headers=who.headers) as answer:
            tokens[scopes[-1]] = {"Authorization": f"Bearer {(await answer.json())['token']}"}
    own = (await start(site, who, "write", Prefer="wait=5"))["id"]
    dsn = site.app[DATABASE].dsn
    shared = await execute(
        dsn, "insert into operations (user_id, kind, shared) values ($1, 'waits', true) returning id::text", who.id
    )

    async def asked(headers: dict[str, str]) -> tuple[list[str], list[int]]:
        async with site.client.get(PATH, headers=headers) as answer:
            page = await answer.json()
            assert page["count"] == len(page["results"])
        statuses = []
        for method, tail in (("GET", ""), ("POST", "/cancel")):
            async with site.client.request(method, f"{PATH}/{shared}{tail}", headers=headers) as answer:
                statuses.append(answer.status)
        return [one["id"] for one in page["results"]], statuses

    assert await asked(tokens["write"]) == ([own], [404, 404])
    state = "select status || case when stopping then ' stopping' else '' end from operations where id::text = $1"
    assert await execute(dsn, state, shared) == "queued"
    for headers in (who.headers, tokens["admin"]):
        assert await asked(headers) == ([shared, own], [200, 200])
    assert await execute(dsn, state, shared) == "cancelled stopping"
