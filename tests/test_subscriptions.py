"""Subscriptions: what may be followed, by whom, how often, and what devices hear of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from server.database import connect
from server.errors import Conflict, NotFound, Unauthenticated
from server.keys import DATABASE
from server.schemas.subscriptions import Subscription, SubscriptionPage
from sql import subscriptions
from tests.conftest import Server
from tests.http_fixture import SHARED, problem, queries_seen, shared_site
from tests.people import Person, person
from tests.running import Running
from tests.working import execute

PATH = "/api/v1/subscriptions"


def on_18(test: Any) -> Any:
    for mark in SHARED:
        test = mark(test)
    return test


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with shared_site(server, tmp_path_factory.mktemp("site")) as started:
        yield started


async def follow(site: Running, who: Person, kind: str, target: int, **headers: str) -> tuple[int, dict[str, Any]]:
    body = {"subscription_type": kind, "target_id": target}
    async with site.client.post(PATH, json=body, headers=who.headers | headers) as answer:
        return answer.status, await answer.json()


async def events(site: Running, who: Person) -> list[dict[str, Any]]:
    conn = await connect(site.app[DATABASE].dsn)
    try:
        rows = await conn.fetch("select topic, entity, payload from outbox where user_id = $1 order by id", who.id)
        return [dict(row) for row in rows]
    finally:
        await conn.close()


async def revision(site: Running, who: Person) -> int | None:
    found: int | None = await execute(
        site.app[DATABASE].dsn, f"select revision from user_revisions where user_id = {who.id}"
    )
    return found


@on_18
async def test_a_release_a_genre_and_a_franchise_are_followed(site: Running) -> None:
    who = await person(site)
    made = []
    for kind, target in (("release", 3), ("genre", 1), ("franchise", 1)):
        body = {"subscription_type": kind, "target_id": target}
        async with site.client.post(PATH, json=body, headers=who.headers) as answer:
            assert answer.status == 201
            found = msgspec.json.decode(await answer.read(), type=Subscription)
            assert (found.subscription_type, found.target_id) == (kind, target)
            assert found.title
            assert answer.headers["Location"] == f"{PATH}/{found.id}"
            assert answer.headers["Cache-Control"] == "private, no-store"
            made.append(found)
    async with site.client.get(PATH, headers=who.headers) as answer:
        page = msgspec.json.decode(await answer.read(), type=SubscriptionPage)
        assert (page.count, page.results) == (3, made[::-1])
    assert await revision(site, who) == 3
    assert [event["payload"] for event in await events(site, who)] == [
        {"subscription_type": one.subscription_type, "target_id": one.target_id} for one in made
    ]
    assert {(event["topic"], event["entity"]) for event in await events(site, who)} == {
        ("subscription", f"user:{who.id}")
    }


@on_18
async def test_pages_and_the_filter_go_together(site: Running) -> None:
    who, other = await person(site), await person(site)
    for target in (3, 6, 9):
        await follow(site, who, "release", target)
    await follow(site, who, "genre", 1)
    await follow(site, other, "release", 3)
    async with site.client.get(f"{PATH}?subscription_type=release&limit=2", headers=who.headers) as answer:
        body = await answer.json()
        assert (body["count"], [row["target_id"] for row in body["results"]]) == (3, [9, 6])
        assert body["next"] == f"{PATH}?subscription_type=release&limit=2&page=2"
    async with site.client.get(body["next"], headers=who.headers) as answer:
        assert [row["target_id"] for row in (await answer.json())["results"]] == [3]
    async with site.client.get(f"{PATH}?subscription_type=person", headers=who.headers) as answer:
        await problem(answer, 422)


@on_18
@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"subscription_type": "release", "target_id": 4}, 404),
        ({"subscription_type": "genre", "target_id": 10**15}, 404),
        ({"subscription_type": "franchise", "target_id": 2**63 - 1}, 404),
        ({"subscription_type": "release", "target_id": 2**63}, 422),
        ({"subscription_type": "release", "target_id": 0}, 422),
        ({"subscription_type": "release", "target_id": "3"}, 422),
        ({"subscription_type": "studio", "target_id": 3}, 422),
        ({"subscription_type": "release"}, 422),
        ({"subscription_type": "release", "target_id": 3, "colour": "red"}, 422),
        ({"subscription_type": "release\0", "target_id": 3}, 422),
    ],
)
async def test_what_cannot_be_followed_is_refused_and_changes_nothing(
    site: Running, body: dict[str, Any], status: int
) -> None:
    who = await person(site)
    async with site.client.post(PATH, json=body, headers=who.headers) as answer:
        await problem(answer, status)
    assert (await revision(site, who), await events(site, who)) == (None, [])


@on_18
async def test_a_hidden_release_cannot_be_followed_and_shows_no_title(site: Running) -> None:
    who, late = await person(site), await person(site)
    await follow(site, who, "release", 87)
    dsn = site.app[DATABASE].dsn
    await execute(dsn, "update releases set is_published = false where id = 87")
    assert (await follow(site, late, "release", 87))[0] == 404
    async with site.client.get(PATH, headers=who.headers) as answer:
        assert [row["title"] for row in (await answer.json())["results"]] == [None]
    await execute(dsn, "update releases set is_published = true where id = 87")


@on_18
async def test_a_duplicate_is_a_conflict_until_it_is_deleted(site: Running) -> None:
    who = await person(site)
    _, made = await follow(site, who, "release", 3)
    assert (await follow(site, who, "release", 3))[0] == 409
    assert await revision(site, who) == 1
    async with site.client.delete(f"{PATH}/{made['id']}", headers=who.headers) as answer:
        assert answer.status == 204
    status, again = await follow(site, who, "release", 3)
    # It is the same one, revived, and devices hear of it by its revision.
    assert (status, again["id"], again["created_at"] > made["created_at"]) == (201, made["id"], True)
    rows = "select count(*) || ' ' || max(revision) || ' ' || count(deleted_at) from subscriptions where user_id = "
    assert await execute(site.app[DATABASE].dsn, f"{rows}{who.id}") == "1 3 0"
    assert (await revision(site, who), len(await events(site, who))) == (3, 2)


async def test_of_several_that_were_deleted_the_newest_is_revived_and_found_by_an_index(conn: Any) -> None:
    await conn.execute("insert into genres (id, slug, name, name_key) values (1, 'a', 'A', 'a')")
    await many(conn, 7, 0)
    await conn.execute(
        "insert into subscriptions (id, user_id, subscription_type, target_id, deleted_at)"
        " select 900000 + n, 7, 'genre', 1 + n % 2, now() from generate_series(1, 100) n"
    )
    assert (await subscriptions.create(conn, 7, "genre", 1)).id == 900100
    assert await conn.fetchval("select count(*) from subscriptions where user_id = 7 and deleted_at is null") == 1
    plan = await conn.fetch(
        "explain select id from subscriptions where user_id = 8 and subscription_type = 'genre' and target_id = 9"
        " and deleted_at is not null order by id desc limit 1"
    )
    assert "subscriptions_deleted" in str(plan)


@on_18
async def test_of_many_at_once_one_is_made(site: Running) -> None:
    who = await person(site)
    answers = await asyncio.gather(*(follow(site, who, "release", 3) for _ in range(12)))
    assert sorted(status for status, _ in answers) == [201] + [409] * 11
    assert (await revision(site, who), len(await events(site, who))) == (1, 1)


@on_18
async def test_deleting_may_be_repeated_by_its_owner_alone(site: Running) -> None:
    who, other = await person(site), await person(site)
    _, made = await follow(site, who, "genre", 2)
    async with site.client.delete(f"{PATH}/{made['id']}", headers=other.headers) as answer:
        await problem(answer, 404)
    for _ in range(2):
        async with site.client.delete(f"{PATH}/{made['id']}", headers=who.headers) as answer:
            assert (answer.status, await answer.read()) == (204, b"")
            assert answer.headers["Cache-Control"] == "private, no-store"
    async with site.client.delete(f"{PATH}/{10**12}", headers=who.headers) as answer:
        await problem(answer, 404)
    # A tombstone with the revision of its deletion; that is nobody's news.
    row = await execute(
        site.app[DATABASE].dsn,
        f"select row(revision, deleted_at is not null)::text from subscriptions where id = {made['id']}",
    )
    assert (row, await revision(site, who), len(await events(site, who))) == ("(2,t)", 2, 1)


@on_18
async def test_nobody_is_told_anything_without_an_account(site: Running) -> None:
    for method, path in (("GET", PATH), ("POST", PATH), ("DELETE", f"{PATH}/1")):
        async with site.client.request(method, path) as answer:
            await problem(answer, 401)


async def many(conn: Any, user: int, active: int) -> None:
    """So many subscriptions of one user, and some of a thousand others."""
    await conn.execute(
        "insert into users (id, username, username_key)"
        " select n, 'u' || n, 'u' || n from generate_series($1::int, $1 + 1000) n",
        user,
    )
    await conn.execute(
        "insert into subscriptions (user_id, subscription_type, target_id)"
        " select $1, 'release', n from generate_series(1, $2::int) n",
        user, active,
    )  # fmt: skip
    await conn.execute(
        "insert into subscriptions (user_id, subscription_type, target_id, deleted_at)"
        " select $1 + 1 + n % 1000, 'genre', n, case when n % 3 = 0 then now() end from generate_series(1, 40000) n",
        user,
    )
    await conn.execute("analyze subscriptions")


async def test_five_thousand_are_the_most(conn: Any) -> None:
    await conn.execute("insert into genres (id, slug, name, name_key) values (1, 'a', 'A', 'a'), (2, 'b', 'B', 'b')")
    await many(conn, 7, 4_999)
    async with conn.transaction():
        await subscriptions.create(conn, 7, "genre", 1)
    with pytest.raises(Conflict, match="At most 5,000"):
        async with conn.transaction():
            await subscriptions.create(conn, 7, "genre", 2)
    count, rows = await subscriptions.page(conn, 7, None, 100, 0)
    assert (count, len(rows)) == (5_000, 100)


async def test_an_account_that_is_gone_follows_nothing(conn: Any) -> None:
    await conn.execute("insert into genres (id, slug, name, name_key) values (1, 'a', 'A', 'a')")
    with pytest.raises(Unauthenticated):
        await subscriptions.create(conn, 404, "genre", 1)


async def test_a_refusal_leaves_no_trace(conn: Any) -> None:
    await conn.execute("insert into genres (id, slug, name, name_key) values (1, 'a', 'A', 'a')")
    await many(conn, 7, 0)
    assert (await subscriptions.create(conn, 7, "genre", 1)).title == "A"
    await conn.execute("update genres set deleted_at = now() where id = 1")
    for user, kind, target, error in (
        (7, "genre", 1, NotFound), (7, "genre", 2, NotFound), (8, "release", 1, NotFound), (404, "genre", 1, NotFound),
    ):  # fmt: skip
        with pytest.raises(error):
            await subscriptions.create(conn, user, kind, target)
    await conn.execute("update genres set deleted_at = null where id = 1")
    with pytest.raises(Conflict):
        await subscriptions.create(conn, 7, "genre", 1)
    counts = "select (select count(*) from outbox), (select sum(revision) from user_revisions)"
    assert tuple(await conn.fetchrow(counts)) == (1, 1)


async def test_of_two_at_the_bound_one_comes_in(conn: Any, dsn: str) -> None:
    await conn.execute("insert into genres (id, slug, name, name_key) values (1, 'a', 'A', 'a'), (2, 'b', 'B', 'b')")
    await many(conn, 7, 4_999)
    other = await connect(dsn)
    try:
        made = await asyncio.gather(
            subscriptions.create(conn, 7, "genre", 1), subscriptions.create(other, 7, "genre", 2),
            return_exceptions=True,
        )  # fmt: skip
    finally:
        await other.close()
    assert sorted(type(one).__name__ for one in made) == ["Conflict", "Subscription"]
    assert await conn.fetchval("select count(*) from subscriptions where user_id = 7 and deleted_at is null") == 5_000


@on_18
async def test_a_creation_is_one_statement_with_or_without_a_key_and_wakes_the_readers(site: Running) -> None:
    who = await person(site)
    rung: list[int] = []
    bell = site.app[DATABASE].bell
    bell.listeners.append(lambda: rung.append(1))
    try:
        with queries_seen() as names:
            assert (await follow(site, who, "release", 3))[0] == 201
        assert [name for name in names if "subscription" in name] == ["create_subscription"]
        assert len(rung) == 1
        status, made = await follow(site, who, "release", 6, **{"Idempotency-Key": "k"})
        assert (status, await follow(site, who, "release", 6, **{"Idempotency-Key": "k"})) == (201, (201, made))
        assert len(rung) == 2
        assert (await follow(site, who, "release", 6))[0] == 409
        assert len(rung) == 2
    finally:
        bell.listeners.pop()


async def test_a_subscription_without_a_revision_is_deleted_all_the_same(conn: Any) -> None:
    await many(conn, 7, 1)
    mine = await conn.fetchval("select id from subscriptions where user_id = 7")
    async with conn.transaction():
        await subscriptions.delete(conn, 7, mine)
    assert await conn.fetchval("select deleted_at is not null and revision = 1 from subscriptions where id = $1", mine)
    with pytest.raises(NotFound):
        await subscriptions.delete(conn, 8, mine)


def plan_nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for inner in plan.get("Plans", ()) for node in plan_nodes(inner))]


async def test_each_statement_finds_its_rows_by_an_index(conn: Any) -> None:
    await many(conn, 7, 3_000)
    await conn.execute(
        "insert into genres (id, slug, name, name_key) select n, 'g' || n, 'g', 'g' || n from generate_series(1, 500) n"
    )
    await conn.execute(
        "insert into releases (id, slug, title, sort_title)"
        " select n, 'r' || n, 'r', 'r' from generate_series(1, 20000) n"
    )
    await conn.execute("insert into user_revisions (user_id) select id from users")
    await conn.execute("analyze")
    queries = subscriptions.QUERIES
    asked: list[tuple[Any, list[Any]]] = [
        (queries.find_subscription, [5, 7]),
        (queries.raise_for_deletion, [5, 7]),
        (queries.delete_subscription, [5, 7, 1]),
        (queries.list_subscriptions, [7, None, 20, 0]),
        (queries.list_subscriptions, [7, "release", 100, 2_900]),
        (queries.count_subscriptions, [7, "release"]),
    ]
    scans = []
    for query, parameters in asked:
        plan = (await conn.fetchval(f"explain (format json) {query.text}", *parameters))[0]["Plan"]
        scans += [
            (query.name, node["Relation Name"])
            for node in plan_nodes(plan)
            if node["Node Type"] == "Seq Scan"
            and node["Relation Name"] in ("subscriptions", "releases", "user_revisions")
        ]
    assert scans == []
