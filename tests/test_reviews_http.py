"""Reviews over HTTP: writing, reading as a visitor and as somebody, what stays in caches and what leaves them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import msgspec
import pytest
import pytest_asyncio

from server.bodies import reviews as bodies
from server.keys import CACHE, DATABASE, METER
from server.schemas.reviews import Review, ReviewPage, ReviewsQuery
from tests.conftest import Server
from tests.http_fixture import SHARED, problem, queries_seen, shared_site
from tests.judging import TEXT, words
from tests.outboxes import drain
from tests.people import Person, person, sql
from tests.running import Running

pytestmark = SHARED
RELEASES = iter(range(3, 93, 3))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with shared_site(server, tmp_path_factory.mktemp("site")) as started:
        yield started


@pytest.fixture
def release() -> int:
    """A release that no other test writes about."""
    return next(RELEASES)


def path(release: int) -> str:
    return f"/api/v1/releases/{release}/reviews"


async def write(
    site: Running, who: Person, release: int, rating: int = 7, text: str = "", **headers: str
) -> dict[str, Any]:
    """Post a review; what came back."""
    body = {"rating": rating, "text": text or words(who.id * 1000 + release)}
    async with site.client.post(path(release), json=body, headers=who.headers | headers) as answer:
        assert answer.status == 201, await answer.text()
        found: dict[str, Any] = await answer.json()
        assert answer.headers["Location"] == f"/api/v1/reviews/{found['id']}"
        assert answer.headers["Cache-Control"] == "private, no-store"
        return found


async def read(site: Running, where: str, who: Person | None = None) -> dict[str, Any]:
    async with site.client.get(where, headers={} if who is None else who.headers) as answer:
        assert answer.status == 200, await answer.text()
        found: dict[str, Any] = await answer.json()
        return found


async def status(site: Running, method: str, where: str, who: Person, body: Any = None) -> int:
    async with site.client.request(method, where, json=body, headers=who.headers) as answer:
        return answer.status


async def test_a_review_is_written_and_read(site: Running, release: int) -> None:
    who = await person(site)
    made = await write(site, who, release, 9)
    assert msgspec.convert(made, Review).is_mine is True
    assert (await read(site, f"/api/v1/reviews/{made['id']}", who)) == made
    page = await read(site, path(release))
    assert msgspec.convert(page, ReviewPage).average_rating == 9
    (shown,) = page["results"]
    assert shown == {name: value for name, value in made.items() if name not in ("is_mine", "is_helpful")}
    assert await read(site, f"/api/v1/reviews/{made['id']}") == shown
    assert page["count"] == 1
    empty = await read(site, path(next(RELEASES)))
    assert (empty["count"], empty["average_rating"], empty["results"]) == (0, None, [])


async def test_a_second_review_of_a_release_is_a_conflict_also_at_the_same_moment(site: Running, release: int) -> None:
    who, other = await person(site), await person(site)
    await write(site, who, release)
    body = {"rating": 3, "text": words(1)}
    await problem(await site.client.post(path(release), json=body, headers=who.headers), 409)
    both = await asyncio.gather(*(status(site, "POST", path(release), other, body) for _ in range(2)))
    assert sorted(both) == [201, 409]


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"rating": 0, "text": TEXT * 2}, ["/rating"]),
        ({"rating": 11, "text": "short"}, ["/rating", "/text"]),
        ({"rating": 5.5, "text": TEXT * 2}, ["/rating"]),
        ({"text": TEXT * 2}, ["/rating"]),
        ({"rating": 5}, ["/text"]),
        ({"rating": 5, "text": "x" * 99}, ["/text"]),
        ({"rating": 5, "text": "e\u0301" * 99}, ["/text"]),
        ({"rating": 5, "text": "x" * 5001}, ["/text"]),
        ({"rating": 5, "text": " " * 200}, ["/text"]),
        ({"rating": 5, "text": TEXT * 2 + "\0"}, ["/text"]),
        ({"rating": 5, "text": TEXT * 2 + "\u202e"}, ["/text"]),
        ({"rating": 5, "text": TEXT * 2, "state": "visible"}, ["/state"]),
    ],
)
async def test_what_does_not_fit_is_named(site: Running, body: dict[str, Any], pointers: list[str]) -> None:
    who = await person(site)
    found = await problem(await site.client.post(path(90), json=body, headers=who.headers), 422)
    assert sorted({fault["pointer"] for fault in found["errors"]}) == pointers


async def test_a_lone_surrogate_is_refused(site: Running) -> None:
    who = await person(site)
    raw = json.dumps({"rating": 5, "text": TEXT * 2}).replace("in the end", "\\ud800").encode()
    headers = who.headers | {"Content-Type": "application/json"}
    async with site.client.post(path(90), data=raw, headers=headers) as answer:
        assert answer.status in (400, 422)


@pytest.mark.parametrize(
    "text", ["👨‍👩‍👧‍👦" * 100, "<script>alert(1)</script> & \"quotes\" 'n' \\ " * 5, "レビュー" * 30, "х" * 5000]
)
async def test_any_text_comes_back_as_it_was_sent(site: Running, text: str) -> None:
    who, release = await person(site), 87
    made = await write(site, who, release, text=text)
    assert made["text"] == text
    assert (await read(site, f"/api/v1/reviews/{made['id']}"))["text"] == text


async def test_three_a_day_and_the_headers_say_so(site: Running) -> None:
    who = await person(site)
    left = []
    for number in (3, 6, 9):
        body = {"rating": 5, "text": words(who.id * 1000 + number)}
        async with site.client.post(path(number), json=body, headers=who.headers) as answer:
            assert answer.status == 201
            policies = dict(part.strip().split(";", 1) for part in answer.headers["RateLimit"].split(","))
            left.append(policies['"reviews"'].split(";")[0])
            made = (await answer.json())["id"]
    assert left == ["r=2", "r=1", "r=0"]
    assert await status(site, "DELETE", f"/api/v1/reviews/{made}", who) == 204
    answer = await site.client.post(path(9), json={"rating": 5, "text": words(1)}, headers=who.headers)
    assert 86_000 < int(answer.headers["Retry-After"]) <= 86_400
    await problem(answer, 429)
    # Whatever is refused costs nothing, and neither does what is in the way before.
    await problem(await site.client.post(path(3), json={"rating": 5, "text": words(2)}, headers=who.headers), 409)
    await sql(site, "update reviews set created_at = created_at - interval '1 day' where user_id = $1", who.id)
    assert await status(site, "POST", path(9), who, {"rating": 5, "text": words(3)}) == 201


async def test_a_post_sent_again_with_its_key_has_no_second_effect(site: Running, release: int) -> None:
    who, key = await person(site), uuid4().hex
    first = await write(site, who, release, **{"Idempotency-Key": key})
    again = await write(site, who, release, **{"Idempotency-Key": key})
    assert first == again
    assert await sql(site, "select count(*) from reviews where user_id = $1", who.id) == 1


async def test_a_review_is_changed_by_its_author_alone_and_deleted_by_nobody_without_a_say(
    site: Running, release: int
) -> None:
    who, other, moderator = await person(site), await person(site), await person(site, role="moderator")
    made = await write(site, who, release, 2)
    where = f"/api/v1/reviews/{made['id']}"
    for stranger in (other, moderator):
        assert await status(site, "PATCH", where, stranger, {"rating": 1}) == 403
    assert await status(site, "DELETE", where, other) == 403
    async with site.client.patch(where, json={"rating": 10, "text": words(5)}, headers=who.headers) as answer:
        changed = await answer.json()
    assert (changed["rating"], changed["text"]) == (10, words(5))
    assert changed["edited_at"] is not None
    assert await status(site, "PATCH", where, who, {"rating": 0}) == 422
    assert await status(site, "PATCH", where, who, {"rating": None}) == 422
    assert (await read(site, path(release)))["average_rating"] == 10
    assert [await status(site, "DELETE", where, who) for _ in range(2)] == [204, 204]
    assert (await read(site, path(release)))["count"] == 0
    await problem(await site.client.get(where), 404)
    await problem(await site.client.get(where, headers=who.headers), 404)
    await write(site, who, release, 5, words(6))


async def test_a_held_review_is_answered_with_its_state_and_shown_to_its_author(site: Running, release: int) -> None:
    who, other, moderator = await person(site), await person(site), await person(site, role="moderator")
    held = await write(site, who, release, 4, words(1) + " see www.example.com/offer")
    assert (held["state"], held["held_for"]) == ("pending", ["links"])
    where = f"/api/v1/reviews/{held['id']}"
    assert (await read(site, path(release)))["count"] == 0
    for stranger in (None, other):
        await problem(await site.client.get(where, headers={} if stranger is None else stranger.headers), 404)
    for allowed in (who, moderator):
        assert (await read(site, where, allowed))["state"] == "pending"
    assert await status(site, "PUT", f"{where}/helpful", other) == 404


async def test_a_helpful_vote_counts_once_and_never_on_ones_own(site: Running, release: int) -> None:
    who, one, two = [await person(site) for _ in range(3)]
    made = await write(site, who, release)
    where = f"/api/v1/reviews/{made['id']}/helpful"
    assert [await status(site, "PUT", where, voter) for voter in (one, one, two, who)] == [204, 204, 204, 403]
    seen = {voter.id: (await read(site, path(release), voter))["results"][0] for voter in (one, two, who)}
    assert [seen[voter.id]["helpful_count"] for voter in (one, two, who)] == [2, 2, 2]
    assert [seen[voter.id]["is_helpful"] for voter in (one, two, who)] == [True, True, False]
    # Visitors, too, see each of them at once.
    shown = f"/api/v1/reviews/{made['id']}"
    assert [
        (await read(site, path(release)))["results"][0]["helpful_count"],
        (await read(site, shown))["helpful_count"],
    ] == [2, 2]
    assert [await status(site, "DELETE", where, voter) for voter in (one, one, who)] == [204, 204, 403]
    assert (await read(site, shown, one))["helpful_count"] == 1
    assert [
        (await read(site, path(release)))["results"][0]["helpful_count"],
        (await read(site, shown))["helpful_count"],
    ] == [1, 1]
    assert await status(site, "PUT", where, two) == 204
    with queries_seen() as seen:
        await read(site, path(release))
    assert "list_reviews" not in seen, "what has changed nothing makes no page stale"
    assert await status(site, "PUT", "/api/v1/reviews/999999999/helpful", one) == 404


async def test_visitors_get_a_kept_page_and_a_write_makes_it_new_at_once(site: Running, release: int) -> None:
    who = await person(site)
    await read(site, path(release))
    with queries_seen() as seen:
        async with site.client.get(path(release)) as answer:
            assert answer.headers["Cache-Control"].startswith("public, max-age=5, s-maxage=10")
            assert f"reviews:{release}" in answer.headers["Surrogate-Key"].split()
            etag = answer.headers["ETag"]
    assert "list_reviews" not in seen
    async with site.client.get(path(release), headers={"If-None-Match": etag}) as answer:
        assert answer.status == 304
    made = await write(site, who, release, 6)
    where = f"/api/v1/reviews/{made['id']}"
    assert (await read(site, path(release)))["results"][0]["id"] == made["id"]
    assert (await read(site, where))["rating"] == 6
    for change, expected in ({"rating": 3}, 3), ({"rating": 8}, 8):
        assert await status(site, "PATCH", where, who, change) == 200
        assert (await read(site, path(release)))["average_rating"] == expected
        assert (await read(site, where))["rating"] == expected


async def test_whoever_has_signed_in_never_gets_what_visitors_get(site: Running, release: int) -> None:
    who, other = await person(site), await person(site)
    await write(site, who, release)
    # Hot for visitors, by the short way too.
    for _ in range(3):
        assert "is_mine" not in (await read(site, path(release)))["results"][0]
    kept = site.app[CACHE].keys()
    for reader, mine in ((who, True), (other, False), (who, True)):
        async with site.client.get(path(release), headers=reader.headers) as answer:
            assert answer.headers["Cache-Control"] == "private, no-cache"
            assert "Authorization" in answer.headers["Vary"]
            assert (await answer.json())["results"][0]["is_mine"] is mine
    # Something may have been dropped meanwhile; nothing of what the signed-in were given came in.
    assert site.app[CACHE].keys() <= kept
    assert "is_mine" not in (await read(site, path(release)))["results"][0]


async def test_what_a_moderator_decides_is_seen_at_once(site: Running, release: int) -> None:
    who, moderator = await person(site), await person(site, role="moderator")
    made = await write(site, who, release, 6)
    for state, shown in (("hidden", None), ("visible", 6), ("pending", None), ("visible", 6)):
        decide = f"/api/v1/admin/reviews/{made['id']}/moderate"
        async with site.client.post(decide, json={"state": state}, headers=moderator.headers) as answer:
            assert answer.status == 200, await answer.text()
        page = await read(site, path(release))
        assert (page["average_rating"], page["count"]) == (shown, int(shown is not None))
        async with site.client.get(f"/api/v1/reviews/{made['id']}") as answer:
            assert answer.status == (200 if shown else 404)
        assert (await read(site, f"/api/v1/reviews/{made['id']}", who))["state"] == state


async def test_a_review_is_in_its_authors_statistics_and_activity(site: Running, release: int) -> None:
    who = await person(site)
    made = await write(site, who, release)
    assert (await read(site, "/api/v1/profile/stats", who))["reviews_count"] == 1
    await drain(site)
    assert (await read(site, f"/api/v1/users/{who.id}/stats"))["reviews_count"] == 1
    (entry,) = (await read(site, f"/api/v1/users/{who.id}/activity"))["results"]
    assert (entry["action_type"], entry["target"]["id"]) == ("reviewed", release)
    assert entry["description"] == f"{who.username} reviewed {entry['target']['title']}"
    assert await status(site, "DELETE", f"/api/v1/reviews/{made['id']}", who) == 204
    assert (await read(site, "/api/v1/profile/stats", who))["reviews_count"] == 0


async def many(site: Running, release: int, count: int) -> list[int]:
    """The ids of so many reviews of a release, made straight in the database."""
    ids: list[int] = await sql(
        site,
        """with people as (
               insert into users (username, username_key)
               select format('many-%s-%s', $1::bigint, n), format('many-%s-%s', $1::bigint, n)
               from generate_series(1, $2::integer) n
               returning id
           ), made as (
               insert into reviews (release_id, user_id, rating, text, counted, announced, helpful, created_at)
               select $1, id, 1 + id % 10, 'Seeded', true, true, id % 4, now() from people
               returning id, rating
           ), talk as (
               insert into release_talk (release_id, reviews, review_rating_sum)
               select $1, count(*), sum(rating) from made
           )
           select array_agg(id order by id) from made""",
        release, count,
    )  # fmt: skip
    return ids


@pytest.mark.parametrize("sort", ["-helpful", "helpful", "newest", "created", "-rating", "rating"])
async def test_the_links_lead_through_every_page(site: Running, sort: str) -> None:
    release = 84
    if not await sql(site, "select count(*) from reviews where release_id = $1", release):
        await many(site, release, 45)
    seen: list[int] = []
    following: str | None = f"{path(release)}?sort={sort}&limit=20"
    before: str | None = None
    while following is not None:
        page = await read(site, following)
        assert page["count"] == 45
        if before is not None:
            assert (await read(site, page["previous"]))["results"][0]["id"] == seen[-20]
        seen += [row["id"] for row in page["results"]]
        before, following = following, page["next"]
    assert len(seen) == len(set(seen)) == 45


async def test_deep_pages_go_on_by_cursor_and_a_cursor_of_another_order_is_refused(site: Running) -> None:
    release = 81
    ids = await many(site, release, 300)
    deep = await read(site, f"{path(release)}?sort=newest&limit=100&page=2")
    assert [row["id"] for row in deep["results"]] == ids[::-1][100:200]
    await problem(await site.client.get(f"{path(release)}?limit=100&page=101"), 422)
    await problem(await site.client.get(f"{path(release)}?cursor=nonsense"), 422)
    await problem(await site.client.get(f"{path(release)}?sort=best"), 422)
    # Beyond ten thousand rows: the last page by number links to a cursor.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bodies, "DEEPEST", 100)
        wanted = ReviewsQuery(sort="newest", limit=50, page=2)
        body = json.loads((await bodies.page(site.app[DATABASE], str(release), wanted, path(release))).body)
    assert "cursor=" in body["next"]
    assert [row["id"] for row in (await read(site, body["next"]))["results"]] == ids[::-1][100:150]
    await problem(await site.client.get(body["next"].replace("newest", "-rating")), 422)


async def test_a_release_goes_by_its_slug_too_and_one_that_is_gone_has_no_reviews(site: Running, release: int) -> None:
    who = await person(site)
    slug = await sql(site, "select slug from releases where id = $1", release)
    body = {"rating": 5, "text": words(who.id)}
    assert (await read(site, f"/api/v1/releases/{slug}/reviews"))["count"] == 0
    async with site.client.post(f"/api/v1/releases/{slug}/reviews", json=body, headers=who.headers) as answer:
        assert answer.status == 201
        assert (await answer.json())["release_id"] == release
    assert (await read(site, f"/api/v1/releases/{slug}/reviews"))["count"] == 1
    for nowhere in ("999999999", "no-such-slug", "%00"):
        await problem(await site.client.get(f"/api/v1/releases/{nowhere}/reviews"), 404)
        await problem(
            await site.client.post(f"/api/v1/releases/{nowhere}/reviews", json=body, headers=who.headers), 404
        )


async def test_quotas_can_be_switched_off(site: Running, release: int) -> None:
    limits = site.app[METER].limits
    before, who = limits["reviews"], await person(site)
    limits["reviews"] = replace(before, quota=0)
    try:
        for number in (63, 66, 69, 72, 75):
            await write(site, who, number)
    finally:
        limits["reviews"] = before
