"""Administrators make webhooks; what happens to the catalogue reaches them, signed, once, in order."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from standardwebhooks import Webhook

from actors.consumers.webhooks import Webhooks
from server.keys import DATABASE
from server.postgres import binaries
from sql import erasure
from sql.outbox import Event
from tests.conftest import Server
from tests.http_fixture import SHARED, problem, shared_site
from tests.outboxes import drain, publish
from tests.people import Person, person
from tests.running import Running
from tests.webhook_receiver import Receiver, receiving, until

pytestmark = SHARED
HOOKS = "/api/v1/admin/webhooks"
ROOT = Path(__file__).resolve().parents[1]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """One server for all tests here, whose webhooks may be on this machine."""
    folder = tmp_path_factory.mktemp("data")
    async with shared_site(server, folder, WEBHOOK_ALLOW="127.0.0.1/32") as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def conn(site: Running) -> AsyncIterator[Any]:
    """A connection to a site without webhooks."""
    connection = await asyncpg.connect(site.app[DATABASE].dsn)
    await connection.execute("delete from webhooks")
    yield connection
    await connection.execute("delete from webhooks")
    await connection.close()


@pytest_asyncio.fixture(loop_scope="module")
async def admin(site: Running) -> Person:
    return await person(site, role="admin")


async def call(site: Running, admin: Person, method: str, path: str, status: int = 200, **sent: Any) -> Any:
    headers = admin.headers | sent.pop("headers", {})
    async with site.client.request(method, path, headers=headers, **sent) as answer:
        if status >= 400:
            return await problem(answer, status)
        assert answer.status == status, await answer.text()
        return await answer.json() if status != 204 else None


async def make(site: Running, admin: Person, receiver: Receiver, **fields: Any) -> dict[str, Any]:
    """A webhook for this receiver, which knows its secret."""
    made: dict[str, Any] = await call(site, admin, "POST", HOOKS, 201, json={"url": receiver.url, **fields})
    receiver.secrets.append(made["secret"])
    return made


async def happen(site: Running, *payloads: dict[str, Any]) -> None:
    """Let this have happened to the catalogue, and be written down for whoever wants to hear of it."""
    await publish(site, *(Event("catalogue", "catalogue", payload) for payload in payloads))
    await drain(site, Webhooks())


async def test_a_webhook_is_made_shown_changed_and_deleted(site: Running, conn: Any, admin: Person) -> None:
    async with receiving() as receiver:
        sent = {"url": receiver.url, "description": " site ", "topics": ["release.updated", "release.updated"]}
        async with site.client.post(HOOKS, json=sent, headers=admin.headers) as answer:
            assert answer.status == 201
            made = await answer.json()
            assert answer.headers["Location"] == f"{HOOKS}/{made['id']}"
        secret = made.pop("secret")
        assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", secret)
        assert made["topics"] == ["release.updated"]
        assert (made["description"], made["enabled"], made["failures"]) == ("site", True, 0)
        one = f"{HOOKS}/{made['id']}"
        assert await call(site, admin, "GET", one) == made
        assert (await call(site, admin, "GET", HOOKS))["results"] == [made]
        changed = await call(site, admin, "PATCH", one, json={"topics": [], "enabled": False})
        assert (changed["topics"], changed["enabled"], changed["disabled_reason"]) == ([], False, "manual")
        assert (changed["url"], changed["description"]) == (made["url"], "site")
        again = await call(site, admin, "PATCH", one, json={"enabled": True})
        assert (again["enabled"], again["disabled_at"], again["disabled_reason"]) == (True, None, None)
        await call(site, admin, "DELETE", one, 204)
        for method, path in (("GET", one), ("DELETE", one), ("GET", f"{one}/deliveries"), ("POST", f"{one}/rotate")):
            await call(site, admin, method, path, 404)
        await call(site, admin, "PATCH", one, 404, json={"enabled": True})
        assert (await call(site, admin, "GET", HOOKS))["count"] == 0


async def test_secrets_are_nowhere_in_the_database_nor_in_the_audit(site: Running, conn: Any, admin: Person) -> None:
    async with receiving() as receiver:
        sent = {"headers": {"Idempotency-Key": "once"}, "json": {"url": receiver.url}}
        made = await call(site, admin, "POST", HOOKS, 201, **sent)
        assert await call(site, admin, "POST", HOOKS, 201, **sent) == made, "a second answer, and no second webhook"
        rotated = await call(site, admin, "POST", f"{HOOKS}/{made['id']}/rotate")
        await call(site, admin, "PATCH", f"{HOOKS}/{made['id']}", json={"description": "other"})
        await call(site, admin, "DELETE", f"{HOOKS}/{made['id']}", 204)
    assert rotated["secret"] != made["secret"]
    program = binaries.embedded().directory / "pg_dump"
    command = [str(program), "--data-only", "--inserts", site.app[DATABASE].dsn]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    dump = (await process.communicate())[0].decode()
    for secret in (made["secret"], rotated["secret"]):
        assert secret not in dump
        assert secret.removeprefix("whsec_") not in dump
    rows = await conn.fetch(
        "select action, actor_id, diff::text from revisions where noun = 'webhook' and entity_id = $1 order by id",
        made["id"],
    )
    assert [(row["action"], row["actor_id"]) for row in rows] == [
        ("created", admin.id), ("updated", admin.id), ("updated", admin.id), ("deleted", admin.id),
    ]  # fmt: skip
    assert [row["diff"] for row in rows] == [
        "{}", '{"secret": ["hidden", "hidden"]}', '{"description": ["", "other"]}', "{}",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/url"), ({"url": ""}, "/url"), ({"url": 5}, "/url"), ({"url": "https://10.0.0.1/"}, "/url"),
        ({"url": "https://127.0.0.2:8443/"}, "/url"), ({"url": "http://93.184.215.14/"}, "/url"),
        ({"url": "https://127.1/"}, "/url"), ({"url": "https://user:word@example.org/"}, "/url"),
        ({"url": "http://there-is-no-such-name.invalid/"}, "/url"), ({"url": "https://[::ffff:10.0.0.1]/"}, "/url"),
        ({"url": "https://a/", "topics": ["release.exploded"]}, "/topics/0"),
        ({"url": "https://a/", "description": "a\u0000b"}, "/description"),
        ({"url": "https://a/\u0000"}, "/url"), ({"url": "https://a/", "secret": "mine"}, "/secret"),
    ],
)  # fmt: skip
async def test_what_does_not_fit_is_named(
    site: Running, conn: Any, admin: Person, body: dict[str, Any], pointer: str
) -> None:
    document = await call(site, admin, "POST", HOOKS, 422, json=body)
    assert [fault["pointer"] for fault in document["errors"]] == [pointer]
    assert await conn.fetchval("select count(*) from webhooks") == 0


async def test_a_name_that_leads_nowhere_yet_is_looked_up_when_something_is_sent(site: Running, admin: Person) -> None:
    made = await call(site, admin, "POST", HOOKS, 201, json={"url": "https://there-is-no-such-name.invalid/"})
    await call(site, admin, "DELETE", f"{HOOKS}/{made['id']}", 204)


async def test_a_change_of_address_is_looked_at_as_a_new_one_is(site: Running, conn: Any, admin: Person) -> None:
    async with receiving() as receiver:
        made = await make(site, admin, receiver)
        document = await call(site, admin, "PATCH", f"{HOOKS}/{made['id']}", 422, json={"url": "https://10.0.0.1/"})
        assert document["errors"][0]["pointer"] == "/url"


async def test_there_are_at_most_twenty_however_many_ask_at_once(site: Running, conn: Any, admin: Person) -> None:
    async def ask(n: int) -> int:
        async with site.client.post(HOOKS, json={"url": f"http://127.0.0.1:8000/{n}"}, headers=admin.headers) as answer:
            return answer.status

    found = await asyncio.gather(*(ask(n) for n in range(24)))
    assert sorted(found) == [201] * 20 + [409] * 4
    page = await call(site, admin, "GET", f"{HOOKS}?limit=15&page=2")
    assert (page["count"], len(page["results"]), page["next"]) == (20, 5, None)


async def test_only_administrators_come_here(site: Running, conn: Any) -> None:
    moderator = await person(site, role="moderator")
    for method, path in (("GET", HOOKS), ("POST", HOOKS), ("POST", f"{HOOKS}/1/rotate"), ("DELETE", f"{HOOKS}/1")):
        await call(site, moderator, method, path, 403)


async def test_what_happens_to_the_catalogue_arrives_as_the_api_shows_it(
    site: Running, conn: Any, admin: Person
) -> None:
    release_id, first, second = await conn.fetchrow(
        "select release_id, min(id), max(id) from episodes group by release_id having count(*) > 1 order by 1 limit 1"
    )
    await conn.execute("update releases set is_published = false where id = 33")
    async with receiving() as receiver:
        await make(site, admin, receiver)
        await happen(
            site, {"added": [release_id]}, {"updated": [6, 999_999]}, {"deleted": [9]},
            {"episodes": [[release_id, first]]}, {"episodes_updated": [[release_id, second]]},
            {"episodes_deleted": [[release_id, 7]]}, {"added": [33]},
        )  # fmt: skip
        await until(lambda: conn_is_empty(conn))
        release = await call(site, admin, "GET", "/api/v1/releases/6")
        episode = await call(site, admin, "GET", f"/api/v1/episodes/{second}")
    await conn.execute("update releases set is_published = true where id = 33")
    by_type = {message.type: message.body for message in receiver.messages}
    assert sorted(receiver.types) == sorted(
        f"{noun}.{what}" for noun in ("release", "episode") for what in ("created", "updated", "deleted")
    )
    assert by_type["release.updated"]["data"] == release
    assert by_type["episode.updated"]["data"] == episode
    assert by_type["release.deleted"]["data"] == {"id": 9}
    assert by_type["episode.deleted"]["data"] == {"id": 7, "release_id": release_id}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", body["timestamp"]) for body in by_type.values())
    of_one = [one.type for one in receiver.messages if release_id in map(one.body["data"].get, ("id", "release_id"))]
    assert of_one == ["release.created", "episode.created", "episode.updated", "episode.deleted"]


async def conn_is_empty(conn: Any) -> bool:
    """Nothing waits any more."""
    return not await conn.fetchval("select count(*) from webhook_deliveries where status = 'pending'")


async def test_a_webhook_hears_only_what_it_wants_and_nothing_while_it_is_off(
    site: Running, conn: Any, admin: Person
) -> None:
    async with receiving() as some, receiving() as none:
        wanting = await make(site, admin, some, topics=["release.deleted"])
        off = await make(site, admin, none)
        await call(site, admin, "PATCH", f"{HOOKS}/{off['id']}", json={"enabled": False})
        await happen(site, {"added": [3], "updated": [6]}, {"deleted": [9, 12]}, {"episodes": [[3, 1]]})
        rows = await conn.fetch("select webhook_id, topic, entity from webhook_deliveries order by seq")
    assert [tuple(row) for row in rows] == [
        (wanting["id"], "release.deleted", "release:9"), (wanting["id"], "release.deleted", "release:12"),
    ]  # fmt: skip


async def test_a_release_that_is_hidden_again_is_gone_for_those_outside(
    site: Running, conn: Any, admin: Person
) -> None:
    async with receiving() as receiver:
        await make(site, admin, receiver)
        await conn.execute("update releases set is_published = false where id = 30")
        try:
            await happen(site, {"updated": [30]})
            await until(lambda: len(receiver.messages) == 1)
        finally:
            await conn.execute("update releases set is_published = true where id = 30")
    assert (receiver.types, receiver.messages[0].body["data"]) == (["release.deleted"], {"id": 30})


async def test_a_ping_arrives_and_a_replay_brings_the_same_message_again(
    site: Running, conn: Any, admin: Person
) -> None:
    async with receiving() as receiver:
        made = await make(site, admin, receiver)
        one = f"{HOOKS}/{made['id']}"
        sent = await call(site, admin, "POST", f"{one}/test", 202)
        await until(lambda: len(receiver.messages) == 1)
        assert receiver.ids == [sent["id"]]
        assert (receiver.types, receiver.messages[0].body["data"]) == (["ping"], {"webhook_id": made["id"]})
        await until(lambda: conn_is_empty(conn))
        (row,) = (await call(site, admin, "GET", f"{one}/deliveries?status=succeeded"))["results"]
        assert (row["id"], row["attempts"], row["response_status"]) == (sent["id"], 1, 200)
        assert row["next_attempt_at"] is None
        await call(site, admin, "POST", f"{HOOKS}/deliveries/{sent['id']}/replay", 202)
        await until(lambda: len(receiver.messages) == 2)
        assert receiver.messages[0].body == receiver.messages[1].body
        assert receiver.ids[0] == receiver.ids[1]
        await call(site, admin, "PATCH", one, json={"enabled": False})
        await call(site, admin, "POST", f"{one}/test", 409)
        await call(site, admin, "POST", f"{HOOKS}/deliveries/{sent['id']}/replay", 409)
        assert await conn_is_empty(conn)
    await call(site, admin, "POST", f"{HOOKS}/999999/test", 404)
    await call(site, admin, "POST", f"{HOOKS}/deliveries/{sent['id'][:-1]}0/replay", 404)


async def test_a_receiver_that_was_away_gets_everything_once_it_is_switched_on_again(
    site: Running, conn: Any, admin: Person
) -> None:
    async with receiving() as receiver:
        made = await make(site, admin, receiver)
        await conn.execute("update webhooks set disabled_at = now(), disabled_reason = 'failing', failures = 30")
        await conn.execute(
            "insert into webhook_deliveries (webhook_id, topic, entity, subject_id, due_at)"
            " values ($1, 'release.deleted', 'release:9', 9, now() + interval '12 hours')", made["id"],
        )  # fmt: skip
        shown = await call(site, admin, "PATCH", f"{HOOKS}/{made['id']}", json={"enabled": True})
        assert (shown["failures"], shown["disabled_reason"]) == (0, None)
        await until(lambda: len(receiver.messages) == 1)


async def test_the_log_is_paged_by_cursor_and_by_status(site: Running, conn: Any, admin: Person) -> None:
    async with receiving() as receiver:
        made = await make(site, admin, receiver)
        await conn.execute("update webhooks set paused_until = now() + interval '1 hour'")
        await conn.execute(
            """insert into webhook_deliveries (webhook_id, topic, entity, subject_id, status)
               select $1, 'release.deleted', 'release:' || n, n, case when n % 5 = 0 then 'failed' else 'pending' end
               from generate_series(1, 25) n""",
            made["id"],
        )
        log = f"{HOOKS}/{made['id']}/deliveries"
        page = await call(site, admin, "GET", f"{log}?limit=10")
        assert (page["count"], page["previous"]) == (25, None)
        seen = [row["entity"] for row in page["results"]]
        while page["next"]:
            page = await call(site, admin, "GET", page["next"])
            seen += [row["entity"] for row in page["results"]]
        assert seen == [f"release:{n}" for n in range(25, 0, -1)]
        failed = await call(site, admin, "GET", f"{log}?status=failed&limit=3")
        assert (failed["count"], [row["status"] for row in failed["results"]]) == (5, ["failed"] * 3)
        rest = await call(site, admin, "GET", failed["next"])
        assert [row["entity"] for row in rest["results"]] == ["release:10", "release:5"]
        for wrong in ("status=lost", "cursor=x", "limit=101"):
            await call(site, admin, "GET", f"{log}?{wrong}", 422)


async def test_whoever_made_a_webhook_is_forgotten_with_their_account(site: Running, conn: Any) -> None:
    author = await person(site, role="admin")
    async with receiving() as receiver:
        made = await make(site, author, receiver)
    async with site.app[DATABASE].transaction() as erasing:
        await erasure.erase(erasing, author.id)
    assert await conn.fetchrow("select created_by from webhooks where id = $1", made["id"]) == (None,)


async def test_metrics_show_what_became_of_deliveries(site: Running, conn: Any) -> None:
    async with site.client.get("/metrics") as answer:
        text = await answer.text()
    for name in (
        'yojohan_webhook_attempts_total{outcome="failed"}', 'yojohan_webhook_deliveries_total{outcome="succeeded"}',
        "yojohan_webhook_deliveries_pending", "yojohan_webhook_oldest_due_seconds", "yojohan_webhooks_disabled",
        "yojohan_webhook_switched_off_total",
    ):  # fmt: skip
        assert f"\n{name} " in text


async def test_the_receiver_in_the_documentation_works(site: Running, conn: Any, admin: Person, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "webhooks.md").read_text("utf-8")
    (program,) = re.findall(r"```python\n(# receiver\.py\n.*?)```", page, flags=re.DOTALL)
    (tmp_path / "receiver.py").write_text(program)
    wanted = {"url": "http://127.0.0.1:8000/", "topics": ["release.updated"]}
    made = await call(site, admin, "POST", HOOKS, 201, json=wanted)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "receiver.py", cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={"WEBHOOK_SECRET": made["secret"], "PORT": "0", "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(20):
            url = (await process.stdout.readline()).decode().split()[-1]
            await call(site, admin, "PATCH", f"{HOOKS}/{made['id']}", json={"url": f"{url}hook"})
            # Somebody else knows the address, but not the secret.
            now = datetime.now(UTC)
            for signature in (Webhook("whsec_" + "b" * 43 + "=").sign("x", now, "{}"), "v1,", "", "\xff"):
                forged = {"webhook-id": "x", "webhook-timestamp": f"{now:%s}", "webhook-signature": signature}
                async with site.client.post(f"{url}hook", data=b"{}", headers=forged) as answer:
                    assert answer.status == 401
            await happen(site, {"updated": [6]})
            lines = ""
            while "release.updated" not in lines:
                lines += (await process.stdout.readline()).decode()
            assert "Release 2" in lines
            await until(lambda: conn_is_empty(conn))
        # Sent a second time it is taken, and has no second effect.
        delivery = await conn.fetchval("select id from webhook_deliveries where status = 'succeeded'")
        await call(site, admin, "POST", f"{HOOKS}/deliveries/{delivery}/replay", 202)
        async with asyncio.timeout(20):
            while "once more" not in lines:
                lines += (await process.stdout.readline()).decode()
        assert lines.count("release.updated") == 1
    finally:
        process.kill()
        await process.wait()
