"""What people want to be told: types by channels, quiet hours, time zones, mutes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from server.keys import DATABASE
from server.rules.notifications import CHOICES
from sql import erasure
from tests.conftest import Server
from tests.http_fixture import SHARED, problem, shared_site
from tests.people import Person, person, sql
from tests.running import Running

pytestmark = SHARED
PATH = "/api/v1/notifications/preferences"
MUTES = "/api/v1/notifications/mutes"
WAITING = """
    select count(*) from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock' and query like '%for no key update%'"""
DEFAULTS = {name: {"in_app": True, "email": "off"} for name in CHOICES}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with shared_site(server, tmp_path_factory.mktemp("site")) as started:
        yield started


async def get(site: Running, who: Person) -> dict[str, Any]:
    async with site.client.get(PATH, headers=who.headers) as answer:
        assert answer.status == 200
        found: dict[str, Any] = await answer.json()
        return found


async def put(site: Running, who: Person, **body: Any) -> dict[str, Any]:
    async with site.client.put(PATH, json=body, headers=who.headers) as answer:
        assert answer.status == 200, await answer.text()
        found: dict[str, Any] = await answer.json()
    assert found == await get(site, who)
    return found


async def mute(site: Running, who: Person, target: str, method: str = "PUT") -> int:
    async with site.client.request(method, f"{MUTES}/{target}", headers=who.headers) as answer:
        return answer.status


async def test_by_default_everything_comes_in_the_app_and_nothing_by_mail(site: Running) -> None:
    who = await person(site)
    assert await get(site, who) == {"types": DEFAULTS, "quiet_hours": None, "time_zone": "UTC", "mutes": []}


async def test_what_is_put_is_what_holds_and_what_is_left_out_is_as_by_default(site: Running) -> None:
    who = await person(site)
    types = {
        "new_episode": {"in_app": False, "email": "instant"},
        "reply": {"email": "weekly"},
        "new_release": {"email": "daily"},
    }
    found = await put(site, who, types=types, quiet_hours={"start": "22:00", "end": "08:00"}, time_zone="Europe/Berlin")
    assert found["types"] == DEFAULTS | {
        "new_episode": {"in_app": False, "email": "instant"},
        "reply": {"in_app": True, "email": "weekly"},
        "new_release": {"in_app": True, "email": "daily"},
    }
    assert found["quiet_hours"] == {"start": "22:00", "end": "08:00"}
    row = await sql(
        site,
        "select (in_app, email_instant, email_daily, email_weekly)::text from notification_preferences"
        " where user_id = $1",
        who.id,
    )
    assert row == f"({62 - 2},2,4,16)"
    found = await put(site, who)
    assert (found["types"], found["quiet_hours"], found["time_zone"]) == (DEFAULTS, None, "Europe/Berlin")


async def test_without_a_choice_the_profile_s_time_zone_holds(site: Running) -> None:
    who = await person(site)
    await sql(site, "update users set time_zone = 'Asia/Tokyo' where id = $1", who.id)
    assert (await get(site, who))["time_zone"] == "Asia/Tokyo"
    assert (await put(site, who))["time_zone"] == "Asia/Tokyo"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"time_zone": "Mars/Olympus"}, "/time_zone"),
        ({"time_zone": "Europe/Berlin\x00"}, "/time_zone"),
        ({"time_zone": "\ud800"}, ""),
        ({"quiet_hours": {"start": "22:00", "end": "22:00"}}, "/quiet_hours/end"),
        ({"quiet_hours": {"start": "24:00", "end": "08:00"}}, "/quiet_hours/start"),
        ({"quiet_hours": {"start": "22:00"}}, "/quiet_hours"),
        ({"types": {"digest": {"in_app": False}}}, "/types"),
        ({"types": {"reply": {"email": "hourly"}}}, "/types/reply/email"),
        ({"types": {"reply": {"sms": True}}}, "/types/reply"),
        ({"mutes": [{"target_type": "user", "target_id": 3}]}, "/mutes/0/target_type"),
        ({"mutes": [{"target_type": "release", "target_id": 2**63}]}, "/mutes/0/target_id"),
        ({"mutes": [{"target_type": "release", "target_id": 3}] * 1001}, "/mutes"),
        ({"sound": "loud"}, ""),
    ],
)
async def test_what_does_not_fit_is_refused_by_name(site: Running, body: dict[str, Any], pointer: str) -> None:
    who = await person(site)
    async with site.client.put(PATH, json=body, headers=who.headers) as answer:
        if body.get("time_zone") == "\ud800":
            assert answer.status in (400, 422)
            return
        document = await problem(answer, 422)
    assert any(fault["pointer"].startswith(pointer) for fault in document["errors"]), document["errors"]


async def test_mutes_are_put_and_taken_back_one_by_one_as_often_as_one_likes(site: Running) -> None:
    who = await person(site)
    for target, status in (
        ("release/3", 204), ("release/3", 204), ("genre/1", 204), ("franchise/1", 204), ("release/4", 404),
        ("genre/99999", 404), ("user/1", 404),
    ):  # fmt: skip
        assert await mute(site, who, target) == status, target
    expected = [
        {"target_type": kind, "target_id": number} for kind, number in (("release", 3), ("genre", 1), ("franchise", 1))
    ]
    assert (await get(site, who))["mutes"] == expected
    # Preferences that say nothing of them leave them alone.
    assert (await put(site, who))["mutes"] == expected
    assert await mute(site, who, "genre/1", "DELETE") == 204
    assert await mute(site, who, "genre/1", "DELETE") == 204
    assert (await put(site, who, mutes=expected[:1]))["mutes"] == expected[:1]
    assert (await put(site, who, mutes=[*expected[1:], expected[1]]))["mutes"] == [expected[2], expected[1]]
    assert (await put(site, who, mutes=[]))["mutes"] == []


async def test_only_so_much_is_muted(site: Running) -> None:
    who = await person(site)
    await sql(
        site,
        "insert into notification_mutes (user_id, target_type, target_id)"
        " select $1, 'release', n from generate_series(1000, 1998) n",
        who.id,
    )
    # Of two that come at once only one fits.
    targets = ("release/3", "genre/1", "franchise/1")
    assert sorted(await asyncio.gather(*(mute(site, who, target) for target in targets))) == [204, 409, 409]
    assert await mute(site, who, "release/1000") == 204
    assert len((await get(site, who))["mutes"]) == 1000


async def test_a_mute_of_what_there_is_not_is_named_unless_it_was_muted_while_there_was(site: Running) -> None:
    who = await person(site)
    known = {"target_type": "release", "target_id": 77777}
    await sql(
        site,
        "insert into notification_mutes (user_id, target_type, target_id) values ($1, 'release', 77777)",
        who.id,
    )
    genre, unknown = {"target_type": "genre", "target_id": 1}, {"target_type": "franchise", "target_id": 88888}
    async with site.client.put(PATH, json={"mutes": [known, genre, unknown]}, headers=who.headers) as answer:
        document = await problem(answer, 422)
    assert [fault["pointer"] for fault in document["errors"]] == ["/mutes/2/target_id"]
    assert (await get(site, who))["mutes"] == [known]
    assert (await put(site, who, mutes=[known, genre]))["mutes"] == [known, genre]


async def test_who_writes_preferences_while_the_account_is_erased_is_turned_away(site: Running) -> None:
    who = await person(site)
    async with site.app[DATABASE].transaction() as conn:
        await erasure.erase(conn, who.id)
        writing = [
            asyncio.create_task(_status(site, who, PATH, {"mutes": [{"target_type": "genre", "target_id": 1}]})),
            asyncio.create_task(mute(site, who, "genre/1")),
        ]
        async with asyncio.timeout(5), site.app[DATABASE].connection() as watch:
            while await watch.fetchval(WAITING) < len(writing):  # noqa: ASYNC110 - a lock says nothing by itself
                await asyncio.sleep(0.01)
    assert await asyncio.gather(*writing) == [401, 401]


async def _status(site: Running, who: Person, path: str, body: dict[str, Any]) -> int:
    async with site.client.put(path, json=body, headers=who.headers) as answer:
        return answer.status
