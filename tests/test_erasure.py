"""DELETE /profile: afterwards neither a dump of the database nor the data directory knows that somebody was here."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path
from typing import Any

import pytest

from server.keys import IDENTITIES
from server.postgres import binaries
from tests import catalogue_seed
from tests.http_fixture import ON_18, problem
from tests.outboxes import drain
from tests.people import Person, person
from tests.running import Running, running
from tests.test_exports import export, keep

pytestmark = ON_18
MARK = "quetzalcoatlus"
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture
async def site(conn: Any, dsn: str, tmp_path: Path) -> Any:
    """A server over releases 3, 6, … 90."""
    await catalogue_seed.fill(conn, 30)
    # The seed's numbers come from nobody.
    await conn.execute("update popularity_metrics set favorites = 0, rating_count = 0, average_rating = 0")
    async with running(dsn, tmp_path) as started:
        yield started


def dump(dsn: str) -> str:
    """All rows of the database, as pg_dump writes them."""
    program = binaries.embedded().directory / "pg_dump"
    done = subprocess.run([program, "--data-only", "--inserts", dsn], capture_output=True, text=True, check=True)
    return done.stdout


def marked(folder: Path) -> list[Path]:
    """The files below the folder that hold the mark."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return [path for path in files if MARK.encode() in path.read_bytes().lower()]


async def live(site: Running, who: Person, conn: Any) -> None:
    """Leave traces everywhere a user can."""
    await keep(site, who)
    sent = who.headers | {"User-Agent": BROWSER}
    view = {"release_id": 3, "episode_id": 1, "duration_seconds": 1400, "completion_percentage": 100}
    profile = {"name": f"{MARK} name", "bio": f"{MARK} bio"}
    token = {"name": f"{MARK} token", "scopes": ["read"]}
    follow = {"subscription_type": "release", "target_id": 3}
    for method, path, body, extra in (
        ("PATCH", "profile", profile, {}),
        ("POST", "views", view, {}),
        ("POST", "auth/tokens", token, {}),
        ("POST", "subscriptions", follow, {"Idempotency-Key": MARK}),
    ):
        async with site.client.request(method, f"/api/v1/{path}", json=body, headers=sent | extra) as answer:
            assert answer.status < 300, (path, await answer.text())
    async with site.client.get("/api/v1/releases/3/reviews") as answer:
        (others,) = (await answer.json())["results"]
    said, judged = {"text": f"{MARK} says"}, {"rating": 5, "text": f"{MARK} judges. " * 10}
    for method, path, body in (
        ("POST", "releases/3/comments", said),
        ("POST", "releases/3/reviews", judged),
        ("PUT", f"reviews/{others['id']}/helpful", None),
        ("POST", f"reviews/{others['id']}/reports", {"reason": "other", "note": f"{MARK} complains"}),
    ):
        async with site.client.request(method, f"/api/v1/{path}", json=body, headers=sent) as answer:
            assert answer.status < 300, (path, await answer.text())
    rows = f"anime_id,title,score,status,watched_episodes\n777,{MARK} title,5,2,1\n".encode()
    headers = who.headers | {"Prefer": "wait=10"}
    async with site.client.post("/api/v1/profile/import", data=rows, headers=headers) as answer:
        assert (await answer.json())["status"] == "succeeded"
    await conn.execute(
        "insert into sessions (user_id, user_agent, expires_at) values ($1, $2, now() + interval '1 day')", who.id, MARK
    )
    await conn.execute(
        "insert into outbox_deliveries (consumer, xid, event_id, topic, entity, user_id, payload, created_at, dead_at)"
        " values ('mailer', '1', 1, 'mail', $1, $2, $3, now(), now())", f"user:{who.id}", who.id, {"kind": MARK},
    )  # fmt: skip
    await export(site, who)


async def until(conn: Any, query: str, *parameters: Any) -> None:
    """Wait until the query answers 0."""
    for _ in range(600):
        if await conn.fetchval(query, *parameters) == 0:
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"still not so: {query}")


async def test_nothing_of_an_erased_user_is_left_anywhere(site: Running, conn: Any, dsn: str, tmp_path: Path) -> None:
    who = await person(site, MARK)
    other = await person(site)
    await keep(site, other, rating=4)
    judged = {"rating": 8, "text": "What somebody thinks who stays. " * 5}
    async with site.client.post("/api/v1/releases/3/reviews", json=judged, headers=other.headers) as answer:
        assert answer.status == 201
    await live(site, who, conn)
    await drain(site)
    assert MARK in dump(dsn)
    assert list((tmp_path / "exports").iterdir())
    assert await conn.fetchval("select count(*) from view_metrics where viewer = $1", -who.id) == 1

    async with site.client.delete("/api/v1/profile", headers=who.headers) as answer:
        assert answer.status == 204, await answer.text()
    await problem(await site.client.get("/api/v1/profile", headers=who.headers), 401)
    await drain(site)
    await until(conn, "select count(*) from outbox_deliveries where consumer = 'eraser'")

    left = [line for line in dump(dsn).splitlines() if MARK in line.lower()]
    assert left == []
    for table in ("view_metrics", "view_viewers"):
        assert await conn.fetchval(f"select count(*) from {table} where viewer = $1", -who.id) == 0
    columns = await conn.fetch(
        "select table_name, column_name from information_schema.columns"
        " where table_schema = 'public' and column_name in ('user_id', 'actor_id', 'author_id', 'moderator_id')"
        " and table_name <> 'revocations'"
    )
    assert len(columns) > 10
    for table, column in columns:
        assert await conn.fetchval(f"select count(*) from {table} where {column} = $1", who.id) == 0, table
    assert marked(tmp_path) == []
    assert list((tmp_path / "exports").iterdir()) == []
    # What they watched and liked stays counted where it is nobody's, and is taken back where it was an opinion.
    assert await conn.fetchval("select count(*) from view_metrics") == 1
    found = await conn.fetchrow(
        "select favorites, rating_count, rating_sum from popularity_metrics where release_id = 3"
    )
    assert tuple(found) == tuple(
        await conn.fetchrow(
            "select count(*) filter (where kind = 1), count(*) filter (where kind = 3),"
            " sum(value) filter (where kind = 3) from library_entries where release_id = 3"
        )
    )


async def test_changes_that_were_accepted_outlive_the_account_that_asked_for_them(site: Running, conn: Any) -> None:
    who = await person(site, role="admin")
    add = "insert into operations (user_id, kind, file, shared, status, entities) values ($1, $2, $3, $4, $5, $6)"
    # Not to be taken up while the account goes.
    await conn.execute(add, who.id, "waits", "imports/catalogue", True, "queued", ["release:3"])
    await conn.execute(add, who.id, "mine", "exports/mine", False, "succeeded", [])
    async with site.client.delete("/api/v1/profile", headers=who.headers) as answer:
        assert answer.status == 204, await answer.text()
    rows = await conn.fetch("select kind, user_id, status, file from operations")
    assert [tuple(row) for row in rows] == [("waits", None, "queued", "imports/catalogue")]
    left = "select payload->'files' from outbox_deliveries where consumer = 'eraser' and payload->'files' ? $1"
    assert await conn.fetchval(left, "imports/catalogue") is None


async def test_a_change_that_was_under_way_becomes_nobodys_when_the_late_eraser_comes(site: Running, conn: Any) -> None:
    who = await person(site, role="admin")
    async with site.client.delete("/api/v1/profile", headers=who.headers) as answer:
        assert answer.status == 204
    await until(conn, "select count(*) - 1 from outbox_deliveries where consumer = 'late_eraser'")
    await conn.execute(
        "insert into revisions (noun, entity_id, action, origin, actor_id) values ('release', 3, 'updated', 'cms', $1)",
        who.id,
    )
    await conn.execute("update outbox_deliveries set due_at = now() where consumer = 'late_eraser'")
    await until(conn, "select count(*) from revisions where actor_id = $1", who.id)
    assert await conn.fetchval("select count(*) from revisions where entity_id = 3 and actor_id is null") == 1


async def test_views_that_were_on_their_way_become_nobodys_when_the_late_eraser_comes(site: Running, conn: Any) -> None:
    who = await person(site)
    async with site.client.delete("/api/v1/profile", headers=who.headers) as answer:
        assert answer.status == 204
    await until(conn, "select count(*) - 1 from outbox_deliveries where consumer = 'late_eraser'")
    await conn.execute(
        "insert into view_metrics (received_on, batch_seq, event_id, release_id, viewer, duration_seconds,"
        " completion_percentage, viewed_at) values (current_date, 1, gen_random_uuid(), 3, $1, 5, 5, now())", -who.id,
    )  # fmt: skip
    await conn.execute("update outbox_deliveries set due_at = now() where consumer = 'late_eraser'")
    await until(conn, "select count(*) from view_metrics where viewer = $1", -who.id)


async def test_an_api_token_cannot_erase_its_account_and_a_second_erasure_finds_nobody(
    site: Running, conn: Any
) -> None:
    who = await person(site)
    draft = {"name": "machine", "scopes": ["read", "write"]}
    async with site.client.post("/api/v1/auth/tokens", json=draft, headers=who.headers) as answer:
        token = (await answer.json())["token"]
    headers = {"Authorization": f"Bearer {token}"}
    document = await problem(await site.client.delete("/api/v1/profile", headers=headers), 403)
    assert document["code"] == "insufficient_scope"
    async with site.client.delete("/api/v1/profile", headers=who.headers) as answer:
        assert answer.status == 204
    await problem(await site.client.delete("/api/v1/profile", headers=who.headers), 401)
    await problem(await site.client.get("/api/v1/profile", headers=headers), 401)
    assert site.app[IDENTITIES].revocations.versions[who.id] > 1
