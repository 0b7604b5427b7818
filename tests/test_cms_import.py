"""The import by upload: counted exactly, told row by row, stopped between portions, and edits win over it."""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import FormData

from actors.works.import_catalogue import ImportCatalogue
from server.cms import importing
from tests.cms import Desk, desk, public, title
from tests.conftest import Server
from tests.http_fixture import SHARED, problem, shared_site
from tests.people import sql
from tests.running import Running

pytestmark = SHARED


def lines(rows: Sequence[Any]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def row(number: int, **more: Any) -> dict[str, Any]:
    """A release with two episodes."""
    return {
        "title": f"Imported {number}", "type": "tv", "genres": ["Imported"],
        "external_ids": {"mal": 10_000_000 + number}, "episodes": [{"ordinal": 1}, {"ordinal": 2}], **more,
    }  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with shared_site(server, tmp_path_factory.mktemp("site")) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def editor(site: Running) -> Desk:
    return await desk(site)


async def send(editor: Desk, content: Any, **headers: str) -> dict[str, Any]:
    async with editor.request("POST", "/import", data=content, headers=headers) as answer:
        assert answer.status == 202, await answer.text()
        found: dict[str, Any] = await answer.json()
        return found


async def import_all(editor: Desk, content: Any, **headers: str) -> dict[str, Any]:
    return await editor.ended((await send(editor, content, **headers))["id"])


async def test_what_became_of_each_line_is_counted_and_told(site: Running, editor: Desk) -> None:
    rows = [row(number) for number in range(250)]
    rows[20] = {"title": "", "year": 1}
    rows[130] = row(131)
    content = lines(rows) + b"no json\n\n" + lines([row(900, episodes=[{"ordinal": -1}])])
    first = await import_all(editor, content)
    assert (first["status"], first["percent"], first["progress"]) == ("succeeded", 100, {"done": 253, "total": 253})
    counts = {"created": 248, "updated": 0, "unchanged": 0, "episodes": 496}
    assert first["result"] == counts | {"skipped": {"invalid": 3, "duplicate": 1}, "refused": 4}
    told = {error["row"]: error.get("field") for error in first["errors"]}
    assert told == {21: "title", 132: None, 251: None, 253: "episodes[0].ordinal"}
    again = await import_all(editor, content)
    assert (again["result"]["created"], again["result"]["unchanged"]) == (0, 248)
    rows[0] |= {"title": "Imported anew", "year": 1999}
    third = await import_all(editor, lines(rows[:10]))
    assert (third["result"]["updated"], third["result"]["unchanged"]) == (1, 9)
    release = await sql(site, "select release_id from external_ids where external_id = '10000000'")
    assert (await public(site, f"/releases/{release}"))[1]["title"] == "Imported anew"
    text = (
        "select json_agg(json_build_array(action, origin, actor_id, diff) order by id)::text from revisions"
        " where noun = 'release' and entity_id = $1"
    )
    assert json.loads(await sql(site, text, release)) == [
        ["created", "import", editor.who.id, {}],
        ["updated", "import", editor.who.id, {"title": ["Imported 0", "Imported anew"], "year": [None, 1999]}],
    ]
    assert await sql(site, "select count(*) from import_claims") == 0


async def test_lists_show_what_came_as_soon_as_it_has_succeeded(site: Running, editor: Desk) -> None:
    before = (await public(site, "/releases"))[1]["count"]
    await import_all(editor, lines([row(number) for number in range(1000, 1005)]))
    assert (await public(site, "/releases"))[1]["count"] == before + 5


async def test_a_gzip_file_and_a_form_are_taken_and_a_cut_off_one_is_told(editor: Desk) -> None:
    packed = gzip.compress(lines([row(number) for number in range(2000, 2400)]))
    form = FormData()
    form.add_field("file", packed, filename="a.ndjson.gz", content_type="application/gzip")
    assert (await import_all(editor, form))["result"]["created"] == 400
    cut = await import_all(editor, packed[:-200], **{"Content-Type": "application/gzip"})
    assert (cut["status"], cut["errors"][-1]["code"]) == ("failed", "unprocessable")
    assert "uploads" not in cut["errors"][-1]["detail"]
    async with editor.request("POST", "/import", data=b"") as answer:
        await problem(answer, 422)


async def test_a_key_sent_twice_imports_once(editor: Desk) -> None:
    content, key = lines([row(3000)]), {"Idempotency-Key": title()}
    assert (await send(editor, content, **key))["id"] == (await send(editor, content, **key))["id"]


async def test_what_is_edited_after_it_was_accepted_wins_over_it(
    site: Running, editor: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await import_all(editor, lines([row(4000), row(4001), row(4002), row(4003), row(4004)]))
    ids = [
        await sql(site, "select release_id from external_ids where external_id = $1", str(10_000_000 + number))
        for number in range(4000, 4005)
    ]
    episode = await sql(site, "select min(id) from episodes where release_id = $1", ids[4])
    held, real = asyncio.Event(), importing.checked

    async def wait(found: Any) -> Any:
        await held.wait()
        return await real(found)

    monkeypatch.setattr("actors.works.import_catalogue.checked", wait)
    await editor.done("PATCH", f"/releases/{ids[2]}", {"year": 1990})
    made = await send(editor, lines([row(number, title="From the file") for number in range(4000, 4005)]))
    await editor.done("PATCH", f"/releases/{ids[0]}", {"title": "From the desk"})
    # Nothing changes by these, and yet somebody has said that it is to be so.
    await editor.done("PATCH", f"/releases/{ids[3]}", {"title": "Imported 4003"})
    await editor.done("PATCH", f"/episodes/{episode}", {"title": ""})
    held.set()
    found = await editor.ended(made["id"])
    assert (found["result"]["updated"], found["result"]["skipped"]) == (2, {"edited": 3})
    titles = [(await editor.read(f"/releases/{one}"))[0]["title"] for one in ids]
    assert titles == [
        "From the desk", "From the file", "From the file", "Imported 4003", "Imported 4004",
    ]  # fmt: skip


async def test_what_an_upload_does_to_episodes_is_written_down_and_can_be_undone(site: Running, editor: Desk) -> None:
    await import_all(editor, lines([row(6000, episodes=[{"ordinal": one} for one in (1, 2, 3)])]))
    release = await sql(site, "select release_id from external_ids where external_id = '10006000'")
    ids = json.loads(
        await sql(site, "select json_agg(id order by ordinal)::text from episodes where release_id = $1", release)
    )
    await editor.done("DELETE", f"/episodes/{ids[2]}")
    found = await import_all(
        editor,
        lines([row(6000, episodes=[{"ordinal": 1, "title": "Told", "opening": {"start": 1, "stop": 9}},
                                   {"ordinal": 3}, {"ordinal": 4}])]),
    )  # fmt: skip
    assert (found["result"]["updated"], found["result"]["refused"]) == (1, 1)
    told = {"row": 1, "field": "episodes", "detail": "3 stays deleted: an editor deleted it"}
    assert found["errors"] == [told]
    text = (
        "select json_agg(json_build_array(r.action, e.ordinal, r.actor_id, r.diff) order by e.ordinal)::text"
        " from revisions r join episodes e on e.id = r.entity_id"
        " where r.noun = 'episode' and r.origin = 'import' and e.release_id = $1"
    )
    diff = {"title": ["", "Told"], "opening": [None, {"start": 1, "stop": 9}]}
    assert json.loads(await sql(site, text, release)) == [
        ["updated", 1, editor.who.id, diff], ["deleted", 2, editor.who.id, {}], ["created", 4, editor.who.id, {}],
    ]  # fmt: skip
    assert await sql(site, "select count(*) from revisions where noun = 'release' and entity_id = $1", release) == 1
    last = "select max(id) from revisions where noun = 'episode' and entity_id = $1"
    for one in ids[:2]:
        await editor.done("POST", f"/audit/{await sql(site, last, one)}/undo")
    shown = [await editor.read(f"/episodes/{one}") for one in ids[:2]]
    assert [(one["title"], one["opening"], one["deleted_at"]) for one, _ in shown] == [("", None, None)] * 2
    await import_all(editor, lines([row(6000, episodes=[{"ordinal": 1}])]))
    await import_all(editor, lines([row(6000, episodes=[{"ordinal": 1}, {"ordinal": 2}])]))
    assert await sql(site, "select action from revisions where id = (" + last + ")", ids[1]) == "restored"


async def test_a_line_that_moves_nothing_but_popularity_leaves_no_revision(site: Running, editor: Desk) -> None:
    await import_all(editor, lines([row(6100, popularity=1)]))
    found = await import_all(editor, lines([row(6100, popularity=9)]))
    assert found["result"]["updated"] == 1
    text = (
        "select count(*) from revisions r join external_ids x on x.release_id = r.entity_id"
        " where r.noun = 'release' and x.external_id = '10006100'"
    )
    assert await sql(site, text) == 1


async def test_words_made_in_passing_are_written_down_as_made_by_whoever_named_them(
    site: Running, editor: Desk
) -> None:
    await import_all(editor, lines([row(6300, genres=["Sent along", "Imported"], tags=["Sent along"])] * 2))
    made = await editor.done("POST", "/releases", {"title": title(), "genres": ["Sent along", "Typed along"]})
    await editor.done("PATCH", f"/releases/{made['id']}", {"franchise": "Typed along"})
    text = (
        "select json_agg(array[r.noun, w.name, r.action, r.origin, r.actor_id::text] order by r.id)::text"
        " from revisions r join (select 'genre' as noun, id, name from genres"
        " union all select 'tag', id, name from tags"
        " union all select 'franchise', id, name from franchises) w on w.noun = r.noun and w.id = r.entity_id"
        " where w.name like '% along'"
    )
    who = str(editor.who.id)
    assert json.loads(await sql(site, text)) == [
        ["genre", "Sent along", "created", "import", who], ["tag", "Sent along", "created", "import", who],
        ["genre", "Typed along", "created", "cms", who], ["franchise", "Typed along", "created", "cms", who],
    ]  # fmt: skip


async def test_each_portion_drops_from_the_cache_what_it_changed(
    site: Running, editor: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await import_all(editor, lines([row(6200), row(6201)]))
    release = await sql(site, "select release_id from external_ids where external_id = '10006200'")
    dropped: list[set[str]] = []
    works = [one for one in gc.get_objects() if isinstance(one, ImportCatalogue)]
    for work in works:
        monkeypatch.setattr(work, "_drop", lambda tags: dropped.append(set(tags)))
    await import_all(editor, lines([row(6200, year=1980), row(6201)]))
    assert {f"release:{release}"} in dropped


async def test_it_stops_between_two_portions_and_says_what_is_done(
    site: Running, editor: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, go, real = asyncio.Event(), asyncio.Event(), importing.checked
    portions = 0

    async def wait(found: Any) -> Any:
        nonlocal portions
        portions += 1
        if portions == 3:
            held.set()
            await go.wait()
        return await real(found)

    monkeypatch.setattr("actors.works.import_catalogue.checked", wait)
    made = await send(editor, lines([row(number) for number in range(5000, 5500)]))
    async with asyncio.timeout(10):
        await held.wait()
    running = await editor.operation(made["id"])
    assert (running["status"], running["progress"]["total"], running["percent"]) == ("running", 500, 40)
    async with editor.request("POST", f"/operations/{made['id']}/cancel") as answer:
        assert answer.status == 200
    go.set()
    found = await editor.ended(made["id"])
    assert (found["status"], found["result"]["created"]) == ("cancelled", 2 * importing.PORTION_LINES)
    stored = "select count(*) from external_ids where external_id::bigint between 10005000 and 10005499"
    assert await sql(site, stored) == 2 * importing.PORTION_LINES
