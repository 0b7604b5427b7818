"""Episodes of a release, one by itself, and the week's schedule in any time zone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio

from server.schemas.catalogue_answers import Episode, EpisodePage, Schedule
from tests import catalogue_seed
from tests.catalogue_seed import Api
from tests.conftest import Server

pytestmark = pytest.mark.asyncio(loop_scope="module")
WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
# A week each: spring forward, fall back, a midnight that is skipped, one that comes twice, a day that never was.
TURNS = [
    ("Europe/Berlin", "2026-03-29"),
    ("Europe/Berlin", "2026-10-25"),
    ("America/Sao_Paulo", "2018-11-04"),
    ("America/Havana", "2026-11-01"),
    ("Pacific/Apia", "2011-12-30"),
    ("Asia/Tokyo", "2026-06-01"),
    ("UTC", "2024-02-29"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    """A server on a catalogue; tests that write add releases of their own."""
    async with catalogue_seed.api(server, tmp_path_factory.mktemp("episodes"), 200) as started:
        yield started


async def add_episode(api: Api, release_id: int, ordinal: str, **given: Any) -> int:
    columns = {"release_id": release_id, **given}
    places = ", ".join(f"${n}" for n in range(1, len(columns) + 1))
    made: int = await api.conn.fetchval(
        f"insert into episodes (ordinal, {', '.join(columns)}) values ({ordinal}, {places}) returning id",
        *columns.values(),
    )
    return made


async def test_episodes_come_by_ordinal_written_as_plain_numbers(api: Api) -> None:
    made = await catalogue_seed.add(api.conn, "with-decimals")
    for ordinal in ("10", "2.00", "1.5", "0", "99999.99", "1", "3.50"):
        await add_episode(api, made, ordinal)
    body, _ = await api.ask(f"/releases/{made}/episodes")
    page = catalogue_seed.exactly(EpisodePage, body)
    assert [episode["ordinal"] for episode in page["results"]] == [0, 1, 1.5, 2, 3.5, 10, 99999.99]
    for written in (b'"ordinal":0,', b'"ordinal":1,', b'"ordinal":1.5,', b'"ordinal":10,', b'"ordinal":3.5,'):
        assert written in body


async def test_an_episode_tells_its_spans_or_null(api: Api) -> None:
    made = await catalogue_seed.add(api.conn, "with-spans")
    full = await add_episode(
        api, made, "1", title='Say "hi"\n\\o/', duration_seconds=1400, opening_start=0, opening_stop=90,
        ending_start=1300, ending_stop=1390, air_at=datetime(2026, 1, 2, 3, 4, 5, 678901, UTC),
    )  # fmt: skip
    bare = await add_episode(api, made, "2")
    assert await api.get(f"/episodes/{full}", Episode) == {
        "id": full, "release_id": made, "ordinal": 1, "title": 'Say "hi"\n\\o/', "duration_seconds": 1400,
        "air_at": "2026-01-02T03:04:05.678Z", "opening": {"start": 0, "stop": 90},
        "ending": {"start": 1300, "stop": 1390},
    }  # fmt: skip
    assert await api.get(f"/episodes/{bare}", Episode) == {
        "id": bare, "release_id": made, "ordinal": 2, "title": "", "duration_seconds": None, "air_at": None,
        "opening": None, "ending": None,
    }  # fmt: skip


async def test_episodes_are_paged_and_counted_also_beyond_the_end(api: Api) -> None:
    made = await catalogue_seed.add(api.conn, "with-many")
    await api.conn.execute(
        "insert into episodes (release_id, ordinal) select $1, g from generate_series(1, 250) g", made
    )
    pages = [page async for page in api.walk("/releases/with-many/episodes?limit=60", EpisodePage)]
    ordinals = [episode["ordinal"] for page in pages for episode in page["results"]]
    assert ordinals == list(range(1, 251))
    assert {page["count"] for page in pages} == {250}
    assert pages[1]["previous"] == "/api/v1/releases/with-many/episodes?limit=60&page=1"
    beyond = await api.get("/releases/with-many/episodes?limit=60&page=9", EpisodePage)
    assert (beyond["count"], beyond["results"], beyond["next"]) == (250, [], None)


async def test_a_release_without_episodes_has_an_empty_list(api: Api) -> None:
    made = await catalogue_seed.add(api.conn, "without-episodes")
    page = await api.get(f"/releases/{made}/episodes", EpisodePage)
    assert page == {"count": 0, "next": None, "previous": None, "results": []}


@pytest.mark.parametrize("said", ["limit=0", "limit=101", "page=0", "limit=100&page=101"])
async def test_a_page_of_episodes_that_cannot_be_is_refused(api: Api, said: str) -> None:
    await api.fault(f"/releases/3/episodes?{said}")


async def test_a_deleted_episode_is_nowhere(api: Api) -> None:
    made = await catalogue_seed.add(api.conn, "with-deleted")
    monday = datetime(2031, 1, 6, 12, tzinfo=UTC)
    kept, gone = [await add_episode(api, made, ordinal, air_at=monday) for ordinal in "12"]
    await api.conn.execute("update episodes set deleted_at = now() where id = $1", gone)
    await api.fault(f"/episodes/{gone}", 404)
    page = await api.get(f"/releases/{made}/episodes", EpisodePage)
    assert ([episode["id"] for episode in page["results"]], page["count"]) == ([kept], 1)
    week = await api.get("/schedule?date=2031-01-06", Schedule)
    assert [item["episode"]["id"] for item in week["days"][0]["items"]] == [kept]


async def test_the_schedule_has_seven_days_from_monday_also_when_nothing_airs(api: Api) -> None:
    week = await api.get("/schedule?date=2090-06-14", Schedule)
    assert (week["first_day"], week["last_day"], week["tz"], week["count"]) == ("2090-06-12", "2090-06-18", "UTC", 0)
    assert [day["weekday"] for day in week["days"]] == WEEKDAYS
    assert [day["date"] for day in week["days"]] == [f"2090-06-{n}" for n in range(12, 19)]
    assert all(day["items"] == [] for day in week["days"])


async def test_without_a_date_the_schedule_is_of_this_week(api: Api) -> None:
    week = await api.get("/schedule?tz=Pacific/Kiritimati", Schedule)
    assert week["first_day"] <= datetime.now(ZoneInfo("Pacific/Kiritimati")).date().isoformat() <= week["last_day"]


async def test_an_item_of_the_schedule_names_its_release(api: Api) -> None:
    made = await catalogue_seed.add(api.conn, "airing", title='The "Airing"')
    episode = await add_episode(api, made, "1.5", air_at=datetime(2032, 3, 3, 23, 30, tzinfo=UTC))
    week = await api.get("/schedule?date=2032-03-01&tz=Asia/Tokyo", Schedule)
    assert week["days"][3]["items"][0]["release"] == {"id": made, "slug": "airing", "title": 'The "Airing"'}
    assert week["days"][3]["items"][0]["episode"] == await api.get(f"/episodes/{episode}", Episode)


@pytest.mark.parametrize(("zone", "day"), TURNS)
async def test_each_airing_stands_on_its_local_day_across_a_change_of_the_clock(api: Api, zone: str, day: str) -> None:
    made = await catalogue_seed.add(api.conn, f"hourly-{zone.replace('/', '-')}-{day}")
    middle = datetime.fromisoformat(f"{day}T12:00:00+00:00")
    await api.conn.execute(
        "insert into episodes (release_id, ordinal, air_at)"
        " select $1, g, $2::timestamptz + g * interval '30 minutes' - interval '12 days'"
        " from generate_series(0, 1151) g",
        made, middle,
    )  # fmt: skip
    where = ZoneInfo(zone)
    monday = date.fromisoformat(day) - timedelta(days=date.fromisoformat(day).weekday())
    week = {monday + timedelta(days=n) for n in range(7)}
    rows = await api.conn.fetch("select air_at from episodes where release_id = $1", made)
    expected = sum(row["air_at"].astimezone(where).date() in week for row in rows)
    found = await api.get(f"/schedule?date={day}&tz={zone}", Schedule)
    mine = [
        (shown["date"], item["episode"]["air_at"])
        for shown in found["days"]
        for item in shown["items"]
        if item["release"]["id"] == made
    ]
    assert len(mine) == expected
    for local_day, moment in mine:
        assert datetime.fromisoformat(moment).astimezone(where).date().isoformat() == local_day
    assert [moment for _, moment in mine] == sorted(moment for _, moment in mine)
    assert found["first_day"] == monday.isoformat()


@pytest.mark.parametrize(
    ("said", "pointer"),
    [
        ("tz=Mars/Olympus", "/tz"),
        ("tz=Europe", "/tz"),
        ("tz=../../etc/passwd", "/tz"),
        ("tz=%2Fetc%2Fpasswd", "/tz"),
        ("tz=", "/tz"),
        ("tz=leapseconds", "/tz"),
        ("tz=" + "A" * 65, "/tz"),
        ("date=2026-02-30", "/date"),
        ("date=tomorrow", "/date"),
        ("date=1969-12-31", "/date"),
        ("date=2101-01-01", "/date"),
        ("date=0001-01-01", "/date"),
        ("date=9999-12-31", "/date"),
    ],
)
async def test_a_broken_zone_or_day_is_refused(api: Api, said: str, pointer: str) -> None:
    assert [fault["pointer"] for fault in (await api.fault(f"/schedule?{said}"))["errors"]] == [pointer]


@pytest.mark.parametrize("day", ["1970-01-01", "2100-12-31"])
async def test_the_schedule_reaches_to_both_of_its_bounds(api: Api, day: str) -> None:
    week = await api.get(f"/schedule?date={day}&tz=Pacific/Kiritimati", Schedule)
    assert week["first_day"] <= day <= week["last_day"]
