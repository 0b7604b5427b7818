"""Calendars, read by the `icalendar` package: what is in them, exact times in any zone, what moved or was cancelled."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st
from icalendar import Calendar
from yarl import URL

from server.errors import TooManyRequests
from server.http.parse import LARGEST_BODY
from server.keys import EDGE
from server.rules import calendar
from server.rules.calendar import Airing, Style
from sql import calendars
from tests.conftest import Server
from tests.http_fixture import SHARED, log_lines, problem, shared_site
from tests.people import Person, person, sql
from tests.running import Running

PATH = "/api/v1/profile/calendar"
ZONES = [
    "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "America/Sao_Paulo",
    "Asia/Kathmandu", "Pacific/Chatham", "Europe/Dublin", "Asia/Tehran", "Etc/GMT+12", "Pacific/Apia",
]  # fmt: skip
STYLE = Style("anime.example", "https://anime.example/api/v1/releases", "en", "Europe/Berlin")


def on_18(test: Any) -> Any:
    for mark in SHARED:
        test = mark(test)
    return test


def airing(**changes: Any) -> Airing:
    given_: dict[str, Any] = {
        "episode_id": 5, "release_id": 3, "release_title": "Keepers of the Tide", "ordinal": "7", "title": "Low Water",
        "air_at": datetime(2026, 11, 14, 18, 30, tzinfo=UTC), "duration_seconds": 1420, "sequence": 2,
        "modified": datetime(2026, 11, 1, 8, 0, 0, 999, tzinfo=UTC), "cancelled": False,
    }  # fmt: skip
    return Airing(**{**given_, **changes})


def events(body: bytes) -> list[Any]:
    found: Any = Calendar.from_ical(body)
    assert found.errors == []
    walked: list[Any] = found.walk("VEVENT")
    assert all(event.errors == [] for event in walked)
    return walked


def test_an_entry_says_when_what_and_for_how_long() -> None:
    body = calendar.write([airing()], STYLE)
    (event,) = events(body)
    assert event["UID"] == "episode-5@anime.example"
    assert event.decoded("DTSTART") == datetime(2026, 11, 14, 18, 30, tzinfo=UTC)
    assert event.decoded("DURATION") == timedelta(seconds=1420)
    assert event.decoded("DTSTAMP") == event.decoded("LAST-MODIFIED") == datetime(2026, 11, 1, 8, tzinfo=UTC)
    assert (event["SUMMARY"], event["SEQUENCE"], event["STATUS"]) == (
        "Keepers of the Tide — episode 7: Low Water", 2, "CONFIRMED",
    )  # fmt: skip
    assert event["URL"] == "https://anime.example/api/v1/releases/3"
    whole = Calendar.from_ical(body)
    assert (whole["VERSION"], whole["X-WR-TIMEZONE"], whole["X-WR-CALNAME"]) == (
        "2.0",
        "Europe/Berlin",
        "What I follow",
    )
    assert whole.decoded("REFRESH-INTERVAL") == timedelta(hours=1)


def test_what_is_not_known_is_left_out_or_usual() -> None:
    style = Style("localhost", "", "ru-RU", "UTC")
    (event,) = events(calendar.write([airing(title=" ", duration_seconds=None, cancelled=True)], style))
    assert event["SUMMARY"] == "Keepers of the Tide — серия 7"
    assert event.decoded("DURATION") == timedelta(minutes=24)
    assert event["STATUS"] == "CANCELLED"
    assert "URL" not in event
    assert events(calendar.write([], style)) == []


@pytest.mark.parametrize("seconds", [0, 1, 59, 60, 61, 1440, 3600, 3601, 3660, 3661, 7325, 100_000])
def test_a_duration_is_said_in_units_without_gaps(seconds: int) -> None:
    text = calendar.duration(seconds)
    (event,) = events(calendar.write([airing(duration_seconds=seconds or None)], STYLE))
    assert event.decoded("DURATION") == timedelta(seconds=seconds or 1440)
    assert not ("H" in text and "S" in text and "M" not in text)


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=200), st.text(st.characters(codec="utf-8"), max_size=80))
def test_any_title_comes_through(title: str, episode: str) -> None:
    body = calendar.write([airing(release_title=title, title=episode)], STYLE)
    lines = body.split(b"\r\n")
    assert max(map(len, lines)) <= 75
    for line in lines:
        line.decode()
    assert b"\n" not in body.replace(b"\r\n", b"")
    (event,) = events(body)
    assert event["SUMMARY"] == calendar.summary(airing(release_title=title, title=episode), "episode")


@pytest.mark.parametrize(
    "title", ["a" * 400, "я" * 200, "潮" * 100, "🌊" * 60, "a;b,c\\d\\n:e\"f'g", "x" * 58 + "é" * 40]
)
def test_long_and_odd_titles_are_folded_between_letters(title: str) -> None:
    body = calendar.write([airing(release_title=title)], STYLE)
    assert max(map(len, body.split(b"\r\n"))) <= 75
    assert events(body)[0]["SUMMARY"].startswith(f"{title} — episode 7")


@pytest.mark.parametrize("zone", ZONES)
def test_local_times_name_the_same_moments_by_the_rules_that_come_along(zone: str) -> None:
    where = ZoneInfo(zone)
    first = datetime(2026, 1, 1, tzinfo=UTC)
    moments = [first + timedelta(hours=7 * n, minutes=13) for n in range(1200)]
    # And every half hour around the year's changes of the clock.
    moments += [
        moment
        for moment in (first + timedelta(minutes=30 * n) for n in range(17_000))
        if moment.astimezone(where).utcoffset() != (moment + timedelta(hours=3)).astimezone(where).utcoffset()
        or moment.astimezone(where).utcoffset() != (moment - timedelta(hours=3)).astimezone(where).utcoffset()
    ]
    style = Style("x", "", "en", "UTC", where)
    body = calendar.write([airing(episode_id=n, air_at=moment) for n, moment in enumerate(moments)], style)
    whole: Any = Calendar.from_ical(body)
    (rules,) = whole.walk("VTIMEZONE")
    # By what stands in the file alone, not by what this machine knows of the zone.
    from_file = rules.to_tz(lookup_tzid=False)
    for event, moment in zip(whole.walk("VEVENT"), moments, strict=True):
        said = event["DTSTART"]
        if "TZID" in said.params:
            assert said.params["TZID"] == zone
            local = said.dt.replace(tzinfo=None)
            assert local.replace(tzinfo=where).astimezone(UTC) == moment
            assert from_file.utcoffset(local) == moment.astimezone(where).utcoffset()
        else:
            assert said.dt == moment
            assert moment.astimezone(where).fold == 1


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with shared_site(server, tmp_path_factory.mktemp("site")) as started:
        # What the seed brings along airs at times of its own.
        await sql(started, "delete from episodes")
        yield started


async def opened(site: Running, who: Person) -> str:
    async with site.client.post(PATH, headers=who.headers) as answer:
        assert answer.status == 201, await answer.text()
        assert answer.headers["Cache-Control"] == "private, no-store"
        body = await answer.json()
        assert body["url"] == f"/api/v1/feeds/calendar/{body['token']}.ics"
        url: str = body["url"]
        return url


async def entries(site: Running, url: str) -> dict[str, Any]:
    async with site.client.get(url) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/calendar; charset=utf-8"
        assert answer.headers["Cache-Control"].startswith("private")
        return {event["UID"]: event for event in events(await answer.read())}


async def episode(site: Running, release_id: int, when: str = "1 day", **columns: Any) -> int:
    made: int = await sql(
        site,
        "insert into episodes (release_id, ordinal, title, air_at)"
        " values ($1, coalesce((select max(ordinal) from episodes where release_id = $1), 0) + 1, $2,"
        " date_trunc('day', now()) + $3::text::interval) returning id",
        release_id, columns.get("title", "an episode"), when,
    )  # fmt: skip
    return made


async def follow(site: Running, who: Person, kind: str, target: int) -> None:
    body = {"subscription_type": kind, "target_id": target}
    async with site.client.post("/api/v1/subscriptions", json=body, headers=who.headers) as answer:
        assert answer.status == 201, await answer.text()


def uid(episode_id: int) -> str:
    return f"episode-{episode_id}@localhost"


@on_18
async def test_it_holds_what_one_follows_plans_and_watches_and_nothing_else(site: Running) -> None:
    who, other = await person(site), await person(site)
    franchise = await sql(
        site, "select franchise_id from releases where franchise_id is not null and visible order by id limit 1"
    )
    in_franchise = await sql(
        site, "select id from releases where franchise_id = $1 and visible order by id desc limit 1", franchise
    )
    free = [row for row in (9, 12, 15, 18, 21, 24) if row != in_franchise]
    followed, planned, watched, completed, strange = free[:5]
    await follow(site, who, "release", followed)
    await follow(site, who, "franchise", franchise)
    for collection, release in (("planned", planned), ("watching", watched), ("completed", completed)):
        async with site.client.put(f"/api/v1/profile/collections/{collection}/{release}", headers=who.headers) as done:
            assert done.status == 204
    await follow(site, other, "release", strange)
    wanted = [await episode(site, release) for release in (followed, planned, watched, in_franchise)]
    # Once only, also where several reasons meet.
    await follow(site, who, "release", planned)
    for release in (completed, strange):
        await episode(site, release)
    shown = await entries(site, await opened(site, who))
    assert {uid(one) for one in wanted} <= set(shown)
    releases = await sql(
        site,
        "select array_agg(distinct release_id) from episodes where 'episode-' || id || '@localhost' = any ($1)",
        list(shown),
    )
    assert not {completed, strange} & set(releases)
    assert all("an episode" in str(shown[uid(one)]["SUMMARY"]) for one in wanted)


@on_18
async def test_it_reaches_from_thirty_days_ago_to_half_a_year_ahead(site: Running) -> None:
    who = await person(site)
    await follow(site, who, "release", 27)
    inside = [await episode(site, 27, when) for when in ("-30 days", "-1 day", "179 days 23 hours")]
    for when in ("-30 days -1 hour", "180 days"):
        await episode(site, 27, when)
    unknown = await episode(site, 27)
    await sql(site, "update episodes set air_at = null where id = $1", unknown)
    assert set(await entries(site, await opened(site, who))) == {uid(one) for one in inside}


@on_18
async def test_an_episode_that_moves_keeps_its_name_and_raises_its_sequence(site: Running) -> None:
    who = await person(site)
    await follow(site, who, "release", 30)
    moved = await episode(site, 30)
    url = await opened(site, who)
    before = (await entries(site, url))[uid(moved)]
    await sql(site, "update episodes set air_at = air_at + interval '7 days', updated_at = now() where id = $1", moved)
    after = (await entries(site, url))[uid(moved)]
    assert after["SEQUENCE"] > before["SEQUENCE"]
    assert after.decoded("DTSTART") - before.decoded("DTSTART") == timedelta(days=7)
    assert after.decoded("LAST-MODIFIED") >= before.decoded("LAST-MODIFIED")


@on_18
async def test_what_is_cancelled_says_so_for_thirty_days(site: Running) -> None:
    who = await person(site)
    await follow(site, who, "release", 33)
    gone, long_gone, kept = [await episode(site, 33) for _ in range(3)]
    url = await opened(site, who)
    before = await entries(site, url)
    await sql(site, "update episodes set deleted_at = now() where id = $1", gone)
    await sql(site, "update episodes set deleted_at = now() - interval '32 days' where id = $1", long_gone)
    after = await entries(site, url)
    assert {name: event["STATUS"] for name, event in after.items()} == {uid(gone): "CANCELLED", uid(kept): "CONFIRMED"}
    assert after[uid(gone)]["SEQUENCE"] > before[uid(gone)]["SEQUENCE"]
    await sql(site, "update episodes set deleted_at = null where id = $1", gone)
    again = (await entries(site, url))[uid(gone)]
    assert (again["STATUS"], again["SEQUENCE"] > after[uid(gone)]["SEQUENCE"]) == ("CONFIRMED", True)


@on_18
@pytest.mark.parametrize(
    ("change", "back"),
    [("deleted_at = now()", "deleted_at = null"), ("is_published = false", "is_published = true")],
)
async def test_a_release_that_goes_cancels_its_episodes_and_brings_them_back(
    site: Running, change: str, back: str
) -> None:
    who = await person(site)
    await follow(site, who, "release", 36)
    made = await episode(site, 36)
    url = await opened(site, who)
    seen = [(await entries(site, url))[uid(made)]]
    for what in (change, back):
        await sql(site, f"update releases set {what}, updated_at = now() where id = 36")
        seen.append((await entries(site, url))[uid(made)])
    assert [event["STATUS"] for event in seen] == ["CONFIRMED", "CANCELLED", "CONFIRMED"]
    assert seen[0]["SEQUENCE"] < seen[1]["SEQUENCE"] < seen[2]["SEQUENCE"]
    await sql(site, "delete from episodes where id = $1", made)


@on_18
async def test_a_draft_that_was_never_shown_is_nobodys_news(site: Running) -> None:
    who = await person(site)
    await follow(site, who, "release", 39)
    made = await episode(site, 39)
    url = await opened(site, who)
    await sql(site, "update releases set is_published = false, announced = false, updated_at = now() where id = 39")
    assert uid(made) not in await entries(site, url)
    await sql(site, "update releases set is_published = true, announced = true where id = 39")


@on_18
async def test_what_is_written_of_a_release_after_it_was_hidden_is_nobodys_news(site: Running) -> None:
    who = await person(site)
    await follow(site, who, "release", 39)
    await sql(site, "delete from episodes where release_id = 39")
    shown, renamed = await episode(site, 39), await episode(site, 39)
    url = await opened(site, who)
    await sql(site, "update releases set is_published = false, updated_at = now() where id = 39")
    hid = (
        "insert into revisions (noun, entity_id, action, origin, diff)"
        " values ('release', 39, 'updated', 'cms', '{\"is_published\": [true, false]}')"
    )
    await sql(site, hid)
    later = await episode(site, 39)
    await sql(site, "update episodes set title = 'A secret', updated_at = now() where id = $1", renamed)
    found = await entries(site, url)
    assert {one: event["STATUS"] for one, event in found.items()} == {uid(shown): "CANCELLED"}
    await sql(site, "update releases set is_published = true, updated_at = now() where id = 39")
    assert {uid(shown), uid(renamed), uid(later)} == set(await entries(site, url))


@on_18
async def test_a_calendar_that_has_not_changed_is_not_sent_again(site: Running) -> None:
    who = await person(site)
    await follow(site, who, "release", 42)
    made = await episode(site, 42)
    url = await opened(site, who)
    async with site.client.get(url) as answer:
        etag = answer.headers["ETag"]
        assert etag.startswith('"')
    for sent in (etag, f'"other", W/{etag}', "*"):
        async with site.client.get(url, headers={"If-None-Match": sent}) as answer:
            assert (answer.status, await answer.read(), answer.headers["ETag"]) == (304, b"", etag)
    await sql(site, "update episodes set title = 'Renamed', updated_at = now() where id = $1", made)
    async with site.client.get(url, headers={"If-None-Match": etag}) as answer:
        assert answer.status == 200
        assert answer.headers["ETag"] != etag


@on_18
async def test_local_times_are_had_by_asking(site: Running) -> None:
    who = await person(site)
    await follow(site, who, "release", 45)
    made = await episode(site, 45)
    url = await opened(site, who)
    local = (await entries(site, f"{url}?tz=America/New_York"))[uid(made)]
    assert local["DTSTART"].params["TZID"] == "America/New_York"
    assert local.decoded("DTSTART") == (await entries(site, url))[uid(made)].decoded("DTSTART")
    for zone in ("Mars/Olympus", "..%2Fetc", ""):
        async with site.client.get(f"{url}?tz={zone}") as answer:
            await problem(answer, 422)


@on_18
async def test_the_address_is_a_secret_that_can_be_changed_and_taken_back(site: Running) -> None:
    who = await person(site)
    async with site.client.get(PATH, headers=who.headers) as answer:
        assert await answer.json() == {"exists": False, "created_at": None, "last_used_at": None}
    first = await opened(site, who)
    token = first.rpartition("/")[2].removesuffix(".ics")
    kept = await sql(site, "select token_hash from calendar_tokens where user_id = $1", who.id)
    assert (len(kept), token.encode() in kept) == (32, False)
    assert await entries(site, first) == {}
    async with site.client.get(PATH, headers=who.headers) as answer:
        state = await answer.json()
        assert state["exists"] is True
        assert state["last_used_at"] >= state["created_at"]
    # Not a write a visit.
    last = await sql(site, "select xmin::text from calendar_tokens where user_id = $1", who.id)
    await entries(site, first)
    assert await sql(site, "select xmin::text from calendar_tokens where user_id = $1", who.id) == last
    second = await opened(site, who)
    for url in (first, f"{second}x", "/api/v1/feeds/calendar/none.ics", "/api/v1/feeds/calendar/%ff%00.ics"):
        async with site.client.get(url) as answer:
            await problem(answer, 404)
    assert await entries(site, second) == {}
    for _ in range(2):
        async with site.client.delete(PATH, headers=who.headers) as answer:
            assert answer.status == 204
    async with site.client.get(second) as answer:
        await problem(answer, 404)
    assert not [line for line in log_lines(site) if token in str(line)]
    assert [line for line in log_lines(site) if line["path"] == "/api/v1/feeds/calendar/{token}.ics"]


@on_18
async def test_no_line_of_the_log_holds_the_secret_whatever_becomes_of_the_request(
    site: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = "A-Secret_that-nobody-may-read"
    start = "/api/v1/feeds/calendar/"
    address, before = f"{start}{token}", len(log_lines(site))
    asked = [
        ("PROPFIND", f"{address}.ics", 405), ("OPTIONS", f"{address}.ics", 405), ("POST", f"{address}.ics", 405),
        ("GET", address, 404), ("GET", f"{address}.ics/more", 404),
        ("GET", f"/API/v1/feeds//Calendar/{token}.ics", 404), ("GET", f"/api/v1/feeds/%63alendar/{token}", 404),
    ]  # fmt: skip
    for method, path, status in asked:
        async with site.client.request(
            method, URL(path, encoded=True), data=b"" if method == "POST" else None
        ) as answer:
            assert answer.status == status, (method, path)
    async with site.client.post(f"{address}.ics", data=BytesIO(bytes(LARGEST_BODY + 1))) as answer:
        await problem(answer, 413)

    def too_many(*_: Any) -> None:
        raise TooManyRequests("Slowly.", retry_after=1)

    monkeypatch.setattr("server.http.toll.charge", too_many)
    monkeypatch.setattr(site.app[EDGE].toll, "_general", object())
    async with site.client.get(f"{address}.ics") as answer:
        await problem(answer, 429)
    lines = log_lines(site)[before:]
    assert len(lines) == len(asked) + 2
    assert not [line for line in lines if token.casefold() in str(line).casefold()]
    hidden = [line["path"].casefold() for line in lines if line["route"] == "unmatched"]
    assert set(hidden) == {f"{start}…"}
    assert len(hidden) == len(lines)


@on_18
async def test_an_erased_account_takes_its_calendar_along(site: Running) -> None:
    who = await person(site)
    url = await opened(site, who)
    await sql(site, "delete from users where id = $1", who.id)
    async with site.client.get(url) as answer:
        await problem(answer, 404)
    async with site.client.post(PATH, headers=who.headers) as answer:
        await problem(answer, 401)
    for method in ("GET", "POST", "DELETE"):
        async with site.client.request(method, PATH) as answer:
            await problem(answer, 401)


@on_18
async def test_a_calendar_has_a_bound(site: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.bodies.calendars.MOST", 3)
    who = await person(site)
    await follow(site, who, "release", 48)
    made = [await episode(site, 48, f"{n} days") for n in range(1, 6)]
    assert list(await entries(site, await opened(site, who))) == [uid(one) for one in made[:3]]


async def test_the_airings_are_found_by_indexes(conn: Any) -> None:
    await conn.execute(
        "insert into releases (id, slug, title, sort_title)"
        " select n, 'r' || n, 'r', 'r' from generate_series(1, 20000) n"
    )
    await conn.execute(
        "insert into episodes (release_id, ordinal, air_at)"
        " select n % 20000 + 1, n / 20000, now() - interval '5 years' + n * interval '25 minutes'"
        " from generate_series(1, 110000) n"
    )
    await conn.execute("insert into users (id, username, username_key) values (1, 'a', 'a')")
    await conn.execute(
        "insert into subscriptions (user_id, subscription_type, target_id)"
        " select 1, 'release', 5000 + n * 13 from generate_series(1, 100) n"
    )
    await conn.execute("analyze")
    now = datetime.now(UTC)
    span = (1, now - timedelta(days=30), now + timedelta(days=180), now - timedelta(days=30), 2000)
    plan = "\n".join(row[0] for row in await conn.fetch(f"explain {calendars.QUERIES.airings.text}", *span))
    assert "Seq Scan on episodes" not in plan, plan
    assert "Seq Scan on releases" not in plan, plan
    rows = await calendars.airings(conn, *span)
    assert [row.air_at for row in rows] == sorted(row.air_at for row in rows)
    assert rows
