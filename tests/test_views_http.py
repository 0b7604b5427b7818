"""Sending views over HTTP: what is answered, what is stored by then, and what is never stored."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from server import keys
from tests.running import Running, running
from tests.seeding import seed_episodes, seed_partitions, seed_releases

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
VIEW = {"duration_seconds": 600, "completion_percentage": 40.5}


async def post(server: Running, path: str, body: Any, agent: str = BROWSER, **headers: str) -> tuple[int, Any]:
    async with server.client.post(f"/api/v1{path}", json=body, headers={"User-Agent": agent, **headers}) as answer:
        return answer.status, await answer.json()


def said(accepted: int = 0, duplicates: int = 0, filtered: int = 0, rejected: list[Any] | None = None) -> Any:
    return 202, {"accepted": accepted, "duplicates": duplicates, "filtered": filtered, "rejected": rejected or []}


async def test_an_accepted_view_is_committed_when_the_answer_comes(server_running: Running, conn: Any) -> None:
    (release,) = await seed_releases(conn, 1)
    (episode,) = (await seed_episodes(conn, [release], 1))[release]
    for number in range(5):
        event_id = uuid4()
        body = VIEW | {"release_id": release, "episode_id": episode, "event_id": str(event_id)}
        path = "/views" if number % 2 else f"/releases/{release}/views"
        assert await post(server_running, path, body) == said(1)
        row = await conn.fetchrow("select * from view_metrics where event_id = $1", event_id)
        assert (row["release_id"], row["episode_id"], row["duration_seconds"]) == (release, episode, 600)
        assert await post(server_running, path, body) == said(duplicates=1)
    assert await conn.fetchval("select count(*) from view_metrics") == 5


async def test_one_invalid_view_is_refused_and_inside_an_array_it_is_rejected_with_its_index(
    server_running: Running, conn: Any
) -> None:
    one, other = await seed_releases(conn, 2)
    (episode,) = (await seed_episodes(conn, [other], 1))[other]
    good = VIEW | {"release_id": one, "event_id": str(uuid4())}
    now = datetime.now(UTC)
    invalid: list[dict[str, Any]] = [
        {"release_id": one},
        good | {"duration_seconds": -1},
        good | {"completion_percentage": 100.1},
        good | {"event_id": "x"},
        good | {"surprise": 1},
        good | {"viewed_at": "2026-01-01T00:00:00"},
        good | {"viewed_at": (now - timedelta(days=7, minutes=1)).isoformat()},
        good | {"viewed_at": (now + timedelta(minutes=6)).isoformat()},
        good | {"viewed_at": "1802-01-01T00:00:00Z"},
        good | {"duration_seconds": 2**63},
    ]
    missing = [good | {"release_id": 987654321}, good | {"episode_id": episode}, good | {"release_id": 2**63 - 1}]
    for body in invalid:
        assert (await post(server_running, "/views", body))[0] == 422
        if "viewed_at" in body or "surprise" in body:
            assert (await post(server_running, f"/releases/{one}/views", body))[0] == 422
    for body in missing:
        assert (await post(server_running, "/views", body))[0] == 404
    status, answer = await post(server_running, "/views", [*invalid, good, *missing, good])
    assert (status, answer["accepted"], answer["duplicates"]) == (202, 1, 1)
    assert [row["index"] for row in answer["rejected"]] == [*range(len(invalid)), 11, 12, 13]
    assert all(row["detail"] for row in answer["rejected"])
    assert await conn.fetchval("select count(*) from view_metrics") == 1


async def test_the_release_of_the_body_may_be_absent_and_else_must_be_the_one_of_the_address(
    server_running: Running, conn: Any
) -> None:
    one, other = await seed_releases(conn, 2)
    path = f"/releases/{one}/views"
    assert await post(server_running, path, VIEW) == said(1)
    assert await post(server_running, path, VIEW | {"release_id": one}) == said(1)
    status, problem = await post(server_running, path, VIEW | {"release_id": other})
    assert (status, problem["errors"][0]["pointer"]) == (422, "/release_id")
    assert (await post(server_running, path, VIEW | {"release_id": None}))[0] == 422
    assert (await post(server_running, "/releases/987654321/views", VIEW))[0] == 404
    assert (await post(server_running, "/views", VIEW))[0] == 422


async def test_an_array_may_be_empty_and_holds_at_most_500(server_running: Running, conn: Any) -> None:
    (release,) = await seed_releases(conn, 1)
    view = VIEW | {"release_id": release}
    assert await post(server_running, "/views", []) == said()
    assert await post(server_running, "/views", [view] * 500) == said(500)
    assert (await post(server_running, "/views", [view] * 501))[0] == 422
    assert (await post(server_running, "/views", [*[view] * 500, {}]))[0] == 422
    async with server_running.client.post(
        "/api/v1/views", data=b'{"release', headers={"Content-Type": "application/json"}
    ) as answer:
        assert answer.status == 400


async def test_crawlers_are_counted_apart_with_the_reason(server_running: Running, conn: Any) -> None:
    (release,) = await seed_releases(conn, 1)
    view = VIEW | {"release_id": release}
    bot = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
    assert await post(server_running, "/views", view, bot) == said(filtered=1)
    unknown = view | {"release_id": 987654321}
    status, answer = await post(server_running, "/views", [view, view, unknown], bot)
    assert (status, answer["filtered"], [row["index"] for row in answer["rejected"]]) == (202, 2, [2])
    rows = await conn.fetch("select reason, release_id from view_filtered")
    assert [tuple(row) for row in rows] == [("search", release)] * 3
    assert await conn.fetchval("select count(*) from view_metrics") == 0


async def test_an_event_counts_once_across_instances_restarts_and_a_rush(conn: Any, dsn: str, tmp_path: Path) -> None:
    await seed_partitions(conn)
    (release,) = await seed_releases(conn, 1)
    bodies = [VIEW | {"release_id": release, "event_id": str(uuid4())} for _ in range(40)]
    accepted = 0
    async with running(dsn, tmp_path / "a") as first, running(dsn, tmp_path / "b") as second:
        # Both are two windows onto one day: the salt, and with it the viewer, is the same.
        assert first.app[keys.SALTS].by_day == second.app[keys.SALTS].by_day
        rush = [post(server, "/views", body) for body in bodies for server in (first, second, first)]
        rush += [post(server, "/views", bodies) for server in (first, second)]
        for status, answer in await asyncio.gather(*rush):
            assert status == 202
            accepted += answer["accepted"]
    async with running(dsn, tmp_path / "a") as again:
        assert await post(again, "/views", bodies) == said(duplicates=40)
    assert accepted == await conn.fetchval("select count(*) from view_metrics") == 40
    assert await conn.fetchval("select count(distinct viewer) from view_metrics") == 1


async def test_without_todays_salt_views_wait_and_nothing_breaks(server_running: Running, conn: Any) -> None:
    (release,) = await seed_releases(conn, 1)
    salts = server_running.app[keys.SALTS]
    kept, salts.by_day = salts.by_day, {}
    status, problem = await post(server_running, "/views", VIEW | {"release_id": release})
    assert (status, problem["code"]) == (503, "unavailable")
    salts.by_day = kept
    assert await post(server_running, "/views", VIEW | {"release_id": release}) == said(1)


def written(folder: Path) -> bytes:
    """Every byte of every file."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def dump(conn: Any) -> str:
    """Every row of every table, as text."""
    tables = await conn.fetch(
        """select oid::regclass::text as name from pg_class
           where relkind in ('r', 'm') and relnamespace = 'public'::regnamespace"""
    )
    return "\n".join(
        [str(await conn.fetchval(f"select string_agg(t::text, ' ') from {row['name']} t")) for row in tables]
    )


async def test_no_address_and_no_user_agent_reaches_the_disk_but_networks_tell_viewers_apart(
    conn: Any, dsn: str, tmp_path: Path
) -> None:
    (release,) = await seed_releases(conn, 1)
    agent = "Mozilla/5.0 (X11; Linux x86_64) Unmistakable/77"
    senders = ["203.0.113.77", "203.0.113.78", "198.51.100.9", "2001:db8:5:1::77", "2001:db8:5:2::1", "2001:db8:6::1"]
    async with running(dsn, tmp_path, TRUSTED_PROXIES="127.0.0.0/8") as server:
        for address in senders:
            status, _ = await post(server, f"/releases/{release}/views", VIEW, agent, **{"X-Forwarded-For": address})
            assert status == 202
        await post(server, f"/releases/{release}/views", VIEW, agent + " GPTBot", **{"X-Forwarded-For": senders[0]})
        viewers = [row["viewer"] for row in await conn.fetch("select viewer from view_metrics order by batch_seq")]
    assert viewers[0] == viewers[1]
    assert viewers[3] == viewers[4]
    assert len(set(viewers)) == 4
    assert min(viewers) >= 0
    text = await dump(conn)
    for traced in (*senders, "203.0.113", "2001:db8", "Unmistakable"):
        assert traced not in text
    everything = written(tmp_path)
    assert not [address for address in senders if address.encode() in everything]
