"""Analytics equal a direct computation over the rollups, in every interval and grouping, as JSON and as CSV."""

from __future__ import annotations

import csv
import io
import itertools
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from server.http.answer import JSON
from tests.running import Running, running
from tests.seeding import seed_episodes, seed_partitions, seed_releases, seed_rollup_partitions

PATH = "/api/v1/analytics/views"
DAYS = 45


@dataclass
class Filled:
    """A server whose rollups hold `rows`: (hour, release, episode or 0, views, viewers, seconds, completion)."""

    server: Running
    conn: Any
    releases: list[int]
    episodes: dict[int, list[int]]
    rows: list[tuple[Any, ...]]

    async def get(self, **query: Any) -> tuple[int, Any, Any]:
        async with self.server.client.get(PATH, params=query) as answer:
            body = await (
                answer.json() if JSON in answer.content_type or "json" in answer.content_type else answer.text()
            )
            return answer.status, body, answer.headers

    async def all(self, **query: Any) -> list[dict[str, Any]]:
        """Every page, by its links."""
        _, body, _ = await self.get(**query, limit=100)
        results = list(body["results"])
        while body["next"]:
            async with self.server.client.get(body["next"]) as answer:
                body = await answer.json()
            results += body["results"]
        return results


def floor(hour: datetime, interval: str, start: datetime) -> datetime:
    day = hour.replace(hour=0)
    weeks = day - timedelta(days=day.weekday())
    return {"hour": hour, "day": day, "week": weeks, "month": day.replace(day=1), "total": start}[interval]


def direct(filled: Filled, interval: str, group_by: str, start: datetime, stop: datetime, **only: Any) -> list[Any]:
    """The rows as they should come, by plain Python."""
    sums: dict[tuple[Any, ...], list[float]] = {}
    for hour, release, episode, *values in filled.rows:
        by_episode = group_by == "episode" or "episodes" in only
        if not start <= hour < stop or (episode > 0) != by_episode:
            continue
        if release not in only.get("releases", [release]) or episode not in only.get("episodes", [episode]):
            continue
        key = (release, episode if group_by == "episode" else 0, floor(hour, interval, start))
        held = sums.setdefault(key, [0.0] * 4)
        for place, value in enumerate(values):
            held[place] += value
    rows = []
    for (release, episode, bucket), (views, viewers, seconds, completion) in sorted(sums.items()):
        row = {
            "release_id": release,
            "start": bucket,
            "views": views,
            "unique_viewers": viewers,
            "watch_seconds": seconds,
        }
        row["average_completion"] = pytest.approx(completion / views, abs=0.0051)
        rows.append(row | ({"episode_id": episode} if group_by == "episode" else {}))
    return rows


def parsed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row | {"start": datetime.fromisoformat(row["start"])} for row in rows]


async def fill(conn: Any) -> tuple[list[int], dict[int, list[int]], list[tuple[Any, ...]]]:
    chance = random.Random(5)
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    await seed_partitions(conn)
    await seed_rollup_partitions(conn, (today - timedelta(days=DAYS)).date(), today.date())
    releases = await seed_releases(conn, 4)
    episodes = await seed_episodes(conn, releases, 2)
    rows = []
    for release in releases:
        for episode in [0, *episodes[release]]:
            for day in range(DAYS + 1):
                if chance.random() < 0.5:
                    # One hour a day, so that the day's unique viewers are the hour's.
                    hour = today - timedelta(days=day) + timedelta(hours=chance.choice([0, 7, 23]))
                    views = chance.randint(1, 9)
                    rows.append((hour, release, episode, views, chance.randint(1, views), views * 61, views * 33.3))
    await conn.executemany("insert into view_hours values ($1, $2, $3, $4, $5, $6, $7)", rows)
    await conn.executemany(
        "insert into view_days values ($1, $2, $3, $4, $5, $6, $7)", [(r[0].date(), *r[1:]) for r in rows]
    )
    return releases, episodes, rows


@pytest.fixture
async def filled(conn: Any, dsn: str, tmp_path: Path) -> AsyncIterator[Filled]:
    """Forty-five days of views of four releases with two episodes each."""
    releases, episodes, rows = await fill(conn)
    async with running(dsn, tmp_path) as server:
        yield Filled(server, conn, releases, episodes, rows)


async def test_every_interval_and_grouping_equals_a_direct_computation(filled: Filled) -> None:
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    spans: list[tuple[dict[str, str], datetime, datetime]] = [
        ({}, today - timedelta(days=30), today + timedelta(days=1)),
        (
            {"from": f"{today - timedelta(days=40):%Y-%m-%d}", "to": f"{today - timedelta(days=3):%Y-%m-%d}"},
            today - timedelta(days=40),
            today - timedelta(days=2),
        ),
    ]
    one, two = filled.releases[0], filled.releases[2]
    some = [filled.episodes[one][0], filled.episodes[one][1], filled.episodes[two][1]]
    filters: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({}, {}),
        ({"release_ids": [one, two]}, {"releases": [one, two]}),
        ({"episode_ids": some}, {"episodes": some}),
        (
            {"release_ids": f"{one}", "episode_ids": f"{some[0]},{some[2]}"},
            {"releases": [one], "episodes": [some[0], some[2]]},
        ),
    ]
    shapes = itertools.product(("hour", "day", "week", "month", "total"), ("release", "episode"), spans, filters)
    for interval, group_by, (asked, start, stop), (query, only) in shapes:
        found = await filled.all(interval=interval, group_by=group_by, **asked, **query)
        assert parsed(found) == direct(filled, interval, group_by, start, stop, **only), (interval, group_by, query)


async def test_moments_take_in_the_hours_and_days_they_fall_into(filled: Filled) -> None:
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    start, stop = today - timedelta(days=9, hours=-6, minutes=-30), today - timedelta(days=4, minutes=-1)
    query = {"from": start.isoformat(), "to": stop.isoformat()}
    hourly = direct(filled, "hour", "release", start.replace(minute=0), stop.replace(minute=0) + timedelta(hours=1))
    assert parsed(await filled.all(interval="hour", **query)) == hourly
    daily = direct(
        filled, "day", "release", start.replace(hour=0, minute=0), stop.replace(minute=0) + timedelta(days=1)
    )
    assert parsed(await filled.all(interval="day", **query)) == daily
    exact = {
        "from": (today - timedelta(days=9)).isoformat(),
        "to": (today - timedelta(days=4)).isoformat().replace("+00:00", "Z"),
    }
    wanted = direct(filled, "day", "release", today - timedelta(days=9), today - timedelta(days=4))
    assert parsed(await filled.all(**exact)) == wanted
    for wrong in (
        {"from": "2026-13-01"},
        {"from": "2026-02-02", "to": "2026-01-01"},
        {"from": "yesterday"},
        {"to": "1500-01-01"},
    ):
        assert (await filled.get(**wrong))[0] == 422
    assert (await filled.get(**{"from": "2000-01-01", "to": "2026-01-01"}))[0] == 422
    for wrong in ({"interval": "year"}, {"limit": "101"}, {"release_ids": "x"}, {"page": "10000", "limit": "2"}):
        assert (await filled.get(**wrong))[0] == 422


async def test_pages_their_links_and_counts(filled: Filled) -> None:
    one = filled.releases[0]
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    span = (today - timedelta(days=30), today + timedelta(days=1))
    expected = direct(filled, "day", "release", *span, releases=[one])
    _, first, _ = await filled.get(release_ids=one, limit=5)
    assert (first["count"], first["previous"], "count_is_estimate" in first) == (len(expected), None, False)
    assert parsed(first["results"]) == expected[:5]
    async with filled.server.client.get(first["next"]) as answer:
        second = await answer.json()
    assert parsed(second["results"]) == expected[5:10]
    async with filled.server.client.get(second["previous"]) as answer:
        assert (await answer.json())["results"] == first["results"]
    total = len(direct(filled, "day", "release", *span))
    _, unfiltered, _ = await filled.get(limit=5)
    assert unfiltered["count_is_estimate"] is True
    assert unfiltered["next"]
    pages = -(-total // 5)
    _, last, _ = await filled.get(limit=5, page=pages)
    assert 0 < len(last["results"]) <= 5
    _, past, _ = await filled.get(limit=5, page=pages + 1)
    assert (past["results"], past["next"]) == ([], None)


async def test_csv_says_what_json_says(filled: Filled) -> None:
    for group_by in ("release", "episode"):
        _, as_json, _ = await filled.get(group_by=group_by, limit=50)
        _, text, headers = await filled.get(group_by=group_by, limit=50, format="csv")
        assert headers["Content-Type"] == "text/csv; charset=utf-8"
        lines = list(csv.DictReader(io.StringIO(text)))
        assert len(lines) == len(as_json["results"])
        for line, row in zip(lines, as_json["results"], strict=True):
            assert line == {"episode_id": ""} | {name: str(value) for name, value in row.items()}
    async with filled.server.client.get(PATH, headers={"Accept": "text/csv"}) as answer:
        assert answer.content_type == "text/csv"
        assert "Accept" in answer.headers["Vary"].split(", ")
    async with filled.server.client.get(PATH, headers={"Accept": "text/csv, application/json"}) as answer:
        assert answer.content_type == JSON


async def test_what_touches_today_is_cached_for_seconds_and_the_past_for_minutes(filled: Filled) -> None:
    now = datetime.now(UTC)
    yesterday = f"{now - timedelta(days=1):%Y-%m-%d}"
    live = [
        {},
        {"interval": "hour", "from": f"{now:%Y-%m-%d}", "to": f"{now:%Y-%m-%dT%H:%M:%SZ}"},
        {"to": f"{now:%Y-%m-%d}"},
    ]
    past = [{"to": yesterday}, {"to": yesterday, "interval": "hour"}, {"to": f"{now:%Y-%m-%dT00:00:00Z}"}]
    for query in live:
        assert "max-age=5, s-maxage=10" in (await filled.get(**query))[2]["Cache-Control"], query
    for query in past:
        assert "max-age=60, s-maxage=300" in (await filled.get(**query))[2]["Cache-Control"], query
