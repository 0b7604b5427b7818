"""Moderation over HTTP: what is held, the queue, decisions, reports, undoing; what authors and readers see of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import msgspec
import pytest
import pytest_asyncio

from server.keys import DATABASE
from server.schemas.moderation import BulkModerated, DecisionPage, Moderated, ModerationPage
from server.schemas.operations import Operation
from server.schemas.reports import Report
from tests.conftest import Server
from tests.http_fixture import SHARED, problem, shared_site
from tests.judging import words
from tests.outboxes import drain
from tests.people import Person, person, restore_quotas, sql
from tests.running import Running
from tests.working import until

pytestmark = SHARED
API = "/api/v1"
RELEASES = iter(range(3, 93, 3))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with shared_site(server, tmp_path_factory.mktemp("site"), COMMENT_RATE_LIMIT="0/hour") as started:
        yield started


@pytest.fixture
def release() -> int:
    """A release that no other test speaks about."""
    return next(RELEASES)


async def call(
    site: Running, method: str, path: str, who: Person | None, body: Any = None, status: int = 200, **headers: str
) -> Any:
    sent = {**({} if who is None else who.headers), **headers}
    async with site.client.request(method, API + path, json=body, headers=sent) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json() if answer.content_type == "application/json" else None


async def refused(site: Running, method: str, path: str, who: Person, body: Any, status: int) -> list[str]:
    """Where the faults are."""
    async with site.client.request(method, API + path, json=body, headers=who.headers) as answer:
        return [fault["pointer"] for fault in (await problem(answer, status)).get("errors", ())]


async def say(site: Running, who: Person, release: int, text: str = "", **more: Any) -> dict[str, Any]:
    text = text or f"Something that nobody has said before: {uuid4()}"
    found: dict[str, Any] = await call(
        site, "POST", f"/releases/{release}/comments", who, {"text": text, **more}, status=201
    )
    return found


async def age(site: Running, who: Person, days: int) -> None:
    await sql(site, "update users set created_at = now() - $2 * interval '1 day' where id = $1", who.id, days)


async def somebody(site: Running) -> Person:
    """Whose account is old enough to be trusted with links and reports."""
    found = await person(site)
    await age(site, found, 30)
    return found


async def ids(site: Running, release: int, who: Person | None = None) -> list[int]:
    page = await call(site, "GET", f"/releases/{release}/comments", who)
    return [one["id"] for one in page["results"]]


async def moderate(site: Running, moderator: Person, target: int, state: str, **more: Any) -> dict[str, Any]:
    path = f"/admin/comments/{target}/moderate"
    found: dict[str, Any] = await call(site, "POST", path, moderator, {"state": state, **more})
    return found


async def test_a_link_of_a_new_account_waits_and_is_read_once_it_is_approved(site: Running, release: int) -> None:
    new, moderator = await person(site), await person(site, role="moderator")
    assert await ids(site, release) == []
    made = await say(site, new, release, "All of it at tide\u200b-streams . com")
    assert (made["state"], made["held_for"]) == ("pending", ["links"])
    assert await ids(site, release) == []
    page = await call(site, "GET", "/admin/moderation?reason=links&limit=100", moderator)
    msgspec.convert(page, ModerationPage)
    assert made["id"] in [one["id"] for one in page["results"]]
    shown = await moderate(site, moderator, made["id"], "visible")
    assert msgspec.convert(shown, Moderated).queued_at is None
    assert await ids(site, release) == [made["id"]]
    await moderate(site, moderator, made["id"], "hidden", reason="On second thoughts.")
    assert await ids(site, release) == []


async def test_links_wait_for_three_days_and_never_those_of_moderators(site: Running, release: int) -> None:
    old, moderator = await person(site), await person(site, role="moderator")
    await age(site, old, 4)
    for who in (old, moderator):
        assert (await say(site, who, release, f"See https://example.com/{uuid4()}"))["state"] == "visible"


async def test_a_link_that_an_edit_brings_in_waits_too_and_that_is_written_down(site: Running, release: int) -> None:
    new, moderator = await person(site), await person(site, role="moderator")
    made = await say(site, new, release)
    assert await ids(site, release) == [made["id"]]
    changed = await call(site, "PATCH", f"/comments/{made['id']}", new, {"text": "now at www.example.org"})
    assert changed["state"] == "pending"
    assert await ids(site, release) == []
    page = await call(site, "GET", f"/admin/moderation/decisions?type=comment&target_id={made['id']}", moderator)
    (decision,) = page["results"]
    assert (decision["state_before"], decision["state_after"], decision["moderator"]) == ("visible", "pending", None)
    assert decision["held_for"] == ["links"]


async def test_floods_wait(site: Running) -> None:
    new, old = await person(site), await somebody(site)
    scattered = [(await say(site, new, next(RELEASES)))["state"] for _ in range(5)]
    assert scattered == [*["visible"] * 4, "pending"]
    place = next(RELEASES)
    quick = [(await say(site, old, place))["state"] for _ in range(11)]
    assert quick == [*["visible"] * 9, "pending", "pending"]


async def test_what_is_repeated_waits_however_it_is_dressed(site: Running, release: int) -> None:
    who, other = await somebody(site), await somebody(site)
    for text in ("Join my club NOW!!", "join my\u200b club now"):
        assert (await say(site, who, release, text))["state"] == "visible"
    deleted = (await ids(site, release))[0]
    await call(site, "DELETE", f"/comments/{deleted}", who, status=204)
    held = await say(site, who, release, "Ｊｏｉｎ my  club, now.")
    assert (held["state"], held["held_for"]) == ("pending", ["repeated"])
    assert (await say(site, other, release, "Join my club NOW!!"))["state"] == "visible"


async def test_the_author_is_told_what_became_of_it_and_why(site: Running, release: int) -> None:
    new, moderator = await person(site), await person(site, role="moderator")
    held = await say(site, new, release, "At www.example.org")
    await moderate(site, moderator, held["id"], "hidden", reason="No links to copies, please.")
    await drain(site)

    async def arrived() -> bool:
        return bool((await call(site, "GET", "/notifications", new))["count"])

    await until(arrived)
    (told,) = (await call(site, "GET", "/notifications", new))["results"]
    assert told["type"] == "moderation"
    assert (told["data"]["decision"], told["data"]["reason"]) == ("rejected", "No links to copies, please.")
    assert (await call(site, "GET", "/notifications", moderator))["count"] == 0


async def test_three_readers_report_it_and_it_is_gone_from_the_page_at_once(site: Running, release: int) -> None:
    author, moderator = await somebody(site), await person(site, role="moderator")
    readers = [await somebody(site) for _ in range(3)]
    target = (await say(site, author, release))["id"]
    path = f"/comments/{target}/reports"
    body = {"reason": "abuse", "note": "Look at this."}
    for reader in readers:
        assert await ids(site, release) == [target]
        made = await call(site, "POST", path, reader, body, status=201)
        assert msgspec.convert(made, Report).target_id == target
    assert await ids(site, release) == []
    page = await call(site, "GET", "/admin/moderation?type=comment&reason=reports&limit=100", moderator)
    (shown,) = [one for one in page["results"] if one["id"] == target]
    assert (shown["reports_count"], len(shown["reports"])) == (3, 3)
    await moderate(site, moderator, target, "visible")
    assert await refused(site, "POST", path, readers[0], body, 409) == []
    assert await refused(site, "POST", path, author, body, 403) == []


async def test_a_report_that_does_not_fit_is_refused_and_one_sent_again_is_the_same(
    site: Running, release: int
) -> None:
    author, reader = await somebody(site), await somebody(site)
    target = (await say(site, author, release))["id"]
    path = f"/comments/{target}/reports"
    for body, where in (
        ({"reason": "boring"}, "/reason"),
        ({"reason": "spam", "note": "x" * 501}, "/note"),
        ({"reason": "spam", "note": "a\x00b"}, "/note"),
        ({"reason": "spam", "why": "x"}, "/why"),
        ({}, "/reason"),
    ):
        assert await refused(site, "POST", path, reader, body, 422) == [where]
    key = {"Idempotency-Key": str(uuid4())}
    first = await call(site, "POST", path, reader, {"reason": "spam", "note": "👩‍👩‍👧‍👦" * 500}, status=201, **key)
    assert (
        await call(site, "POST", path, reader, {"reason": "spam", "note": "👩‍👩‍👧‍👦" * 500}, status=201, **key) == first
    )
    assert await refused(site, "POST", "/reviews/999999/reports", reader, {"reason": "spam"}, 404) == []


async def test_reports_have_a_policy(site: Running) -> None:
    reader = await somebody(site)
    for _ in range(20):
        await refused(site, "POST", "/comments/999999/reports", reader, {"reason": "spam"}, 404)
    await refused(site, "POST", "/comments/999999/reports", reader, {"reason": "spam"}, 429)
    restore_quotas(site)


async def test_several_decisions_at_once(site: Running, release: int) -> None:
    author, moderator = await somebody(site), await person(site, role="moderator")
    first, second = (await say(site, author, release))["id"], (await say(site, author, release))["id"]
    assert await ids(site, release) == [second, first]
    decisions = [
        {"type": "comment", "id": first, "state": "hidden", "reason": "One."},
        {"type": "comment", "id": second, "state": "visible"},
        {"type": "comment", "id": first, "state": "visible"},
        {"type": "review", "id": 999_999, "state": "hidden"},
    ]
    found = await call(site, "POST", "/admin/moderation/bulk", moderator, {"decisions": decisions})
    msgspec.convert(found, BulkModerated)
    assert (found["changed"], found["unchanged"]) == (1, 1)
    assert [(one["index"], one["code"]) for one in found["rejected"]] == [(2, "repeated"), (3, "not_found")]
    assert await ids(site, release) == [second]


@pytest.mark.parametrize(
    ("decision", "pointer"),
    [
        ({"state": "gone"}, "/decisions/0/state"),
        ({"type": "user"}, "/decisions/0/type"),
        ({"id": 0}, "/decisions/0/id"),
        ({"id": 2**63}, "/decisions/0/id"),
        ({"reason": "x" * 501}, "/decisions/0/reason"),
        ({"reason": "a\x00"}, "/decisions/0/reason"),
        ({"note": "x"}, "/decisions/0/note"),
    ],
)
async def test_a_decision_that_does_not_fit_is_named(site: Running, decision: dict[str, Any], pointer: str) -> None:
    moderator = await person(site, role="moderator")
    body = {"decisions": [{"type": "comment", "id": 5, "state": "hidden"} | decision]}
    assert await refused(site, "POST", "/admin/moderation/bulk", moderator, body, 422) == [pointer]


async def test_there_is_a_bound_to_decisions_at_once(site: Running) -> None:
    moderator = await person(site, role="moderator")
    for count in (0, 101):
        body = {"decisions": [{"type": "comment", "id": n + 1, "state": "hidden"} for n in range(count)]}
        assert await refused(site, "POST", "/admin/moderation/bulk", moderator, body, 422) == ["/decisions"]
    body = {"decisions": [{"type": "comment", "id": 900_000 + n, "state": "hidden"} for n in range(100)]}
    assert len((await call(site, "POST", "/admin/moderation/bulk", moderator, body))["rejected"]) == 100


async def test_decisions_are_listed_page_by_page_and_by_whom_they_concern(site: Running, release: int) -> None:
    author, moderator = await somebody(site), await person(site, role="moderator")
    made = [(await say(site, author, release))["id"] for _ in range(3)]
    for target in made:
        await moderate(site, moderator, target, "hidden", reason=f"Number {target}")
    seen: list[int] = []
    path = f"/admin/moderation/decisions?author_id={author.id}&moderator_id={moderator.id}&type=comment&limit=2"
    while path:
        page = await call(site, "GET", path, moderator)
        msgspec.convert(page, DecisionPage)
        assert page["count"] == 3
        seen += [one["target_id"] for one in page["results"]]
        path = "" if page["next"] is None else page["next"].removeprefix(API)
    assert seen == made[::-1]
    assert await refused(site, "GET", "/admin/moderation/decisions?target_id=5", moderator, None, 422) == ["/type"]
    wrong = "/admin/moderation/decisions?cursor=xyz"
    assert await refused(site, "GET", wrong, moderator, None, 422) == ["/cursor"]
    assert await refused(site, "GET", "/admin/moderation?cursor=xyz", moderator, None, 422) == ["/cursor"]


async def test_a_moderator_decides_nothing_about_what_is_their_own(site: Running, release: int) -> None:
    moderator, admin = await person(site, role="moderator"), await person(site, role="admin")
    mine, theirs = (await say(site, moderator, release))["id"], (await say(site, admin, release))["id"]
    path = "/admin/comments/{}/moderate"
    assert await refused(site, "POST", path.format(mine), moderator, {"state": "hidden"}, 403) == []
    assert (await moderate(site, admin, theirs, "hidden"))["state"] == "hidden"
    assert await refused(site, "POST", path.format(999_999), moderator, {"state": "hidden"}, 404) == []


async def test_reviews_are_decided_about_in_the_same_way(site: Running, release: int) -> None:
    author, moderator = await somebody(site), await person(site, role="moderator")
    text = words(author.id)
    made = await call(site, "POST", f"/releases/{release}/reviews", author, {"rating": 3, "text": text}, status=201)
    path = f"/admin/reviews/{made['id']}/moderate"
    shown = await call(site, "POST", path, moderator, {"state": "pending"})
    assert (shown["type"], shown["rating"], shown["text"]) == ("review", 3, text)
    assert (await call(site, "GET", f"/releases/{release}/reviews", None))["average_rating"] is None
    await call(site, "POST", path, moderator, {"state": "visible"})
    assert (await call(site, "GET", f"/releases/{release}/reviews", None))["average_rating"] == 3


async def test_everything_of_somebody_is_taken_back_by_an_operation(site: Running) -> None:
    culprit, other = await somebody(site), await somebody(site)
    moderator = await person(site, role="moderator")
    places = [next(RELEASES) for _ in range(2)]
    theirs = [(await say(site, other, place))["id"] for place in places]
    for place in places:
        await say(site, culprit, place)
        draft = {"rating": 1, "text": words(place)}
        await call(site, "POST", f"/releases/{place}/reviews", culprit, draft, status=201)
        liked = await call(site, "POST", f"/releases/{place}/reviews", other, draft, status=201)
        await call(site, "PUT", f"/reviews/{liked['id']}/helpful", culprit, status=204)
    await call(site, "POST", f"/comments/{theirs[0]}/reports", culprit, {"reason": "spam"}, status=201)
    assert [len(await ids(site, place)) for place in places] == [2, 2]
    path = f"/admin/moderation/users/{culprit.id}/undo"
    ended = await call(site, "POST", path, moderator, {"reason": "Advertising."}, status=202, Prefer="wait=10")
    assert msgspec.convert(ended, Operation).status == "succeeded"
    assert ended["result"] == {"comments": 2, "reviews": 2, "votes": 2, "reports": 1}
    assert [await ids(site, place) for place in places] == [[theirs[0]], [theirs[1]]]
    for place in places:
        (review,) = (await call(site, "GET", f"/releases/{place}/reviews", None))["results"]
        assert (review["author"]["id"], review["helpful_count"]) == (other.id, 0)
    page = await call(site, "GET", f"/admin/moderation/decisions?author_id={culprit.id}", moderator)
    assert {one["operation_id"] for one in page["results"]} == {ended["id"]}
    assert page["count"] == 4


async def test_who_may_be_undone_by_whom(site: Running) -> None:
    user, moderator = await person(site), await person(site, role="moderator")
    second, admin = await person(site, role="moderator"), await person(site, role="admin")

    async def status(who: Person, culprit: int) -> int:
        path = f"{API}/admin/moderation/users/{culprit}/undo"
        async with site.client.post(path, json={}, headers=who.headers) as answer:
            return answer.status

    asked = [
        (moderator, second.id),
        (moderator, moderator.id),
        (moderator, admin.id),
        (admin, admin.id),
        (user, user.id),
    ]
    assert [await status(who, culprit) for who, culprit in asked] == [403] * 5
    assert await status(moderator, 999_999) == 404
    assert [await status(moderator, user.id), await status(admin, second.id)] == [202, 202]


async def test_the_bell_of_the_outbox_rings_for_decisions(site: Running, release: int) -> None:
    """So that authors hear of them at once, not when somebody next looks."""
    author, moderator = await somebody(site), await person(site, role="moderator")
    target = (await say(site, author, release))["id"]
    rung: list[bool] = []
    bell = site.app[DATABASE].bell
    bell.listeners.append(lambda: rung.append(True))
    try:
        await moderate(site, moderator, target, "hidden")
        assert rung
        rung.clear()
        await moderate(site, moderator, target, "hidden")
        assert not rung
    finally:
        bell.listeners.pop()
