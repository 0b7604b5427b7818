"""GET /admin/audit says who changed what; its undo takes that back, unless somebody went on from there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import msgspec
import pytest
import pytest_asyncio

from server.errors import Conflict
from server.keys import DATABASE
from server.rules.undo import inverse
from server.schemas.audit import RevisionPage
from sql import audit_log
from sql.audit_log import RevisionsWanted
from tests.cms import Desk, desk, public, title
from tests.conftest import Server
from tests.http_fixture import ON_18, problem, shared_site
from tests.outboxes import drain
from tests.people import person, sql
from tests.running import Running

pytestmark = pytest.mark.asyncio(loop_scope="module")
NOW = datetime(2026, 5, 1, tzinfo=UTC)
WRITABLE = {"title", "year", "is_published", "publish_at"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with shared_site(server, tmp_path_factory.mktemp("site")) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def editor(site: Running) -> Desk:
    return await desk(site)


async def revisions(editor: Desk, query: str) -> list[dict[str, Any]]:
    async with editor.request("GET", f"/audit?{query}") as answer:
        body = await answer.read()
        assert answer.status == 200, body
        msgspec.json.decode(body, type=RevisionPage)
        found: list[dict[str, Any]] = json.loads(body)["results"]
        return found


async def of(editor: Desk, noun: str, entity_id: int) -> list[dict[str, Any]]:
    return await revisions(editor, f"noun={noun}&entity_id={entity_id}&limit=100")


async def refused(editor: Desk, revision_id: int, status: int = 409) -> dict[str, Any]:
    async with editor.request("POST", f"/audit/{revision_id}/undo") as answer:
        return await problem(answer, status)


@ON_18
async def test_every_change_is_written_down_with_who_and_what(site: Running, editor: Desk) -> None:
    body = {"title": title(), "year": 2001}
    made = (await editor.done("POST", "/releases", body))["id"]
    operation = await editor.ask("PATCH", f"/releases/{made}", {"year": 2002, "title": body["title"]})
    await editor.done("DELETE", f"/releases/{made}")
    await editor.done("POST", f"/releases/{made}/restore")
    rows = await of(editor, "release", made)
    assert [row["action"] for row in rows] == ["restored", "deleted", "updated", "created"]
    assert [row["diff"] for row in rows] == [{}, {}, {"year": [2001, 2002]}, {}]
    assert {row["title"] for row in rows} == {body["title"]}
    assert all(row["actor"] == {"id": editor.who.id, "username": editor.who.username} for row in rows)
    assert rows[2]["operation_id"] == operation["id"]
    assert {row["origin"] for row in rows} == {"cms"}


@ON_18
async def test_revisions_are_found_by_each_filter_and_paged_by_cursor(site: Running) -> None:
    mine = await desk(site)
    made = [(await mine.done("POST", "/genres", {"name": title("Genre")}))["id"] for _ in range(5)]
    operation = await mine.ask("DELETE", f"/genres/{made[0]}")
    by_actor = f"actor_id={mine.who.id}"
    assert len(await revisions(mine, by_actor)) == 6
    assert [row["entity_id"] for row in await revisions(mine, f"{by_actor}&action=created")] == made[::-1]
    assert len(await revisions(mine, f"{by_actor}&noun=genre&entity_id={made[0]}")) == 2
    assert [row["action"] for row in await revisions(mine, f"operation_id={operation['id']}")] == ["deleted"]
    assert await revisions(mine, f"{by_actor}&origin=import") == []
    today = datetime.now(UTC).date()
    assert (
        len(await revisions(mine, f"{by_actor}&from={today - timedelta(days=1)}&to={today + timedelta(days=1)}")) == 6
    )
    assert await revisions(mine, f"{by_actor}&to={today - timedelta(days=2)}") == []
    following: str | None = f"/api/v1/admin/audit?{by_actor}&limit=4"
    seen = []
    while following is not None:
        async with site.client.get(following, headers=mine.who.headers) as answer:
            page = await answer.json()
        assert page["count"] == 6
        seen += [row["id"] for row in page["results"]]
        following = page["next"]
    assert (len(seen), sorted(seen, reverse=True)) == (6, seen)


@ON_18
@pytest.mark.parametrize("query", ["noun=star", "entity_id=0", "from=yesterday", "cursor=x", "operation_id=1"])
async def test_a_filter_that_means_nothing_is_refused(editor: Desk, query: str) -> None:
    async with editor.request("GET", f"/audit?{query}") as answer:
        await problem(answer, 422)


@ON_18
async def test_an_undo_sets_back_what_a_change_changed_and_nothing_else(site: Running, editor: Desk) -> None:
    body = {"title": title(), "year": 2001, "synopsis": "Before."}
    made = (await editor.done("POST", "/releases", body))["id"]
    await editor.done("PATCH", f"/releases/{made}", {"year": 2002, "genres": ["Undone"], "titles": {"en": "New"}})
    await editor.done("PATCH", f"/releases/{made}", {"synopsis": "After."})
    rows = await of(editor, "release", made)
    await editor.done("POST", f"/audit/{rows[1]['id']}/undo")
    written, _ = await editor.read(f"/releases/{made}")
    assert (written["year"], written["genres"], written["titles"], written["synopsis"]) == (2001, [], {}, "After.")
    assert (await public(site, f"/releases/{made}"))[1]["year"] == 2001
    newest, *_ = after = await of(editor, "release", made)
    assert (newest["origin"], newest["undoes"]) == ("undo", rows[1]["id"])
    assert next(row for row in after if row["id"] == rows[1]["id"])["undone_by"] == newest["id"]
    assert "already" in (await refused(editor, rows[1]["id"]))["detail"]
    # What undid it is a change like any other.
    await editor.done("POST", f"/audit/{newest['id']}/undo")
    assert (await editor.read(f"/releases/{made}"))[0]["year"] == 2002


@ON_18
async def test_making_deleting_and_restoring_are_undone_too(site: Running, editor: Desk) -> None:
    made = (await editor.done("POST", "/releases", {"title": title()}))["id"]
    for expected in (404, 200, 404):
        newest = (await of(editor, "release", made))[0]
        await editor.done("POST", f"/audit/{newest['id']}/undo")
        assert (await public(site, f"/releases/{made}"))[0] == expected
    assert [row["action"] for row in await of(editor, "release", made)] == ["deleted", "restored", "deleted", "created"]


@ON_18
@pytest.mark.parametrize("noun", ["episodes", "genres", "tags", "franchises"])
async def test_changes_of_other_nouns_are_undone(editor: Desk, noun: str) -> None:
    name = "title" if noun == "episodes" else "name"
    before, after = title("Before"), title("After")
    body: dict[str, Any] = {name: before}
    if noun == "episodes":
        body |= {"release_id": (await editor.done("POST", "/releases", {"title": title()}))["id"], "ordinal": 1}
    made = (await editor.done("POST", f"/{noun}", body))["id"]
    await editor.done("PATCH", f"/{noun}/{made}", {name: after})
    newest = (await of(editor, noun[:-1], made))[0]
    await editor.done("POST", f"/audit/{newest['id']}/undo")
    assert (await editor.read(f"/{noun}/{made}"))[0][name] == before


@ON_18
async def test_what_was_changed_since_is_not_set_back(editor: Desk) -> None:
    made = (await editor.done("POST", "/releases", {"title": title(), "year": 2001}))["id"]
    await editor.done("PATCH", f"/releases/{made}", {"year": 2002, "season": "spring"})
    await editor.done("PATCH", f"/releases/{made}", {"year": 2003})
    document = await refused(editor, (await of(editor, "release", made))[1]["id"])
    assert [fault["pointer"] for fault in document.get("errors", [])] in ([], ["/year"])
    assert "year" in document["detail"]
    assert "season" not in document["detail"]
    await editor.done("DELETE", f"/releases/{made}")
    assert "deleted" in (await refused(editor, (await of(editor, "release", made))[1]["id"]))["detail"]
    await refused(editor, 10**15, 404)


@ON_18
async def test_two_undos_of_one_change_at_once_set_it_back_once(editor: Desk) -> None:
    made = (await editor.done("POST", "/releases", {"title": title(), "year": 2001}))["id"]
    await editor.done("PATCH", f"/releases/{made}", {"year": 2002})
    newest = (await of(editor, "release", made))[0]["id"]

    async def undo() -> str:
        async with editor.request("POST", f"/audit/{newest}/undo", headers={"Prefer": "wait=9"}) as answer:
            return (await answer.json())["status"] if answer.status == 202 else "refused"

    outcomes = await asyncio.gather(undo(), undo())
    assert outcomes.count("succeeded") == 1, outcomes
    assert [row["origin"] for row in await of(editor, "release", made)] == ["undo", "cms", "cms"]


@ON_18
async def test_changes_of_accounts_are_listed_and_not_undone_here(site: Running, editor: Desk) -> None:
    who = await person(site)
    async with editor.request("PATCH", f"/users/{who.id}", json={"role": "moderator"}) as answer:
        assert answer.status == 200
    (row,) = await of(editor, "user", who.id)
    assert (row["title"], row["diff"]) == (who.username, {"role": ["user", "moderator"]})
    await refused(editor, row["id"])


@ON_18
async def test_an_erased_administrator_is_nobody_and_what_they_did_stays(site: Running, editor: Desk) -> None:
    other = await desk(site)
    made = (await other.done("POST", "/genres", {"name": title("Genre")}))["id"]
    async with other.request("PATCH", f"/users/{other.who.id}", json={"name": "Somebody"}) as answer:
        assert answer.status == 200
    async with site.client.delete("/api/v1/profile", headers=other.who.headers) as answer:
        assert answer.status == 204, await answer.text()
    await drain(site)
    (row,) = await of(editor, "genre", made)
    assert (row["actor"], row["action"]) == (None, "created")
    gone = "select count(*) from revisions where actor_id = $1 or (noun = 'user' and entity_id = $1)"
    assert await sql(site, gone, other.who.id) == 0


@ON_18
async def test_lists_of_many_revisions_follow_an_index(site: Running) -> None:
    conn = await asyncpg.connect(site.app[DATABASE].dsn)
    transaction = conn.transaction()
    await transaction.start()
    await conn.execute(
        """insert into revisions (noun, entity_id, action, origin, actor_id, operation_id)
           select case when n % 3 = 0 then 'release' else 'episode' end, n % 4000, 'updated', 'cms', n % 50,
                  md5((n / 100)::text)::uuid
           from generate_series(1, 40000) n"""
    )
    await conn.execute("analyze revisions")
    operation = await conn.fetchval("select operation_id from revisions where operation_id is not null limit 1")
    for wanted in (
        RevisionsWanted(),
        RevisionsWanted(noun="release", entity_id=33),
        RevisionsWanted(actor_id=7),
        RevisionsWanted(operation_id=operation),
        RevisionsWanted(origin="cms", action="updated"),
    ):
        text, values = audit_log.compose(wanted, 39_000, 21)
        plan = await conn.fetchval(f"explain (format json) {text}", *values)
        assert '"Relation Name": "revisions"' in plan
        scans = [node for node in nodes(json.loads(plan)[0]["Plan"]) if node.get("Relation Name") == "revisions"]
        assert all("Seq" not in node["Node Type"] for node in scans), plan
    await transaction.rollback()
    await conn.close()


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for inner in plan.get("Plans", ()) for node in nodes(inner))]


def current(**fields: Any) -> dict[str, Any]:
    return {"deleted_at": None, "title": "A", "year": 2, "is_published": True, "publish_at": None, **fields}


async def test_the_inverse_of_each_action() -> None:
    gone = current(deleted_at="2026-01-01T00:00:00.000Z")
    assert inverse("created", {}, current(), WRITABLE, NOW) == ("delete", None)
    assert inverse("restored", {}, current(), WRITABLE, NOW) == ("delete", None)
    assert inverse("deleted", {}, gone, WRITABLE, NOW) == ("restore", None)
    assert inverse("updated", {"year": [1, 2], "slug": ["a", "b"]}, current(), WRITABLE, NOW) == ("update", {"year": 1})
    assert inverse("published", {"is_published": [False, True], "publish_at": ["2026-01-01T00:00:00Z", None]},
                   current(), WRITABLE, NOW) == ("update", {"is_published": False})  # fmt: skip
    for action, state in (("created", gone), ("updated", gone), ("deleted", current())):
        with pytest.raises(Conflict):
            inverse(action, {"year": [1, 2]}, state, WRITABLE, NOW)
    with pytest.raises(Conflict, match="year"):
        inverse("updated", {"year": [1, 3]}, current(), WRITABLE, NOW)
    with pytest.raises(Conflict, match="nothing"):
        inverse("updated", {"slug": ["a", "b"]}, current(), WRITABLE, NOW)


@pytest.mark.parametrize(("moment", "expected"), [("2026-04-30T00:00:00.000Z", None), ("2026-05-02T00:00:00.000Z", 1)])
async def test_a_moment_that_has_gone_by_is_not_scheduled_again(moment: str, expected: int | None) -> None:
    diff = {"is_published": [False, True], "publish_at": [moment, None]}
    _, body = inverse("updated", diff, current(), WRITABLE, NOW)
    assert body == {"is_published": False, "publish_at": moment if expected else None}
