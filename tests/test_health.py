"""Health, liveness, readiness, metrics."""

from __future__ import annotations

from tests.running import Running


async def test_health_names_every_check(server_running: Running) -> None:
    async with server_running.client.get("/health") as answer:
        assert answer.status == 200
        body = await answer.json()
    assert body["status"] == "healthy"
    assert body["checks"] == {"database": {"status": "ok"}, "disk": {"status": "ok"}}


async def test_live_and_ready_answer_under_both_names(server_running: Running) -> None:
    for path in ("/live", "/health/live", "/ready", "/health/ready"):
        async with server_running.client.get(path) as answer:
            assert answer.status == 200
