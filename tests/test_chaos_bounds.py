"""The runs of `make chaos` that measure: they must notice what is missed, and see what a server really does."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.chaos import crowd, overload, redis_gone, surge
from tests.chaos.bounds import Bound, Findings, percentile
from tests.chaos.redis_gone import STEP, Stretch
from tests.chaos.wire import Wire, request

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
FULL = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\n\r\n"
BARE = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


def test_a_bound_that_is_missed_or_could_not_be_measured_fails_the_run() -> None:
    assert Findings("x", [Bound("a", 1, 1), Bound("b", 2, 1, at_least=True)]).sound
    for missed in (Bound("a", 1.1, 1), Bound("b", 0.9, 1, at_least=True), Bound("c", math.nan, 1)):
        assert not Findings("x", [Bound("a", 1, 1), missed]).sound
        assert "MISSED" in str(missed)
    assert not Findings("x").sound
    assert not Findings("x", [Bound("a", 1, 1)], complaints=["it ended"]).sound


def test_percentiles_of_few_values_are_among_them() -> None:
    assert percentile([], 0.99) == 0.0
    assert percentile([3.0], 0.99) == 3.0
    assert percentile([float(n) for n in range(100)], 0.99) == 99.0


@asynccontextmanager
async def answering(act: Callable[[int], tuple[float, bytes]]) -> AsyncIterator[int]:
    """A server that answers its n-th request after so many seconds with these bytes; its port."""
    count = 0
    at_work = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        at_work.add(asyncio.current_task())
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                count += 1
                pause, answer = act(count)
                await asyncio.sleep(pause)
                # In two pieces, as they may come.
                writer.write(answer[:9])
                await writer.drain()
                writer.write(answer[9:])
                if not answer:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.gather(*at_work)


async def surged(port: int, *phases: dict[str, Any], connections: int = 20) -> dict[str, Any]:
    mix = [[1.0, request("GET", "/?x={n}", port).decode()]]
    return await surge.main({"port": port, "connections": connections, "requests": mix, "phases": list(phases)})


async def test_an_open_loop_offers_what_it_was_told_to_and_counts_every_answer() -> None:
    async with answering(lambda n: (0.0, (GOOD, FULL, BARE, GOOD)[n % 4])) as port:
        report = await surged(port, {"name": "one", "seconds": 1.0, "rate": 200})
    windows = report["phases"]["one"]["windows"]
    total = {name: sum(window[name] for window in windows) for name in ("offered", "served", "refused", "broken")}
    assert total == {"offered": 200, "served": 100, "refused": 100, "broken": 0}
    assert report["retry_after_missing"] == 50
    assert all(90 <= window["offered"] <= 110 for window in windows)


async def test_a_server_that_stalls_makes_every_request_late_that_was_due_meanwhile() -> None:
    async with answering(lambda n: (0.5 if n == 1 else 0.0, GOOD)) as port:
        report = await surged(port, {"name": "one", "seconds": 1.0, "rate": 100}, connections=1)
    # The half of them that was due while the only connection waited.
    assert report["phases"]["one"]["p50_ms"] > 5
    assert 400 < report["phases"]["one"]["p99_ms"] < 900
    assert report["phases"]["one"]["late_p99_ms"] < 100


async def test_a_closed_loop_finds_what_a_server_can_do() -> None:
    async with answering(lambda n: (0.02, GOOD)) as port:
        report = await surged(port, {"name": "one", "seconds": 1.0, "closed": 4})
    assert 120 < overload.served_a_second(report["phases"]["one"]) <= 200


async def test_a_connection_that_ends_early_is_broken_and_another_is_opened() -> None:
    async with answering(lambda n: (0.0, b"")) as port:
        report = await surged(port, {"name": "one", "seconds": 0.5, "rate": 40})
    assert sum(window["broken"] for window in report["phases"]["one"]["windows"]) == 20


async def test_an_answer_without_a_body_is_whole_at_its_head() -> None:
    told: list[int] = []
    wire = Wire(lambda _wire, status, _answer: told.append(status), lambda _: None)
    wire.data_received(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
    assert told == [204]
    assert not wire.open


def window(**fields: float) -> dict[str, float]:
    return {"offered": 10, "served": 10, "p99_ms": 5.0, **fields}


def test_recovery_is_counted_to_the_last_window_that_was_not_calm() -> None:
    calm, slow, refusing = window(), window(p99_ms=500.0), window(served=9)
    assert overload.recovery([calm, calm], 100) == 0.0
    assert overload.recovery([slow, calm, calm], 100) == 0.5
    assert overload.recovery([calm, refusing, calm, slow, calm], 100) == 2.0
    assert overload.recovery([calm, calm, refusing], 100) == 1.5


def overloaded(served: float) -> dict[str, Any]:
    def phase(windows: list[dict[str, float]], p99: float = 20.0) -> dict[str, Any]:
        said = {"seconds": len(windows) / 2, "windows": windows, "p50_ms": 5.0, "p99_ms": p99}
        return said | {"late_p99_ms": 1.0, "client_cpu": 0.2}

    full = {"offered": 1000, "served": served, "finished": served, "refused": 1000 - served, "broken": 0, "other": 0}
    calm = window(finished=10, refused=0, broken=0, other=0)
    return {
        "phases": {"before": phase([calm] * 4), "overload": phase([full] * 4), "after": phase([calm] * 4)},
        "retry_after_missing": 0,
    }


@pytest.mark.parametrize(("served", "sound"), [(200, True), (170, True), (150, False), (300, False)])
def test_goodput_is_held_against_what_the_server_can_do(served: int, sound: bool) -> None:
    findings = Findings("overload")
    overload.judge(findings, 400.0, overloaded(served))
    assert findings.sound is sound, str(findings)


def redis_books(each: float) -> tuple[redis_gone.Books, list[Stretch]]:
    """One person whose requests passed every `each` seconds once the quota was spent, Redis away for a while."""
    stretches = [Stretch(0, 20, shared=True), Stretch(20, 25, shared=False), Stretch(25, 40, shared=True)]
    moments = [0.0] * 200 + [number * each for number in range(int(40 / each))]
    books = redis_gone.Books({1: moments}, latencies=[0.001])
    books.statuses.update({"200": len(moments), "429": 10})
    return books, stretches


@pytest.mark.parametrize(("each", "sound"), [(STEP, True), (STEP / 1.05, False), (STEP / 2, False), (STEP * 2, False)])
def test_limits_that_are_too_wide_or_too_narrow_are_found(each: float, sound: bool) -> None:
    findings = Findings("redis")
    redis_gone.judge(findings, *redis_books(each), quota=200)
    assert findings.sound is sound, str(findings)


def test_a_crowd_shrinks_with_its_mixture() -> None:
    small = crowd.Crowd().shrunk(50, 3.0)
    assert small.size == 100
    assert small.seconds == 3.0


def test_a_server_with_a_cgroup_of_its_own_is_started_by_systemd_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "is_dir", lambda _: False)
    assert crowd.scope_command(512) == ()
    monkeypatch.setattr(Path, "is_dir", lambda _: True)
    monkeypatch.setattr("shutil.which", lambda _: "/usr/bin/systemd-run")
    command = crowd.scope_command(512)
    assert command[0] == "systemd-run"
    assert "MemoryMax=512M" in command
    assert command[-1] == "--"
