"""Who may do what to what somebody said: every endpoint of the community, asked by everybody there can be.

`test_access_table.py` asks about things nobody has made. Here there is a comment and a review: readable ones, then ones
that wait for a moderator, which are as if they were not there for whoever is neither their author nor a moderator.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from server.keys import DATABASE
from server.routes_community import community
from tests.conftest import Server
from tests.http_fixture import SHARED, shared_site
from tests.judging import comment, review, settle, words
from tests.people import Person, person
from tests.running import Running

pytestmark = SHARED

WHO = ("visitor", "author", "another", "moderator", "admin")
EVERYBODY = (200, 200, 200, 200, 200)
MODERATORS = (401, 403, 403, 200, 200)
# The answer to each of WHO. Of two rows the second is about what waits for a moderator.
ALLOWED: dict[str, tuple[tuple[int, ...], ...]] = {
    "GET releases/{id}/comments": (EVERYBODY,),
    "POST releases/{id}/comments": ((401, 201, 201, 201, 201),),
    "GET comments/{id}": (EVERYBODY, (404, 200, 404, 200, 200)),
    "PATCH comments/{id}": ((401, 200, 403, 403, 403), (401, 200, 404, 403, 403)),
    # For moderators it is a decision: hidden, not deleted.
    "DELETE comments/{id}": ((401, 204, 403, 204, 204), (401, 204, 404, 204, 204)),
    "GET comments/{id}/replies": (EVERYBODY, (404, 200, 404, 200, 200)),
    "POST comments/{id}/reports": ((401, 403, 201, 201, 201), (401, 403, 404, 404, 404)),
    "GET releases/{id}/reviews": (EVERYBODY,),
    "POST releases/{id}/reviews": ((401, 409, 201, 201, 201), (401, 409, 201, 201, 201)),
    "GET reviews/{id}": (EVERYBODY, (404, 200, 404, 200, 200)),
    "PATCH reviews/{id}": ((401, 200, 403, 403, 403), (401, 200, 404, 403, 403)),
    "DELETE reviews/{id}": ((401, 204, 403, 204, 204), (401, 204, 404, 204, 204)),
    "PUT reviews/{id}/helpful": ((401, 403, 204, 204, 204), (401, 404, 404, 404, 404)),
    "DELETE reviews/{id}/helpful": ((401, 403, 204, 204, 204), (401, 404, 404, 404, 404)),
    "POST reviews/{id}/reports": ((401, 403, 201, 201, 201), (401, 403, 404, 404, 404)),
    "GET admin/moderation": (MODERATORS,),
    "POST admin/comments/{id}/moderate": (MODERATORS, MODERATORS),
    "POST admin/reviews/{id}/moderate": (MODERATORS, MODERATORS),
    "POST admin/moderation/bulk": (MODERATORS,),
    "GET admin/moderation/decisions": (MODERATORS,),
    "POST admin/moderation/users/{id}/undo": ((401, 403, 403, 202, 202),),
    "GET admin/moderation/rules": (MODERATORS,),
    "POST admin/moderation/rules": ((401, 403, 403, 201, 201),),
    "POST admin/moderation/rules/dry-run": (MODERATORS,),
    "PATCH admin/moderation/rules/{id}": (MODERATORS,),
    "DELETE admin/moderation/rules/{id}": ((401, 403, 403, 204, 204),),
}
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Said:
    """Who said it, where, and under which ids; the word rule is nobody's."""

    author: Person
    release_id: int
    comment_id: int
    review_id: int
    rule_id: int

    def path(self, route: str) -> str:
        """The address of an endpoint about it."""
        known = {
            "releases": self.release_id, "comments": self.comment_id, "reviews": self.review_id,
            "users": self.author.id, "rules": self.rule_id,
        }  # fmt: skip
        path = route.split(" ")[1]
        noun = path.partition("/{id}")[0].split("/")[-1]
        return "/api/v1/" + path.replace("{id}", str(known.get(noun, "")))

    def body(self, route: str, state: str) -> dict[str, Any] | None:
        """What such an endpoint takes. A decision leaves the state as it is."""
        number = next(_numbers)
        decision = {"type": "comment", "id": self.comment_id, "state": state}
        return {
            "POST releases/{id}/comments": {"text": f"Number {number}"},
            "PATCH comments/{id}": {"spoiler": True},
            "POST comments/{id}/reports": {"reason": "spam"},
            "POST releases/{id}/reviews": {"rating": 7, "text": words(number)},
            "PATCH reviews/{id}": {"rating": 3},
            "POST reviews/{id}/reports": {"reason": "spoiler"},
            "POST admin/comments/{id}/moderate": {"state": state},
            "POST admin/reviews/{id}/moderate": {"state": state},
            "POST admin/moderation/bulk": {"decisions": [decision]},
            "POST admin/moderation/users/{id}/undo": {"reason": "Spam."},
            "POST admin/moderation/rules": {"pattern": f"word{number}", "kind": "word", "action": "hold"},
            "POST admin/moderation/rules/dry-run": {"pattern": "word", "kind": "word"},
            "PATCH admin/moderation/rules/{id}": {"enabled": False},
        }.get(route)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """The server of this module."""
    async with shared_site(server, tmp_path_factory.mktemp("site")) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def conn(site: Running) -> AsyncIterator[Any]:
    """A connection to its database."""
    connection = await asyncpg.connect(site.app[DATABASE].dsn)
    yield connection
    await connection.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def others(site: Running) -> dict[str, Person]:
    """Who asks and did not say it; each is one and the same all the time."""
    return {
        "another": await person(site),
        "moderator": await person(site, role="moderator"),
        "admin": await person(site, role="admin"),
    }


async def said(site: Running, conn: Any, state: str) -> Said:
    """Something new by somebody new, in this state."""
    author, number = await person(site), next(_numbers)
    release_id = 3 + 3 * (number % 20)
    comment_id = await comment(conn, author.id, release_id, f"Said as number {number}")
    review_id = (await review(conn, author.id, release_id)).review_id
    assert review_id is not None
    for kind, target in (("comment", comment_id), ("review", review_id)):
        if state != "visible":
            await settle(conn, kind, target, state)
    rule_id = await conn.fetchval(
        "insert into word_rules (pattern, kind, action, enabled) values ($1, 'word', 'hold', false) returning id",
        f"never said {number}",
    )
    return Said(author, release_id, comment_id, review_id, rule_id)


QUESTIONS = [
    pytest.param(route, state, answers, id=f"{route} {state}")
    for route, rows in ALLOWED.items()
    for state, answers in zip(("visible", "pending"), rows, strict=False)
]


@pytest.mark.parametrize(("route", "state", "answers"), QUESTIONS)
async def test_everybody_gets_the_answer_the_table_says(
    site: Running, conn: Any, others: dict[str, Person], route: str, state: str, answers: tuple[int, ...]
) -> None:
    found = []
    for who in WHO:
        thing = await said(site, conn, state)
        asking = thing.author if who == "author" else others.get(who)
        method = route.partition(" ")[0]
        headers = asking.headers if asking is not None else {}
        async with site.client.request(
            method, thing.path(route), json=thing.body(route, state), headers=headers
        ) as answer:  # fmt: skip
            raw = await answer.read()
            assert answer.status < 500, raw
            found.append(answer.status)
            if answer.status >= 400:
                assert thing.author.username.encode() not in raw
                assert b"Said as number" not in raw
            elif who != "visitor":
                assert "public" not in answer.headers.get("Cache-Control", "")
    assert tuple(found) == answers


@pytest.mark.usefixtures("site")
async def test_the_table_names_every_endpoint_of_the_community() -> None:
    there = {f"{route.method} {route.path.removeprefix('/api/v1/')}" for route in community()}
    assert there == set(ALLOWED)


async def test_a_moderator_who_deletes_decides_that_it_is_hidden(
    site: Running, conn: Any, others: dict[str, Person]
) -> None:
    for noun, kind in (("comments", "comment"), ("reviews", "review")):
        thing = await said(site, conn, "visible")
        target = thing.comment_id if kind == "comment" else thing.review_id
        async with site.client.delete(f"/api/v1/{noun}/{target}", headers=others["moderator"].headers) as answer:
            assert answer.status == 204
        row = await conn.fetchrow(f"select state, deleted_at from {noun} where id = $1", target)
        assert tuple(row) == ("hidden", None)
        decided = await conn.fetchrow(
            "select moderator_id, state_before, state_after from moderation_decisions"
            " where target_type = $1 and target_id = $2",
            kind, target,
        )  # fmt: skip
        assert tuple(decided) == (others["moderator"].id, "visible", "hidden")


async def test_under_a_hidden_release_authors_take_back_what_is_theirs_and_nobody_else_finds_it(
    site: Running, conn: Any, others: dict[str, Person]
) -> None:
    for noun in ("comments", "reviews"):
        thing = await said(site, conn, "visible")
        target = thing.comment_id if noun == "comments" else thing.review_id
        await conn.execute("update releases set is_published = false where id = $1", thing.release_id)
        try:
            for who, expected in ((others["another"], 404), (others["moderator"], 404), (thing.author, 204)):
                async with site.client.delete(f"/api/v1/{noun}/{target}", headers=who.headers) as answer:
                    assert answer.status == expected, (noun, who.username)
        finally:
            await conn.execute("update releases set is_published = true where id = $1", thing.release_id)
        assert await conn.fetchval(f"select deleted_at is not null from {noun} where id = $1", target)


async def test_what_waits_is_in_nobodys_list_and_what_is_readable_in_everybodys(
    site: Running, conn: Any, others: dict[str, Person]
) -> None:
    for state in ("visible", "pending"):
        thing = await said(site, conn, state)
        for noun, wanted in (("comments", thing.comment_id), ("reviews", thing.review_id)):
            for headers in ({}, others["another"].headers):
                address = f"/api/v1/releases/{thing.release_id}/{noun}?limit=100&sort=newest"
                async with site.client.get(address, headers=headers) as answer:
                    ids = {one["id"] for one in (await answer.json())["results"]}
                assert (wanted in ids) is (state == "visible")
