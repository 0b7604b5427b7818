"""Health: checks run side by side, each within three seconds, their outcome shared for one second."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Literal

Status = Literal["ok", "degraded", "down"]
CHECK_TIMEOUT = 3.0
SHARED = 1.0
# Below this much free disk PostgreSQL may stop at any time.
LEAST_FREE_BYTES = 100 * 2**20


@dataclass(frozen=True, slots=True)
class Check:
    """One outcome. `vital`: without it the service is unhealthy, not merely degraded."""

    status: Status
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Probe:
    """A check to run. Without a `vital` one the server cannot serve."""

    name: str
    run: Callable[[], Awaitable[Check]]
    vital: bool = False


class Health:
    """All probes and their last outcome."""

    def __init__(self, probes: list[Probe]) -> None:
        self._probes = probes
        self._at = float("-inf")
        self._found: dict[str, Check] = {}
        self._running: asyncio.Task[dict[str, Check]] | None = None
        # Set while the server stops: it answers what is in flight but is no longer ready.
        self.stopping = False

    async def checks(self) -> dict[str, Check]:
        """The outcome by name, at most a second old. Never raises."""
        if monotonic() - self._at < SHARED:
            return self._found
        if self._running is None:
            self._running = asyncio.create_task(self._run(), name="health")
        return await asyncio.shield(self._running)

    async def _run(self) -> dict[str, Check]:
        try:
            outcomes = await asyncio.gather(*(_guarded(probe) for probe in self._probes))
            self._found = {probe.name: outcome for probe, outcome in zip(self._probes, outcomes, strict=True)}
            self._at = monotonic()
            return self._found
        finally:
            self._running = None

    async def report(self) -> tuple[bool, dict[str, Any]]:
        """Whether the server can serve, and the body of `/health`."""
        found = await self.checks()
        vital = {probe.name for probe in self._probes if probe.vital}
        down = any(check.status == "down" for name, check in found.items() if name in vital)
        ill = any(check.status != "ok" for check in found.values())
        body = {
            "status": "unhealthy" if down else "degraded" if ill else "healthy",
            "checks": {
                name: {"status": check.status} | ({"detail": check.detail} if check.detail else {})
                for name, check in found.items()
            },
        }
        return not down, body


async def _guarded(probe: Probe) -> Check:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT):
            return await probe.run()
    except TimeoutError:
        return Check("down", f"no answer within {CHECK_TIMEOUT:.0f} s")
    except Exception:  # noqa: BLE001 - whatever is wrong, the answer is that it is down, and no inner text
        return Check("down", "not reachable")


def disk_probe(directory: Path) -> Probe:
    """Whether the disk under `directory` has room."""

    async def run() -> Check:
        free = shutil.disk_usage(directory).free
        return Check("ok") if free >= LEAST_FREE_BYTES else Check("degraded", f"{free // 2**20} MiB free")

    return Probe("disk", run)
