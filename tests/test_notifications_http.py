"""Notifications over HTTP: the list, the count, marking, deleting; whose they are, and counts under concurrency."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from server.database import connect
from server.keys import DATABASE, IDENTITIES, UNREAD
from server.schemas.notifications import MarkedRead, Notification, NotificationPage, UnreadCount
from sql import notifications
from sql.notifications import Marked
from sql.outbox import Event
from tests.conftest import Server
from tests.http_fixture import SHARED, log_lines, problem, shared_site
from tests.outboxes import drain, publish
from tests.people import Person, person, sql
from tests.running import Running
from tests.telling import wrongs

pytestmark = SHARED
PATH = "/api/v1/notifications"
BADGE = f"{PATH}/unread/count"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with shared_site(server, tmp_path_factory.mktemp("site"), NOTIFICATION_RATE_LIMIT="0/hour") as started:
        yield started


async def notify(site: Running, who: Person, number: int) -> None:
    """So many notifications for somebody, told by the server's own dispatcher."""
    before = (await badge(site, who)) + number
    conn = await connect(site.app[DATABASE].dsn)
    await conn.execute(
        "insert into notification_events (type, target_type, target_id, release_id, recipient_id, data)"
        " select 'recommendation', 'release', 3, 3, $1, jsonb_build_object('place', i)"
        " from generate_series(1, $2::integer) i",
        who.id, number,
    )  # fmt: skip
    await conn.close()
    await until(site, who, before)


async def until(site: Running, who: Person, unread: int) -> None:
    async with asyncio.timeout(10):
        while await badge(site, who) != unread:  # noqa: ASYNC110 - the other side has no event to wait for
            await asyncio.sleep(0.02)


async def badge(site: Running, who: Person) -> int:
    async with site.client.get(BADGE, headers=who.headers) as answer:
        assert answer.status == 200
        return msgspec.json.decode(await answer.read(), type=UnreadCount).unread_count


async def page(site: Running, who: Person, path: str = PATH, **parameters: str) -> NotificationPage:
    async with site.client.get(path, params=parameters, headers=who.headers) as answer:
        assert answer.status == 200, await answer.text()
        assert answer.headers["Cache-Control"] == "private, no-store"
        return msgspec.json.decode(await answer.read(), type=NotificationPage)


async def mark(site: Running, who: Person, notification_id: int | str) -> tuple[int, MarkedRead | None]:
    path = f"{PATH}/{notification_id}/read" if notification_id != "all" else f"{PATH}/read-all"
    async with site.client.post(path, headers=who.headers) as answer:
        body = await answer.read()
        return answer.status, msgspec.json.decode(body, type=MarkedRead) if answer.status == 200 else None


async def test_a_list_has_what_was_told_the_newest_first_and_says_how_much_is_unread(site: Running) -> None:
    who = await person(site)
    assert (await page(site, who)).results == []
    await notify(site, who, 3)
    found = await page(site, who)
    assert (found.count, found.unread_count, found.next) == (3, 3, None)
    assert [one.data["place"] for one in found.results] == [3, 2, 1]
    first = found.results[0]
    assert first.text == f"You might like {first.release.title}"  # type: ignore[union-attr]
    assert (first.target.type, first.target.id, first.read) == ("release", 3, False)


async def test_pages_follow_their_cursor_whatever_arrives_meanwhile(site: Running) -> None:
    who = await person(site)
    await notify(site, who, 7)
    found = await page(site, who, limit="3")
    seen = [one.id for one in found.results]
    await notify(site, who, 2)
    while found.next is not None:
        found = await page(site, who, found.next)
        assert found.count == 9
        seen += [one.id for one in found.results]
    assert seen == sorted(seen, reverse=True)
    assert len(set(seen)) == 7
    async with site.client.get(PATH, params={"cursor": "bm9uc2Vuc2U"}, headers=who.headers) as answer:
        assert (await problem(answer, 422))["errors"][0]["pointer"] == "/cursor"


async def test_the_unread_ones_alone_can_be_asked_for(site: Running) -> None:
    who = await person(site)
    await notify(site, who, 4)
    ids = [one.id for one in (await page(site, who)).results]
    await mark(site, who, ids[1])
    found = await page(site, who, unread_only="true", limit="2")
    assert (found.count, found.unread_count) == (3, 3)
    assert [one.id for one in found.results] == [ids[0], ids[2]]
    assert found.next is not None
    assert "unread_only=true" in found.next
    assert [one.id for one in (await page(site, who, found.next)).results] == [ids[3]]


async def test_marking_is_idempotent_and_others_have_no_such_notification(site: Running) -> None:
    who, other = await person(site), await person(site)
    await notify(site, who, 2)
    wanted = (await page(site, who)).results[0].id
    assert await mark(site, other, wanted) == (404, None)
    assert await mark(site, who, wanted) == (200, MarkedRead(marked=1, unread_count=1))
    assert await mark(site, who, wanted) == (200, MarkedRead(marked=0, unread_count=1))
    assert await mark(site, who, 10**17) == (404, None)
    assert await mark(site, who, "nonsense") == (404, None)
    assert await badge(site, who) == 1
    assert [one.read for one in (await page(site, who)).results] == [True, False]


async def test_marking_all_says_how_many_that_were(site: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.bodies.notifications.MARKED_AT_ONCE", 2)
    who = await person(site)
    assert await mark(site, who, "all") == (200, MarkedRead(marked=0, unread_count=0))
    await notify(site, who, 5)
    assert await mark(site, who, "all") == (200, MarkedRead(marked=5, unread_count=0))
    assert await badge(site, who) == 0
    assert await mark(site, who, "all") == (200, MarkedRead(marked=0, unread_count=0))


async def test_deleting_takes_it_out_of_the_list_and_of_the_count(site: Running) -> None:
    who, other = await person(site), await person(site)
    await notify(site, who, 3)
    ids = [one.id for one in (await page(site, who)).results]
    await mark(site, who, ids[0])
    for owner, wanted, status in ((other, ids[0], 404), (who, ids[0], 204), (who, ids[1], 204), (who, ids[1], 404)):
        async with site.client.delete(f"{PATH}/{wanted}", headers=owner.headers) as answer:
            assert answer.status == status
    assert await badge(site, who) == 1
    assert [one.id for one in (await page(site, who)).results] == [ids[2]]


async def test_counts_stay_exact_however_many_mark_delete_and_tell_at_once(site: Running) -> None:
    who = await person(site)
    await notify(site, who, 30)
    ids = [one.id for one in (await page(site, who, limit="100")).results]

    async def delete(wanted: int) -> None:
        async with site.client.delete(f"{PATH}/{wanted}", headers=who.headers) as answer:
            assert answer.status in (204, 404)

    # Each is marked twice and a third of them deleted twice, while more arrive.
    work = [mark(site, who, wanted) for wanted in ids * 2]
    doomed = [delete(wanted) for wanted in ids[::3] * 2]
    conn = await connect(site.app[DATABASE].dsn)
    arriving = conn.execute(
        "insert into notification_events (type, target_type, target_id, recipient_id)"
        " select 'recommendation', 'release', i, $1 from generate_series(1, 20) i", who.id,
    )  # fmt: skip
    await asyncio.gather(*work, *doomed, arriving)
    await until(site, who, 20)
    assert await wrongs(conn) == {}
    await conn.close()


async def test_the_badge_asks_no_database_once_it_is_known_and_says_so_everywhere_as_the_long_way_does(
    site: Running,
) -> None:
    who = await person(site)
    await notify(site, who, 2)
    # Whoever tells clients of what is new may ask for itself meanwhile: the line says how the request was answered.
    async with site.client.get(BADGE, headers=who.headers) as answer:
        hot, body = dict(answer.headers), await answer.read()
    line = log_lines(site)[-1]
    assert (line["user_id"], line["route"], line["status_code"], line["cache"]) == (who.id, BADGE, 200, "hit")
    site.app[UNREAD].drop_all()
    async with site.client.get(BADGE, headers=who.headers) as answer:
        assert await answer.read() == body == b'{"unread_count":2}'
        for name in ("Content-Type", "Cache-Control", "X-Content-Type-Options", "Server", "Content-Length"):
            assert answer.headers[name] == hot[name], name
        assert set(answer.headers) == set(hot)
    assert log_lines(site)[-1]["cache"] == "none"


async def test_a_change_by_another_process_reaches_the_badge(site: Running) -> None:
    who = await person(site)
    await notify(site, who, 2)
    conn = await connect(site.app[DATABASE].dsn)
    await notifications.mark_all_read(conn, who.id, 2**63 - 1, 100)
    await conn.close()
    await until(site, who, 0)


async def test_the_short_way_keeps_out_who_may_not_have_the_badge(site: Running) -> None:
    who = await person(site)
    await notify(site, who, 1)
    async with site.client.get(BADGE) as answer:
        await problem(answer, 401)
    async with site.client.get(BADGE, headers={"Authorization": "Bearer nonsense"}) as answer:
        await problem(answer, 401)
    # Known and hot; then the account's credentials change.
    await badge(site, who)
    site.app[IDENTITIES].revocations.versions[who.id] = 2
    async with site.client.get(BADGE, headers=who.headers) as answer:
        await problem(answer, 401)


async def test_an_api_token_needs_its_scope_for_the_badge_on_the_short_way_too(site: Running) -> None:
    who = await person(site)
    tokens = {}
    for scopes in (["read"], ["write"]):
        async with site.client.post(
            "/api/v1/auth/tokens", json={"name": "badge", "scopes": scopes}, headers=who.headers
        ) as answer:
            assert answer.status == 201, await answer.text()
            tokens[scopes[0]] = {"Authorization": f"Bearer {(await answer.json())['token']}"}
    for _ in range(2):
        async with site.client.get(BADGE, headers=tokens["read"]) as answer:
            assert answer.status == 200
        async with site.client.get(BADGE, headers=tokens["write"]) as answer:
            assert (await problem(answer, 403))["code"] == "insufficient_scope"


async def test_what_the_catalogue_publishes_arrives_in_the_reader_s_language(site: Running) -> None:
    who = await person(site)
    await sql(site, "update users set locale = 'ru' where id = $1", who.id)
    async with site.client.post(
        "/api/v1/subscriptions", json={"subscription_type": "release", "target_id": 6}, headers=who.headers
    ) as answer:
        assert answer.status == 201
    episode = await sql(site, "select id from episodes where release_id = 6 order by ordinal limit 1")
    if episode is None:
        episode = await sql(site, "insert into episodes (release_id, ordinal) values (6, 1) returning id")
    await publish(site, Event("catalogue", "catalogue", {"episodes": [[6, episode]]}))
    await drain(site)
    await until(site, who, 1)
    (found,) = (await page(site, who)).results
    assert isinstance(found, Notification)
    assert (found.type, found.title) == ("new_episode", "Новая серия")
    assert "серия 1" in found.text


async def test_a_digest_is_one_sentence(site: Running) -> None:
    who = await person(site)
    data: dict[str, Any] = {"counts": {"new_episode": 7, "reply": 1}, "events": [1, 2]}
    event = await sql(
        site,
        "insert into notification_events (type, target_type, target_id, recipient_id, data, done_at)"
        " values ('digest', 'user', $1, $1, $2, now()) returning id", who.id, msgspec.json.encode(data).decode(),
    )  # fmt: skip
    await sql(site, "insert into notifications (user_id, event_id) values ($1, $2)", who.id, event)
    await sql(site, "insert into notification_budgets (user_id, window_start, unread) values ($1, now(), 1)", who.id)
    (found,) = (await page(site, who)).results
    assert (found.type, found.text, found.release, found.data) == ("digest", "7 new episodes, 1 reply", None, data)


async def test_who_waited_for_the_budget_hears_the_count_that_holds_by_then(site: Running) -> None:
    who = await person(site)
    (first, second) = await _two_unread(site, who)
    other = await connect(site.app[DATABASE].dsn)
    transaction = other.transaction()
    await transaction.start()
    for notification in (first, second):
        await notifications.mark_read(other, who.id, notification)
    async with site.app[DATABASE].connection() as conn:
        pid = conn.get_server_pid()
        waiting = asyncio.create_task(notifications.mark_read(conn, who.id, first))
        async with asyncio.timeout(5):
            while not await other.fetchval("select cardinality(pg_blocking_pids($1)) > 0", pid):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await transaction.commit()
        assert await waiting == Marked(0, 0)
    await other.close()


async def _two_unread(site: Running, who: Person) -> list[int]:
    async with site.app[DATABASE].connection() as conn:
        await conn.execute(
            "insert into notification_budgets (user_id, window_start, used, unread) values ($1, now(), 2, 2)", who.id
        )
        rows = await conn.fetch(
            "insert into notifications (user_id, event_id) values ($1, -1), ($1, -2) returning id", who.id
        )
    return [row["id"] for row in rows]
