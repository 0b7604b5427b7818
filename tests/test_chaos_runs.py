"""The runs of `make chaos` in small: they come to an end, and what does not depend on the machine's speed is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos import crowd, redis_gone
from tests.chaos.bounds import Findings

pytestmark = pytest.mark.slow
# How fast a server is that shares its cores with other tests says nothing.
SPEED = {"/live p99", "p99", "slowest", "the clients' processor time"}


def missed(findings: Findings) -> list[str]:
    """What was promised and not kept, whatever the machine."""
    return [str(bound) for bound in findings.bounds if not bound.kept and bound.what not in SPEED] + findings.complaints


async def test_a_small_crowd_loses_nothing_it_was_told_was_kept(tmp_path: Path) -> None:
    findings = await crowd.run(tmp_path, seed=1, crowd=crowd.Crowd().shrunk(50, 4.0))
    assert missed(findings) == [], str(findings)


async def test_redis_goes_and_comes_back_and_no_request_fails(tmp_path: Path) -> None:
    course = redis_gone.Course(up=(4.5, 5.5), away=(1.0,), quota=40)
    findings = await redis_gone.run(tmp_path, course=course)
    assert missed(findings) == [], str(findings)
