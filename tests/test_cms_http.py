"""The CMS over HTTP: checked at once, done in order, and after `succeeded` nobody reads the old state."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import msgspec
import pytest
import pytest_asyncio

from server.schemas import cms_answers
from server.schemas.operations import Operation
from tests.cms import Desk, desk, public, title
from tests.conftest import Server
from tests.http_fixture import SHARED, problem, shared_site
from tests.people import sql
from tests.running import Running

pytestmark = SHARED
NOUNS = ["releases", "episodes", "genres", "tags", "franchises"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with shared_site(server, tmp_path_factory.mktemp("site")) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def editor(site: Running) -> Desk:
    return await desk(site)


async def body_of(editor: Desk, noun: str) -> dict[str, Any]:
    """A body with which one more of them can be made."""
    if noun == "releases":
        return {"title": title(), "type": "tv"}
    if noun == "episodes":
        made = await editor.done("POST", "/releases", {"title": title()})
        return {"release_id": made["id"], "ordinal": 1.5, "title": "First"}
    return {"name": title("Word")}


@pytest.mark.parametrize("noun", NOUNS)
async def test_each_noun_is_made_changed_deleted_and_restored(editor: Desk, noun: str) -> None:
    body = await body_of(editor, noun)
    made = await editor.done("POST", f"/{noun}", body)
    path = f"/{noun}/{made['id']}"
    assert made == {"id": made["id"], "noun": noun[:-1], "changed": True}
    written, etag = await editor.read(path)
    assert {name: written[name] for name in body} == body
    assert written["deleted_at"] is None
    name = "title" if "title" in body else "name"
    assert (await editor.done("PATCH", path, {name: "Another " + body[name]}))["changed"]
    changed, newer = await editor.read(path)
    assert (changed[name], newer != etag) == ("Another " + body[name], True)
    assert not (await editor.done("PATCH", path, {name: "Another " + body[name]}))["changed"]
    await editor.done("PUT", path, body)
    assert (await editor.read(path))[0][name] == body[name]
    await editor.done("DELETE", path)
    assert (await editor.read(path))[0]["deleted_at"] is not None
    async with editor.request("DELETE", path) as answer:
        await problem(answer, 404)
    await editor.done("POST", f"{path}/restore")
    assert (await editor.read(path))[0]["deleted_at"] is None


async def test_what_editors_see_fits_its_schema(editor: Desk) -> None:
    types = {"releases": cms_answers.AdminRelease, "episodes": cms_answers.AdminEpisode}
    for noun in NOUNS:
        made = await editor.done("POST", f"/{noun}", await body_of(editor, noun))
        shape = types.get(noun, cms_answers.AdminWord)
        found, _ = await editor.read(f"/{noun}/{made['id']}")
        msgspec.convert(found, shape, strict=False)
        assert set(shape.__struct_fields__) <= set(found)


async def test_after_succeeded_every_answer_shows_the_new_state(site: Running, editor: Desk) -> None:
    made = await editor.done("POST", "/releases", {"title": title(), "genres": ["Lighthouse"], "year": 2030})
    path = f"/releases/{made['id']}"
    word = next(row for row in (await public(site, "/genres?limit=100"))[1]["results"] if row["name"] == "Lighthouse")
    for number in range(5):
        for asked in (path, f"/releases?genre={word['slug']}", "/genres?limit=100"):
            assert (await public(site, asked))[0] == 200
        await editor.done("PATCH", path, {"title": f"Title {number}"})
        assert (await public(site, path))[1]["title"] == f"Title {number}"
        listed = (await public(site, f"/releases?genre={word['slug']}"))[1]["results"]
        assert [row["title"] for row in listed] == [f"Title {number}"]
        await editor.done("PATCH", f"/genres/{word['id']}", {"name": f"Lighthouse {number}"})
        assert (await public(site, path))[1]["genres"][0]["name"] == f"Lighthouse {number}"
    await editor.done("DELETE", path)
    assert (await public(site, path))[0] == 404


async def test_all_faults_of_a_body_are_told_at_once(editor: Desk) -> None:
    body = {"title": "", "year": 1, "status": "lost", "surprise": 1, "genres": [""], "external_ids": {"X Y": 1}}
    async with editor.request("POST", "/releases", json=body) as answer:
        found = await problem(answer, 422)
    pointers = {fault["pointer"] for fault in found["errors"]}
    assert {"/title", "/year", "/status", "/surprise", "/genres/0"} <= pointers


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"{", 400), (b'{"title": "a\\u0000b"}', 422), (b'{"title": "\\ud800"}', 400), (b"[]", 422), (b"", 400),
        (b'{"title": "  "}', 422), (b'{"title": "x", "genres": [" "]}', 422),
    ],
)  # fmt: skip
async def test_what_is_no_body_is_refused(editor: Desk, raw: bytes, status: int) -> None:
    async with editor.request("POST", "/releases", data=raw, headers={"Content-Type": "application/json"}) as answer:
        await problem(answer, status)


@pytest.mark.parametrize("noun", NOUNS)
@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "GET", "POST"])
async def test_what_is_not_there_is_not_found_at_once(editor: Desk, noun: str, method: str) -> None:
    body = {"releases": {"title": "x"}, "episodes": {"title": "x", "ordinal": 1}}.get(noun, {"name": "x"})
    sent = {} if method in ("DELETE", "GET", "POST") else {"json": body}
    tail = "/restore" if method == "POST" else ""
    for thing in (987654321, "9" * 18):
        async with editor.request(method, f"/{noun}/{thing}{tail}", **sent) as answer:
            await problem(answer, 404)


async def test_what_contradicts_is_refused_at_once(editor: Desk) -> None:
    number = uuid4().int % 2**40
    await editor.done("POST", "/releases", {"title": title(), "external_ids": {"mal": number}})
    async with editor.request("POST", "/releases", json={"title": title(), "external_ids": {"mal": number}}) as answer:
        await problem(answer, 409)
    name = title("Word")
    await editor.done("POST", "/genres", {"name": name})
    async with editor.request("POST", "/genres", json={"name": name.upper()}) as answer:
        await problem(answer, 409)


@pytest.mark.parametrize("method", ["PATCH", "PUT", "DELETE"])
async def test_an_etag_that_is_not_the_present_one_is_412(editor: Desk, method: str) -> None:
    made = await editor.done("POST", "/releases", {"title": title()})
    path = f"/releases/{made['id']}"
    _, etag = await editor.read(path)
    body = None if method == "DELETE" else {"title": title()}
    sent = {} if body is None else {"json": body}
    for wrong in ('"nothing"', f"W/{etag}", "", " , "):
        async with editor.request(method, path, headers={"If-Match": wrong}, **sent) as answer:
            await problem(answer, 412)
    await editor.done(method, path, body, **{"If-Match": etag})
    async with editor.request(method, path, headers={"If-Match": etag}, **sent) as answer:
        await problem(answer, 404 if method == "DELETE" else 412)


async def test_of_two_edits_of_one_state_the_later_accepted_fails(editor: Desk) -> None:
    made = await editor.done("POST", "/releases", {"title": title()})
    path = f"/releases/{made['id']}"
    _, etag = await editor.read(path)
    answers = await asyncio.gather(
        *(editor.queue("PATCH", path, {"title": f"Try {number}"}, **{"If-Match": etag}) for number in range(4)),
        return_exceptions=True,
    )
    accepted = [one for one in answers if isinstance(one, dict)]
    ended = [await editor.ended(one["id"]) for one in accepted]
    assert [one["status"] for one in ended].count("succeeded") == 1
    for one in ended:
        if one["status"] == "failed":
            assert [error["code"] for error in one["errors"]] == ["precondition_failed"]


async def test_edits_of_one_thing_are_made_in_the_order_in_which_they_were_accepted(editor: Desk) -> None:
    made = await editor.done("POST", "/releases", {"title": title()})
    path = f"/releases/{made['id']}"
    queued = [(await editor.queue("PATCH", path, {"title": f"Step {number}"}))["id"] for number in range(20)]
    for one in queued:
        assert (await editor.ended(one))["status"] == "succeeded"
    rows = await sql(
        editor.site,
        "select array_agg((diff -> 'title' ->> 1) order by id) from revisions"
        " where noun = 'release' and entity_id = $1 and action = 'updated'",
        made["id"],
    )
    assert rows == [f"Step {number}" for number in range(20)]


async def test_a_key_sent_twice_makes_one_release(editor: Desk) -> None:
    key, body = {"Idempotency-Key": uuid4().hex}, {"title": title()}
    first, second = [await editor.ask("POST", "/releases", body, **key) for _ in range(2)]
    assert first["id"] == second["id"]
    assert first["result"]["id"] in await editor.listed("/releases")
    assert (await editor.read(f"/releases?q={body['title']}"))[0]["count"] == 1


async def test_operations_are_every_administrators_and_nobody_elses(site: Running, editor: Desk) -> None:
    other = await desk(site)
    made = await editor.ask("POST", "/tags", {"name": title("Tag")})
    msgspec.convert(made, Operation, strict=False)
    assert (await other.operation(made["id"])) == made
    found, _ = await other.read("/operations?kind=edit&status=succeeded&limit=5")
    assert made["id"] in [one["id"] for one in found["results"]]
    assert {(one["kind"], one["status"]) for one in found["results"]} == {("edit", "succeeded")}
    async with site.client.get(f"/api/v1/operations/{made['id']}", headers=other.who.headers) as answer:
        await problem(answer, 404)
    async with other.request("POST", f"/operations/{made['id']}/cancel") as answer:
        assert (await answer.json())["status"] == "succeeded"
    async with other.request("GET", f"/operations/{uuid4()}") as answer:
        await problem(answer, 404)


async def test_lists_show_what_readers_do_not_see(editor: Desk) -> None:
    name = title("Listed")
    ids = {}
    hiding = {"draft": {"is_published": False}, "scheduled": {"publish_at": "2099-01-01T00:00:00Z"}}
    for state in ("published", "draft", "scheduled", "deleted"):
        more = hiding.get(state, {})
        ids[state] = (await editor.done("POST", "/releases", {"title": f"{name} {state}", **more}))["id"]
    await editor.done("DELETE", f"/releases/{ids['deleted']}")
    for state, one in ids.items():
        for asked in (f"/releases?state={state}", f"/releases?state={state}&q={name}"):
            found = await editor.listed(asked)
            assert one in found
            hidden = set(ids.values()) - {one} - ({ids["scheduled"]} if state == "draft" else set())
            assert not hidden & set(found)
    assert set(await editor.listed(f"/releases?q={name.upper()}")) == set(ids.values())
    assert set(await editor.listed("/releases?limit=4")) == set(ids.values())


async def test_lists_are_paged(editor: Desk) -> None:
    made = await editor.done("POST", "/releases", {"title": title()})
    for ordinal in range(1, 6):
        await editor.done("POST", "/episodes", {"release_id": made["id"], "ordinal": ordinal})
    seen: list[float] = []
    path: str | None = f"/episodes?release_id={made['id']}&limit=2"
    while path:
        page, _ = await editor.read(path)
        assert page["count"] == 5
        seen += [row["ordinal"] for row in page["results"]]
        path = page["next"] and page["next"].removeprefix("/api/v1/admin")
    assert seen == [1, 2, 3, 4, 5]
    async with editor.request("GET", "/episodes") as answer:
        await problem(answer, 422)
    words, _ = await editor.read("/genres?limit=1")
    assert (len(words["results"]), words["next"] is not None) == (1, True)


@pytest.mark.parametrize("noun", ["genres", "tags", "franchises"])
async def test_words_living_and_deleted_are_listed_by_how_they_begin(editor: Desk, noun: str) -> None:
    start = title("Begins")
    made = [(await editor.done("POST", f"/{noun}", {"name": f"{start} {end}"}))["id"] for end in ("c", "a", "b", "d")]
    await editor.done("DELETE", f"/{noun}/{made[2]}")
    await editor.done("DELETE", f"/{noun}/{made[1]}")
    wanted = [made[1], made[2], made[0], made[3]]
    assert await editor.listed(f"/{noun}?q={start.upper()}") == wanted
    page, _ = await editor.read(f"/{noun}?q={start}&limit=3&page=2")
    assert ([one["id"] for one in page["results"]], page["count"]) == (wanted[3:], 4)
    assert await editor.listed(f"/{noun}?q={start} e") == []
