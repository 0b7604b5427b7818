"""GET /admin/analytics: all rows, in portions, as fast as the client takes them."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from time import monotonic
from typing import Any

import pytest
import pytest_asyncio

from server.bodies import analytics_export
from server.database import connect
from server.http import portions
from server.keys import DATABASE
from sql import analytics
from sql.analytics import ViewsWanted
from tests.conftest import Server
from tests.http_fixture import SHARED, problem, shared_site
from tests.people import Person, person
from tests.running import Running
from tests.seeding import seed_rollup_partitions

pytestmark = SHARED
PATH = "/api/v1/admin/analytics"
FIRST = datetime(2026, 3, 1, tzinfo=UTC)
DAYS, RELEASES = 60, 700
SPAN = {"from": "2026-03-01", "to": "2026-04-29"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """42,000 rows by release and day, and as many by episode."""
    async with shared_site(server, tmp_path_factory.mktemp("site")) as started:
        conn = await connect(started.app[DATABASE].dsn)
        await seed_rollup_partitions(conn, FIRST.date(), FIRST.date() + timedelta(days=DAYS))
        await conn.execute(
            """insert into view_days (day, release_id, episode_id, views, unique_viewers, watch_seconds, completion_sum)
               select $1::date + d, r, e * r * 10, 1 + (r + d) % 7, 1, 60 * r, 33.333 * (1 + (r + d) % 7)
               from generate_series(0, $2::integer - 1) d, generate_series(1, $3::integer) r, generate_series(0, 1) e
               """,
            FIRST.date(), DAYS, RELEASES,
        )  # fmt: skip
        await conn.execute("analyze view_days")
        await conn.close()
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def admin(site: Running) -> Person:
    return await person(site, role="admin")


async def export(site: Running, admin: Person, **query: str) -> tuple[str, str]:
    async with site.client.get(PATH, params=SPAN | query, headers=admin.headers) as answer:
        assert answer.status == 200, await answer.text()
        assert "X-Request-ID" in answer.headers
        assert answer.headers["Cache-Control"] == "private, no-store"
        return answer.headers["Content-Type"], await answer.text()


async def test_every_row_is_there_once_and_in_order(site: Running, admin: Person) -> None:
    kind, text = await export(site, admin)
    rows = [json.loads(line) for line in text.splitlines()]
    assert kind == "application/x-ndjson"
    assert len(rows) == DAYS * RELEASES
    assert all(
        (one["release_id"], one["start"]) < (other["release_id"], other["start"]) for one, other in pairwise(rows)
    )


@pytest.mark.parametrize("interval", ["day", "week", "month", "total"])
@pytest.mark.parametrize("group_by", ["release", "episode"])
async def test_both_forms_hold_what_the_paged_list_holds(
    site: Running, admin: Person, interval: str, group_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(analytics_export, "PORTION", 7)
    narrow = {"release_ids": "3,9,12", "interval": interval, "group_by": group_by}
    async with site.client.get("/api/v1/analytics/views", params=SPAN | narrow | {"limit": "100"}) as answer:
        page = await answer.json()
        expected, following = page["results"], page["next"]
    while following is not None:
        async with site.client.get(following) as answer:
            page = await answer.json()
        expected += page["results"]
        following = page["next"]
    _, lines = await export(site, admin, **narrow)
    assert [json.loads(line) for line in lines.splitlines()] == expected
    kind, text = await export(site, admin, format="csv", **narrow)
    assert kind == "text/csv; charset=utf-8"
    table = list(csv.reader(io.StringIO(text)))
    assert table[0] == list(analytics_export.COLUMNS)
    shown = [[str(row.get(name, "")) for name in table[0][:-1]] for row in expected]
    assert [row[:-1] for row in table[1:]] == shown
    assert [float(row[-1]) for row in table[1:]] == [row["average_completion"] for row in expected]


async def test_nothing_fits_is_no_error(site: Running, admin: Person) -> None:
    assert await export(site, admin, release_ids="999999999") == ("application/x-ndjson", "")
    _, text = await export(site, admin, release_ids="999999999", format="csv")
    assert text.splitlines() == [",".join(analytics_export.COLUMNS)]


async def test_a_head_request_gets_headers_alone(site: Running, admin: Person) -> None:
    async with site.client.head(PATH, params=SPAN, headers=admin.headers) as answer:
        assert answer.status == 200
        assert await answer.read() == b""
    # The connection serves the next request.
    assert (await export(site, admin, release_ids="3"))[1].count("\n") == DAYS


async def open_export(site: Running, admin: Person) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection with small buffers that has read the headers."""
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    narrow.setblocking(False)
    await asyncio.get_running_loop().sock_connect(narrow, ("127.0.0.1", site.port))
    reader, writer = await asyncio.open_connection(sock=narrow, limit=4096)
    target = f"{PATH}?from=2026-03-01&to=2026-04-29&group_by=episode"
    sent = f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: {admin.headers['Authorization']}"
    writer.write(f"{sent}\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


async def test_a_slow_reader_holds_neither_a_connection_nor_the_rows(
    site: Running, admin: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = 0
    original = analytics.lines

    async def counted(*given: Any, **named: Any) -> Any:
        nonlocal read
        read += 1
        return await original(*given, **named)

    monkeypatch.setattr(analytics, "lines", counted)
    reader, writer = await open_export(site, admin)
    # The buffers of both sockets fill up; then it waits for us.
    before = -1
    while before != read:
        before = read
        await asyncio.sleep(0.3)
    assert 0 < read < DAYS * RELEASES // analytics_export.PORTION
    until = monotonic() + 5
    while site.app[DATABASE].in_use:
        # An actor's, for a moment.
        assert monotonic() < until
        await asyncio.sleep(0.01)
    body = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    assert body.endswith(b"0\r\n\r\n")
    assert body.count(b'"release_id"') == DAYS * RELEASES


async def test_who_takes_nothing_is_cut_off(site: Running, admin: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portions, "PORTION_PATIENCE", 0.5)
    reader, writer = await open_export(site, admin)
    await asyncio.sleep(1.5)
    rest = b""
    with suppress(ConnectionResetError):
        rest = await asyncio.wait_for(reader.read(), 10)
    # Cut in the middle: the last chunk, which says that all is well, never comes.
    assert not rest.endswith(b"0\r\n\r\n")
    writer.close()


async def test_a_failure_on_the_way_does_not_look_like_an_end(
    site: Running, admin: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = analytics.lines
    calls = 0

    async def failing(*given: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise TimeoutError
        return await original(*given, **named)

    monkeypatch.setattr(analytics, "lines", failing)
    with pytest.raises(Exception, match=r"(?i)payload|disconnected|reset|not enough data"):
        await export(site, admin)
    assert calls == 3


async def test_only_administrators_and_their_tokens_with_the_scope_may(site: Running, admin: Person) -> None:
    async with site.client.get(PATH, headers=(await person(site, role="moderator")).headers) as answer:
        await problem(answer, 403)
    async with site.client.get(PATH, params={"interval": "never"}, headers=admin.headers) as answer:
        await problem(answer, 422)


@pytest.mark.parametrize("interval", ["day", "month", "total"])
async def test_a_portion_reads_its_own_rows_and_not_all(site: Running, interval: Any) -> None:
    conn = await connect(site.app[DATABASE].dsn)
    wanted = ViewsWanted(FIRST, FIRST + timedelta(days=DAYS), interval, by_episode=False)
    text, values = analytics.compose_lines(wanted, analytics.Place(350, 0, FIRST), 100, as_csv=False)
    plan = (await conn.fetchval(f"explain (analyze, format json) {text}", *values))[0]["Plan"]
    await conn.close()
    # 200 rows a release and span at most, by release and episode: far from the 84,000 there are.
    assert most_rows(plan) < 100 * DAYS * 4


def most_rows(plan: dict[str, Any]) -> float:
    """The most rows any node handled, those it read in vain included."""
    mine = plan["Actual Rows"] * plan["Actual Loops"] + plan.get("Rows Removed by Filter", 0)
    return max([float(mine), *(most_rows(inner) for inner in plan.get("Plans", ()))])
