"""Health, liveness, readiness."""

from __future__ import annotations

import asyncio
from pathlib import Path
from time import monotonic

import pytest

from server import health
from server.errors import DatabaseUnavailable
from server.health import Check, Health, Probe, disk_probe
from server.keys import DATABASE, HEALTH
from tests.http_fixture import ON_18, problem
from tests.running import Running
from tests.search_site import until_indexed


@ON_18
async def test_health_names_every_check(server_running: Running) -> None:
    await until_indexed(server_running)
    async with server_running.client.get("/health") as answer:
        assert answer.status == 200
        assert answer.headers["Cache-Control"] == "no-store"
        body = await answer.json()
    assert body["status"] == "healthy"
    search = {"status": "ok", "detail": "full text"}
    assert body["checks"] == {
        "database": {"status": "ok"}, "disk": {"status": "ok"}, "memory": {"status": "ok"}, "search": search,
    }  # fmt: skip


@ON_18
async def test_live_and_ready_answer_under_both_names(server_running: Running) -> None:
    for path in ("/live", "/health/live", "/ready", "/health/ready"):
        async with server_running.client.get(path) as answer:
            assert answer.status == 200


@ON_18
async def test_without_its_database_it_is_alive_but_unhealthy_and_not_ready(server_running: Running) -> None:
    await server_running.app[DATABASE].close()
    async with server_running.client.get("/live") as answer:
        assert answer.status == 200
    async with server_running.client.get("/health") as answer:
        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) >= 1
        body = await answer.json()
    assert body["status"] == "unhealthy"
    assert body["checks"]["database"] == {"status": "down", "detail": "not reachable"}
    assert body["checks"]["disk"] == {"status": "ok"}
    for path in ("/ready", "/health/ready"):
        async with server_running.client.get(path) as answer:
            await problem(answer, 503)


@ON_18
async def test_a_server_that_stops_is_alive_and_healthy_but_not_ready(server_running: Running) -> None:
    server_running.app[HEALTH].stopping = True
    async with server_running.client.get("/ready") as answer:
        await problem(answer, 503)
    for path in ("/live", "/health"):
        async with server_running.client.get(path) as answer:
            assert answer.status == 200


class Probed:
    """A check that counts how often it ran, takes its time, and ends as told."""

    def __init__(self, outcome: Check | Exception, seconds: float = 0.0) -> None:
        self.runs = 0
        self.outcome = outcome
        self.seconds = seconds

    async def __call__(self) -> Check:
        self.runs += 1
        await asyncio.sleep(self.seconds)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


OK = Check("ok")


@pytest.mark.parametrize(
    ("vital", "other", "serves", "status"),
    [
        (OK, OK, True, "healthy"),
        (OK, Check("degraded", "slow"), True, "degraded"),
        (OK, Check("down"), True, "degraded"),
        (Check("degraded"), OK, True, "degraded"),
        (Check("down"), OK, False, "unhealthy"),
        (DatabaseUnavailable("secret"), OK, False, "unhealthy"),
        (OK, RuntimeError("secret"), True, "degraded"),
    ],
)
async def test_only_a_vital_check_makes_it_unhealthy(
    vital: Check | Exception, other: Check | Exception, serves: bool, status: str
) -> None:
    probes = [Probe("vital", Probed(vital), vital=True), Probe("other", Probed(other))]
    found, body = await Health(probes).report()
    assert (found, body["status"]) == (serves, status)
    assert "secret" not in str(body)


async def test_checks_run_side_by_side_and_none_takes_longer_than_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "CHECK_TIMEOUT", 0.2)
    started = monotonic()
    _, body = await Health([Probe(str(n), Probed(OK, 60)) for n in range(50)]).report()
    assert monotonic() - started < 5
    assert {check["status"] for check in body["checks"].values()} == {"down"}


async def test_a_hundred_who_ask_share_one_round_for_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    probed = Probed(OK, 0.01)
    shared = Health([Probe("one", probed)])
    await asyncio.gather(*(shared.report() for _ in range(100)))
    await shared.report()
    assert probed.runs == 1
    monkeypatch.setattr(health, "SHARED", -1.0)
    await shared.report()
    assert probed.runs == 2


async def test_who_asks_and_goes_away_does_not_spoil_it_for_the_others() -> None:
    shared = Health([Probe("one", Probed(OK, 0.05))])
    first = asyncio.create_task(shared.report())
    second = asyncio.create_task(shared.report())
    await asyncio.sleep(0.01)
    first.cancel()
    assert (await second)[0]


async def test_a_disk_that_runs_full_degrades_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await disk_probe(tmp_path).run()).status == "ok"
    monkeypatch.setattr(health, "LEAST_FREE_BYTES", 2**70)
    found = await disk_probe(tmp_path).run()
    assert found.status == "degraded"
    assert found.detail.endswith("MiB free")
