"""kill -9, at random moments and under load: what was acknowledged is there, once."""

from __future__ import annotations

import asyncio
import re
import subprocess
from pathlib import Path

import asyncpg
import pytest

from tests.chaos.editor import FOLLOWERS
from tests.chaos.killing import run as kill_again_and_again
from tests.chaos.process import Served, catalogue, command, environment, run, served

KILLS = 24
MANY = 12_000


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_two_dozen_kills_under_load_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    outcome = await kill_again_and_again(tmp_path, kills=KILLS, seed=20, longest=0.5)
    assert outcome.sound, str(outcome)
    # How much was done meanwhile is the machine's affair; that nothing was would make the rest worth nothing.
    assert outcome.kills.total() == KILLS
    assert outcome.kills["server"] >= 8
    assert outcome.kills["server and PostgreSQL"] >= 2
    assert outcome.kills["PostgreSQL"] >= 1
    assert len(outcome.books.acknowledged) > 300
    # Some answers were cut off after their commit: those events were sent twice and counted once.
    assert outcome.books.duplicates > 0
    # People went on with their libraries all the while, and their keys were asked for again.
    assert outcome.notes.acknowledged > 60
    assert outcome.notes.replayed > 0
    assert outcome.people.certain > 20
    # The catalogue was edited all the while, and thousands of followers were told of each new episode once.
    assert len(outcome.record.operations) > 10
    assert outcome.editor.notifications > FOLLOWERS


def start_import(data_dir: Path, path: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command("import", "native", str(path)), env=environment(data_dir), cwd=data_dir.parent,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


async def committed(server: Served) -> int:
    """How many releases are there; 0 while there is no database."""
    try:
        async with server.connection() as conn:
            return int(await conn.fetchval("select count(*) from releases"))
    except (asyncpg.PostgresError, OSError):
        return 0


@pytest.mark.slow
async def test_an_import_killed_midway_finishes_when_it_is_run_again(tmp_path: Path) -> None:
    path = catalogue(tmp_path / "catalogue.jsonl", MANY)
    async with served(tmp_path / "var", releases=0) as server:
        importing = start_import(server.data_dir, path)
        while await committed(server) == 0:  # noqa: ASYNC110 - another process commits
            await asyncio.sleep(0.02)
        importing.kill()
        importing.wait()
        before = await committed(server)
        assert 0 < before < MANY
        done = await asyncio.to_thread(run, server.data_dir, "import", "native", str(path))
        assert done.returncode == 0, done.stderr
        found = {
            word: int(number) for word, number in re.findall(r"(created|unchanged|updated|skipped): (\d+)", done.stdout)
        }
        assert found["created"] == MANY - before
        assert found["unchanged"] == before
        await server.cluster.start()
        assert await committed(server) == MANY
        async with server.connection() as conn:
            assert await conn.fetchval("select count(*) from episodes") == 3 * MANY
            assert await conn.fetchval("select total from catalogue_totals where name = 'releases'") == MANY
        await server.cluster.stop()
