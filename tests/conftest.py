"""Fixtures: real clusters of every PostgreSQL there is on this machine, a fresh migrated database for each test."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from xdist.scheduler import LoadScopeScheduling

from server.database import connect
from server.postgres import binaries
from server.postgres.cluster import Cluster
from sql.migrate import migrate
from tests import in_memory, patience
from tests.running import Running, running

DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")
SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
# Tests need no durability of their own; those that prove it start their own server.
CARELESS = {"fsync": "off", "full_page_writes": "off", "max_wal_size": "128MB"}
# These start many processes of their own, kill them, and look at the clock: never two of them at once.
CROWDED = ("test_acceptance_", "test_chaos_runs", "test_cms_import_kill", "test_cluster")
_numbers = itertools.count(1)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """All files of the run lie in memory where there is room. Those of a worker lie below those of its controller."""
    if not hasattr(config, "workerinput") and config.option.basetemp is None and (directory := in_memory.room()):
        config.option.basetemp = directory
        config.add_cleanup(lambda: shutil.rmtree(directory, ignore_errors=True))


class ByFile(LoadScopeScheduling):
    """The tests of a file stay with one worker, as they share a server; of crowded files, one comes after another."""

    def _split_scope(self, nodeid: str) -> str:
        name = nodeid.partition("::")[0].rpartition("/")[2]
        return "crowded" if name.startswith(CROWDED) else name


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """How tests are dealt out to the workers of `make test`."""
    return ByFile(config, log)


@dataclass(frozen=True)
class Server:
    """A running cluster with a migrated database `template` to copy from."""

    cluster: Cluster
    template: str

    def dsn(self, database: str) -> str:
        return self.cluster.dsn(database)


async def _start(data_dir: Path, programs: binaries.Binaries) -> Server:
    cluster = Cluster(data_dir, programs)
    await cluster.start()
    admin = await asyncpg.connect(cluster.dsn("postgres"))
    for name, value in CARELESS.items():
        await admin.execute(f"alter system set {name} = '{value}'")
    await admin.execute("select pg_reload_conf()")
    await admin.execute("create database template_migrated")
    await admin.close()
    conn = await connect(cluster.dsn("template_migrated"))
    await migrate(conn)
    await conn.close()
    return Server(cluster, "template_migrated")


@pytest.fixture(scope="session")
def clusters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Server]]:
    """Gives the cluster of a version: started when it is first asked for, stopped at the end of all tests."""
    started: dict[str, Server] = {}
    with ExitStack() as stack:
        room = tmp_path_factory.mktemp("clusters")

        def give(version: str) -> Server:
            if version not in started:
                programs = binaries.embedded() if version == "18" else binaries.at(DEBIAN_15)
                found = started[version] = asyncio.run(_start(room / f"pg{version}", programs))
                stack.callback(lambda: asyncio.run(found.cluster.stop()))
            return started[version]

        yield give


@pytest.fixture(scope="session", params=["18", "15"])
def server(request: pytest.FixtureRequest, clusters: Callable[[str], Server]) -> Server:
    """PostgreSQL 18 as we ship it, and 15 where Debian's binaries are installed."""
    if request.param == "15" and not (DEBIAN_15 / "initdb").exists():
        pytest.skip("PostgreSQL 15 is not installed (apt-get install postgresql-15)")
    return clusters(request.param)


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


@pytest.fixture
def as_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits longer than with the product: for tests of how long that is."""
    patience.be_as_served(monkeypatch)


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
