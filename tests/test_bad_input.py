"""Whatever is sent: a problem document or an honest answer, never a 500, never half of it stored."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio
from yarl import URL

from server.keys import DATABASE
from tests.conftest import Server
from tests.http_fixture import JSON, SHARED, check_problem, event, exchange, problem, shared_site
from tests.running import Running

pytestmark = SHARED
VIEWS = "/api/v1/views"
OF_RELEASE = "/api/v1/releases/3/views"
LISTS = (
    "/api/v1/releases", "/api/v1/releases/latest", "/api/v1/releases/random", "/api/v1/releases/3/episodes",
    "/api/v1/releases/3/related", "/api/v1/genres", "/api/v1/tags", "/api/v1/franchises", "/api/v1/schedule",
    "/api/v1/analytics/views", "/api/v1/analytics/top", "/api/v1/recommendations/trending",
    "/api/v1/recommendations/similar/3",
)  # fmt: skip
PARAMETERS = (
    "genre", "tag", "type", "status", "season", "age_rating", "franchise", "year_from", "year_to", "sort", "limit",
    "page", "cursor", "date", "tz", "release_ids", "episode_ids", "group_by", "from", "to", "interval", "format",
    "period",
)  # fmt: skip
HONEST = {200, 202, 301, 304, 404}
REFUSED = {400, 404, 405, 406, 413, 415, 422}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """The server of this module; nothing it was sent may have made it fail."""
    async with shared_site(server, tmp_path_factory.mktemp("site")) as started:
        yield started
        assert not started.fatal
        assert not [line for line in started.log.lines if b'"status_code":5' in line]


@pytest.fixture(scope="session")
def naughty(shared_data: Path) -> list[str]:
    """The big list of naughty strings."""
    path = shared_data / "strings" / "blns.json"
    if not path.is_file():
        pytest.skip("the list of naughty strings is not beside the project (../shared/data/strings)")
    found: list[str] = json.loads(path.read_text("utf-8"))
    assert len(found) > 400
    return found


async def stored(site: Running) -> int:
    """How many events the database holds, counted or set aside."""
    async with site.app[DATABASE].connection() as conn:
        count: int = await conn.fetchval(
            "select (select count(*) from view_metrics) + (select count(*) from view_filtered)"
        )
    return count


async def send(site: Running, path: str, body: bytes) -> tuple[int, Any]:
    """Status and JSON; a refusal has to be a problem document."""
    async with site.client.post(path, data=body, headers=JSON) as answer:
        found = await answer.read()
        if answer.status >= 400:
            return answer.status, check_problem(answer.status, answer.headers, found)
        return answer.status, json.loads(found)


def without(name: str) -> dict[str, Any]:
    fields = event()
    del fields[name]
    return fields


NOW = datetime.now(UTC)
BAD_EVENTS = {
    "an unknown field": event(nope=1),
    "a field in another case": event(Release_Id=3),
    "no release": without("release_id"),
    "no duration": without("duration_seconds"),
    "no completion": without("completion_percentage"),
    "null release": event(release_id=None),
    "null duration": event(duration_seconds=None),
    "text for a number": event(release_id="3"),
    "a switch for a number": event(duration_seconds=True),
    "a list for a number": event(duration_seconds=[1]),
    "an object for a number": event(completion_percentage={}),
    "release zero": event(release_id=0),
    "a negative release": event(release_id=-3),
    "a release beyond 64 bits": event(release_id=2**63),
    "a release far beyond": event(release_id=10**400),
    "half a release": event(release_id=3.5),
    "a negative duration": event(duration_seconds=-1),
    "a duration of days": event(duration_seconds=86_401),
    "half a second": event(duration_seconds=0.5),
    "completion below nothing": event(completion_percentage=-0.001),
    "completion over a hundred": event(completion_percentage=100.001),
    "an episode of nothing": event(episode_id=0),
    "text for an episode": event(episode_id="x"),
    "no UUID": event(event_id="nope"),
    "a short UUID": event(event_id="6f1c1f0e-6d5f-4d39-9a54"),
    "a number for a UUID": event(event_id=1),
    "text for a time": event(viewed_at="yesterday"),
    "a number for a time": event(viewed_at=1),
    "a time without a zone": event(viewed_at=NOW.replace(tzinfo=None).isoformat()),
    "a date for a time": event(viewed_at="2026-11-20"),
    "the year 1": event(viewed_at="0001-01-01T00:00:00+14:00"),
    "the year 1 in UTC": event(viewed_at="0001-01-01T00:00:00Z"),
    "the year 9999": event(viewed_at="9999-12-31T23:59:59.999999-14:00"),
    "the year 10000": event(viewed_at="10000-01-01T00:00:00Z"),
    "a leap second": event(viewed_at="2016-12-31T23:59:60Z"),
    "the 30th of February": event(viewed_at="2026-02-30T00:00:00Z"),
    "an hour that is not": event(viewed_at="2026-11-20T25:00:00Z"),
    "a zone that is not": event(viewed_at="2026-11-20T00:00:00+99:00"),
    "eight days ago": event(viewed_at=(NOW - timedelta(days=8)).isoformat()),
    "an hour ahead": event(viewed_at=(NOW + timedelta(hours=1)).isoformat()),
    "the epoch": event(viewed_at="1970-01-01T00:00:00Z"),
    "text": "text",
    "a number": 7,
    "null": None,
    "a switch": True,
    "an empty object": {},
}


@pytest.mark.parametrize("path", [VIEWS, OF_RELEASE])
@pytest.mark.parametrize("sent", BAD_EVENTS.values(), ids=BAD_EVENTS)
async def test_a_bad_event_is_422_and_nothing_is_stored(site: Running, path: str, sent: Any) -> None:
    before = await stored(site)
    if path == OF_RELEASE and sent == without("release_id"):
        # There the address names the release.
        sent = {}
    status, document = await send(site, path, json.dumps(sent).encode())
    assert status == 422, document
    assert document["errors"]
    assert await stored(site) == before


async def test_in_an_array_bad_events_are_set_aside_and_the_sound_ones_stored(site: Running) -> None:
    events: list[Any] = []
    for bad in BAD_EVENTS.values():
        events += [bad, event()]
    before = await stored(site)
    status, body = await send(site, VIEWS, json.dumps(events).encode())
    assert status == 202
    assert body["accepted"] == len(BAD_EVENTS)
    assert [one["index"] for one in body["rejected"]] == list(range(0, len(events), 2))
    assert all(one["detail"] for one in body["rejected"])
    assert await stored(site) == before + len(BAD_EVENTS)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"release_id": 10**9}, 404), ({"release_id": 2**63 - 1}, 404), ({"episode_id": 2**63 - 1}, 404),
        ({"completion_percentage": 100}, 202), ({"completion_percentage": 1e-300}, 202), ({"duration_seconds": 0}, 202),
        ({"viewed_at": (NOW + timedelta(minutes=4)).isoformat()}, 202), ({"duration_seconds": 86_400}, 202),
        ({"viewed_at": (NOW - timedelta(days=6)).astimezone().isoformat()}, 202), ({"viewed_at": None}, 202),
        ({"event_id": None, "episode_id": None}, 202),
    ],
)  # fmt: skip
async def test_events_at_the_edges_are_judged_exactly(site: Running, fields: dict[str, Any], status: int) -> None:
    before = await stored(site)
    found, body = await send(site, VIEWS, json.dumps(event(**fields)).encode())
    assert found == status, body
    assert await stored(site) == before + (status == 202)


ONE = b'{"release_id":3,"duration_seconds":60,"completion_percentage":5%b}'
BAD_BODIES = {
    "nothing": b"",
    "a space": b" ",
    "a NUL": b"\x00",
    "a byte order mark": b"\xef\xbb\xbf" + ONE % b"",
    "UTF-16": (ONE % b"").decode().encode("utf-16"),
    "NaN": ONE.replace(b":5", b":NaN") % b"",
    "Infinity": ONE.replace(b":60", b":Infinity") % b"",
    "a number without bounds": ONE.replace(b":60", b":1e999") % b"",
    "digits without end": ONE.replace(b":60", b":" + b"9" * 100_000) % b"",
    "a NUL in a text": ONE % b',"event_id":"\x00"',
    "an escaped NUL": ONE % b',"event_id":"\\u0000"',
    "half a surrogate pair": ONE % b',"event_id":"\\ud800"',
    "half a pair as a name": ONE % b',"\\udfff":1',
    "invalid UTF-8": ONE % b',"event_id":"\xff\xfe"',
    "an overlong form": ONE % b',"event_id":"\xc0\xaf"',
    "a surrogate in UTF-8": ONE % b',"event_id":"\xed\xa0\x80"',
    "a trailing comma": ONE % b",",
    "a comment": b"/* hi */" + ONE % b"",
    "two values": ONE % b"" + ONE % b"",
    "single quotes": b"{'release_id':3}",
    "brackets without end": b"[" * 100_000,
    "nested brackets": b"[" * 100_000 + b"]" * 100_000,
    "nested objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "depth in an unknown field": ONE % (b',"x":' + b"[" * 100_000 + b"]" * 100_000),
    "depth in a known field": ONE % (b',"event_id":' + b"[" * 100_000 + b"]" * 100_000),
    "depth in an array": b"[" + ONE % (b',"event_id":' + b"[" * 900 + b"]" * 900) + b"," + b"[" * 100_000,
}


@pytest.mark.parametrize("path", [VIEWS, OF_RELEASE])
@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES)
async def test_a_body_that_is_no_event_is_refused(site: Running, path: str, body: bytes) -> None:
    before = await stored(site)
    status, document = await send(site, path, body)
    assert status in (400, 422), document
    assert await stored(site) == before


async def test_a_field_given_twice_does_not_slip_past_the_rules(site: Running) -> None:
    status, _ = await send(site, VIEWS, ONE % b',"duration_seconds":-1')
    assert status == 422


@pytest.mark.parametrize(("count", "status"), [(0, 202), (1, 202), (500, 202), (501, 422), (5000, 422)])
async def test_an_array_holds_up_to_five_hundred(site: Running, count: int, status: int) -> None:
    before = await stored(site)
    found, body = await send(site, VIEWS, json.dumps([event()] * count).encode())
    assert found == status
    if status == 202:
        assert body == {"accepted": count, "duplicates": 0, "filtered": 0, "rejected": []}
    assert await stored(site) == before + (count if status == 202 else 0)


async def test_arrays_are_not_for_one_release(site: Running) -> None:
    assert (await send(site, OF_RELEASE, json.dumps([event()]).encode()))[0] == 422


async def test_ten_megabytes_are_413_on_both_addresses(site: Running) -> None:
    before = await stored(site)
    for path in (VIEWS, OF_RELEASE):
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 10485760\r\n\r\n".encode()
        answer = await exchange(site.port, head)
        assert answer.status == 413
        check_problem(413, answer.headers, answer.body)
    assert await stored(site) == before


@pytest.mark.parametrize("release", ["0", "-1", "x", "3.0", "9" * 18, "9" * 19, "9" * 400, "%00", "٣", "3%2F..", "1e1"])
async def test_a_release_that_cannot_be_is_404(site: Running, release: str) -> None:
    url = URL(f"/api/v1/releases/{quote(release, safe='%')}/views", encoded=True)
    async with site.client.post(url, json=without("release_id")) as answer:
        await problem(answer, 404)


async def get(site: Running, target: str, **headers: str) -> int:
    """The status; a refusal has to be a problem document."""
    url = URL(target, encoded=True)
    async with site.client.get(url, allow_redirects=False, headers=headers) as answer:
        body = await answer.read()
        if answer.status >= 400:
            check_problem(answer.status, answer.headers, body)
        assert answer.status in HONEST | REFUSED, (target, body)
        return answer.status


BAD_VALUES = (
    "", " ", "0", "-1", "1.5", "1e3", "+1", "9" * 30, "9" * 5000, "NaN", "Infinity", "true", "null", "[]", "{}", "%00",
    "a%00b", "%ff", "%ED%A0%80", "%C0%AF", "%", "%zz", "!", "!!", "!%00", ",", ",,,,", "," * 3000, "%0a", "day%0a", "'",
    "\"';--", "..%2f..%2fetc%2fpasswd", "/etc/passwd", "Europe/../../etc/passwd", "0001-01-01", "9999-12-31",
    "10000-01-01", "2026-02-30", "2026-11-20T23:59:60Z", "2026-11-20T00:00:00+14:00", "0001-01-01T00:00:00%2B14:00",
    "9999-12-31T23:59:59-14:00", "2026-11-20T00:00:00+99:99", "%F0%9F%92%A9", "a" * 321, "١٢٣", "２０", "\u202e",
)  # fmt: skip


@pytest.mark.parametrize("path", LISTS)
async def test_no_value_of_a_parameter_makes_it_fail(site: Running, path: str) -> None:
    for name in PARAMETERS:
        for value in BAD_VALUES:
            sent = quote(value, safe="%+:/!,'\"") if not value.isascii() else value.replace(" ", "+")
            await get(site, f"{path}?{name}={sent}")


async def test_no_limit_or_page_goes_beyond_its_bounds(site: Running) -> None:
    for path in LISTS:
        assert await get(site, f"{path}?limit=101") == (200 if "schedule" in path else 422)
    for query in ("page=0", "page=10001", "limit=100&page=101", "limit=0", "limit=1&page=10001"):
        assert await get(site, f"/api/v1/releases?{query}") == 422


@pytest.mark.parametrize(
    "name",
    [
        "x",
        "%00",
        "%ff",
        "%ED%A0%80",
        "a%2Fb",
        "..",
        "%2e%2e",
        "%0d%0a",
        "9" * 18,
        "9" * 40,
        "-1",
        "%F0%9F%92%A9",
        "a" * 5000,
        "٣",
    ],
)
async def test_no_id_in_a_path_makes_it_fail(site: Running, name: str) -> None:
    sent = quote(name, safe="%")
    for path in ("releases/{}", "releases/{}/episodes", "releases/{}/related", "episodes/{}", "franchises/{}"):
        assert await get(site, f"/api/v1/{path.format(sent)}") == 404
    assert await get(site, f"/docs/{sent}") == 404


async def test_naughty_strings_in_paths_and_queries_are_harmless(site: Running, naughty: list[str]) -> None:
    async def one(text: str) -> None:
        sent = quote(text, safe="")
        for path in ("releases/{}", "releases/{}/related", "episodes/{}", "franchises/{}"):
            await get(site, f"/api/v1/{path.format(sent)}")
        everywhere = "&".join(f"{name}={sent}" for name in PARAMETERS)
        if len(everywhere) < 7000:
            await get(site, f"/api/v1/releases?{everywhere}")
        for query in (
            "releases?genre",
            "releases?franchise",
            "releases/random?tag",
            "releases?cursor",
            "schedule?tz",
            "analytics/views?from",
        ):
            await get(site, f"/api/v1/{query}={sent}")

    for start in range(0, len(naughty), 20):
        await asyncio.gather(*(one(text) for text in naughty[start : start + 20]))


async def test_naughty_strings_in_bodies_are_refused_each_with_its_place(site: Running, naughty: list[str]) -> None:
    before = await stored(site)
    names = ("event_id", "release_id", "episode_id", "duration_seconds", "completion_percentage", "viewed_at")
    for text in naughty:
        status, document = await send(site, VIEWS, json.dumps(dict.fromkeys(names, text)).encode())
        assert status == 422
        assert len(document["errors"]) == len(names)
    for start in range(0, len(naughty), 80):
        events = [event(**{name: text}) for text in naughty[start : start + 80] for name in names]
        status, body = await send(site, VIEWS, json.dumps(events).encode())
        assert (status, body["accepted"], len(body["rejected"])) == (202, 0, len(events))
    fields = {text: 1 for text in naughty if text not in names}
    assert (await send(site, VIEWS, json.dumps(event() | fields).encode()))[0] == 422
    assert await stored(site) == before


async def test_naughty_strings_in_headers_are_harmless(site: Running, naughty: list[str]) -> None:
    body = json.dumps(event()).encode()
    for text in naughty:
        sent = text.encode("utf-8").translate(None, bytes(range(32)) + b"\x7f").strip()
        names = (b"User-Agent", b"X-Request-ID", b"Accept", b"Accept-Encoding", b"If-None-Match", b"Authorization")
        names += (b"X-Forwarded-For", b"Origin", b"Cookie")
        headers = b"".join(name + b": " + sent + b"\r\n" for name in names)
        head = b"POST /api/v1/views HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        posted = await exchange(site.port, head + headers + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        assert posted.status == 202, sent
        got = await exchange(site.port, b"GET /api/v1/analytics/top HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n")
        assert got.status in (200, 304), sent


async def test_naughty_strings_as_types_of_bodies_are_415(site: Running, naughty: list[str]) -> None:
    for text in naughty:
        sent = text.encode("utf-8").translate(None, bytes(range(32)) + b"\x7f").strip()
        head = b"POST /api/v1/views HTTP/1.1\r\nHost: x\r\nContent-Type: " + sent + b"\r\nContent-Length: 2\r\n\r\n[]"
        answer = await exchange(site.port, head)
        assert answer.status in (202, 415), sent
        if answer.status == 415:
            check_problem(415, answer.headers, answer.body)
