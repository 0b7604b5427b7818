"""Fixtures: real clusters of every PostgreSQL there is on this machine, a fresh migrated database for each test."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from server.database import connect
from server.postgres import binaries
from server.postgres.cluster import Cluster
from sql.migrate import migrate
from tests.running import Running, running

DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")
SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Server:
    """A running cluster with a migrated database `template` to copy from."""

    cluster: Cluster
    template: str

    def dsn(self, database: str) -> str:
        return self.cluster.dsn(database)


def _start(data_dir: Path, programs: binaries.Binaries) -> Server:
    async def start() -> Server:
        cluster = Cluster(data_dir, programs)
        await cluster.start()
        admin = await asyncpg.connect(cluster.dsn("postgres"))
        # Tests need no durability of their own; those that prove it start their own server.
        await admin.execute("alter system set fsync = off")
        await admin.execute("select pg_reload_conf()")
        await admin.execute("create database template_migrated")
        await admin.close()
        conn = await connect(cluster.dsn("template_migrated"))
        await migrate(conn)
        await conn.close()
        return Server(cluster, "template_migrated")

    return asyncio.run(start())


@pytest.fixture(scope="session", params=["18", "15"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """PostgreSQL 18 as we ship it, and 15 where Debian's binaries are installed."""
    if request.param == "15" and not (DEBIAN_15 / "initdb").exists():
        pytest.skip("PostgreSQL 15 is not installed (apt-get install postgresql-15)")
    programs = binaries.embedded() if request.param == "18" else binaries.at(DEBIAN_15)
    running = _start(tmp_path_factory.mktemp(f"pg{request.param}"), programs)
    yield running
    asyncio.run(running.cluster.stop())


@pytest.fixture
async def dsn(server: Server) -> AsyncIterator[str]:
    """The address of a fresh migrated database."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    admin = await asyncpg.connect(server.dsn("postgres"))
    await admin.execute(f"create database {name} template {server.template} strategy file_copy")
    yield server.dsn(name)
    await admin.execute(f"drop database {name} with (force)")
    await admin.close()


@pytest.fixture
async def conn(dsn: str) -> AsyncIterator[Any]:
    """A connection to a fresh migrated database."""
    connection = await connect(dsn)
    yield connection
    await connection.close()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real catalogues beside the project; tests that need it skip without it."""
    if not SHARED_DATA.is_dir():
        pytest.skip("no real catalogues beside the project (../shared/data)")
    return SHARED_DATA


@pytest.fixture
async def server_running(dsn: str, tmp_path: Path) -> AsyncIterator[Running]:
    """The application on a fresh migrated database, listening on a free port."""
    async with running(dsn, tmp_path) as started:
        yield started
