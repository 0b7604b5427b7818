"""The embedded PostgreSQL: made, started, found again, shared, stopped, and put right after every kind of murder."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from server.adapters import cgroup
from server.errors import ClusterError
from server.postgres import binaries, processes
from server.postgres.cluster import LONGEST_SOCKET_PATH, SOCKET_NAME, Cluster
from server.postgres.config import MIB, render, shared_buffers
from tests.conftest import DEBIAN_15

ROOT = Path(__file__).resolve().parent.parent
# One of our processes: says "ready", works until its input ends, leaves.
USER = """
import asyncio, sys
from pathlib import Path
from server.postgres.cluster import Cluster

async def main():
    cluster = Cluster(Path(sys.argv[1]))
    await cluster.start()
    print("ready", cluster.postmaster(), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await cluster.stop()

asyncio.run(main())
"""


class User:
    """Another process that uses the cluster."""

    def __init__(self, data_dir: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", USER, str(data_dir)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def postmaster(self) -> int:
        """Waits until it is ready; the postmaster it uses."""
        assert self.process.stdout is not None
        word, pid = self.process.stdout.readline().split()
        assert word == "ready"
        return int(pid)

    def leave(self) -> None:
        self.process.communicate(timeout=20)
        assert self.process.returncode == 0

    def murder(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=20)


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """A directory for a cluster; whatever still runs on it at the end is killed."""
    yield tmp_path / "var"
    for data in (tmp_path / "var" / "postgres", tmp_path / "var" / "postgres.new"):
        processes.end(processes.makers_of(data) + processes.servers_of(data), 0)


@pytest.fixture
async def cluster(data_dir: Path) -> AsyncIterator[Cluster]:
    """A cluster that runs."""
    running = Cluster(data_dir)
    await running.start()
    yield running
    await running.stop()


def names_in_environment(pid: int | None) -> set[str]:
    words = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return {word.partition(b"=")[0].decode() for word in words if word}


def permissions(path: Path) -> tuple[Path, int, int, int]:
    found = path.stat()
    return path, found.st_mode, found.st_uid, found.st_gid


async def ask(cluster: Cluster, question: str) -> object:
    conn = await asyncpg.connect(cluster.dsn("postgres"))
    try:
        return await conn.fetchval(question)
    finally:
        await conn.close()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# Made, started, stopped


@pytest.mark.parametrize("version", ["18", "15"])
async def test_a_cluster_is_made_started_and_stopped(data_dir: Path, version: str) -> None:
    if version == "15" and not (DEBIAN_15 / "initdb").exists():
        pytest.skip("PostgreSQL 15 is not installed (apt-get install postgresql-15)")
    cluster = Cluster(data_dir, binaries.embedded() if version == "18" else binaries.at(DEBIAN_15))
    assert await cluster.start()
    assert str(await ask(cluster, "show server_version")).startswith(version)
    await cluster.stop()
    assert not cluster.running()
    assert processes.servers_of(cluster.data) == []
    assert not await cluster.start()
    assert await ask(cluster, "select 1") == 1
    await cluster.stop()


async def test_nobody_else_may_look_into_the_directories(cluster: Cluster) -> None:
    assert [mode(path) for path in (cluster.root, cluster.data, cluster.socket_directory())] == [0o700] * 3
    assert mode(cluster.socket_directory() / SOCKET_NAME) == 0o700
    assert await ask(cluster, "show listen_addresses") == ""


async def test_letters_beyond_ascii_have_a_case_and_trigrams(cluster: Cluster) -> None:
    await ask(cluster, "create extension pg_trgm")
    assert await ask(cluster, "select lower('ÉЖ')") == "éж"
    assert await ask(cluster, "select 'é' ~* 'É'")
    assert await ask(cluster, "select cardinality(show_trgm('аниме'))") == 6
    assert await ask(cluster, "select 'Z' collate \"default\" < 'a' collate \"default\""), "sorted by code point"


async def test_a_start_that_is_refused_says_why_and_leaves_the_data_alone(cluster: Cluster) -> None:
    await cluster.stop()
    (cluster.data / "PG_VERSION").write_text("17\n", "utf-8")
    with pytest.raises(ClusterError, match=r"was made by PostgreSQL 17, but this program brings 18.*pg_upgrade"):
        await Cluster(cluster.root).start()
    (cluster.data / "PG_VERSION").write_text("18\n", "utf-8")
    await cluster.start()
    assert await ask(cluster, "select 1") == 1


async def test_a_server_that_does_not_come_up_is_reported_in_its_own_words(cluster: Cluster) -> None:
    await cluster.stop()
    (cluster.data / "postgresql.auto.conf").write_text("shared_buffers = 'much'\n", "utf-8")
    with pytest.raises(ClusterError, match=r'did not start.*\n.*invalid value for parameter "shared_buffers": "much"'):
        await cluster.start()
    (cluster.data / "postgresql.auto.conf").write_text("", "utf-8")


async def test_a_path_too_long_for_a_socket_works(tmp_path: Path) -> None:
    data_dir = tmp_path / ("long" * 30)
    cluster = Cluster(data_dir)
    assert len(str(data_dir / "run" / SOCKET_NAME)) > LONGEST_SOCKET_PATH
    await cluster.start()
    assert await ask(cluster, "select 1") == 1
    assert len(str(cluster.socket_directory() / SOCKET_NAME)) <= LONGEST_SOCKET_PATH
    assert mode(cluster.socket_directory()) == 0o700
    await cluster.stop()
    cluster.socket_directory().rmdir()


async def test_a_socket_directory_that_others_may_enter_is_refused(data_dir: Path) -> None:
    (data_dir / "run").mkdir(parents=True)
    (data_dir / "run").chmod(0o755)
    with pytest.raises(ClusterError, match="must belong to us alone"):
        await Cluster(data_dir).start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has permissions to loosen")
async def test_started_by_root_nothing_outside_of_the_data_directory_changes(data_dir: Path) -> None:
    data_dir.parent.chmod(0o700)
    program = binaries.embedded().directory / "postgres"
    watched = [data_dir.parent, *data_dir.parent.parents, program, *program.parents, Path("/etc/passwd")]
    before = [permissions(path) for path in watched]
    cluster = Cluster(data_dir)
    await cluster.start()
    assert await ask(cluster, "select 1") == 1
    await cluster.stop()
    assert [permissions(path) for path in watched] == before
    assert {path.stat().st_uid for path in (cluster.data, *cluster.data.iterdir())} == {0}


async def test_the_environment_of_postgresql_carries_no_secret(cluster: Cluster) -> None:
    pid = cluster.postmaster()
    names = names_in_environment(pid)
    assert {"LC_ALL", "PATH"} <= names
    assert names <= {*binaries.environment(), "PGSYSCONFDIR", "PGLOCALEDIR"}


# Initdb


async def test_an_interrupted_initdb_leaves_nothing(data_dir: Path) -> None:
    user = User(data_dir)
    unfinished = data_dir / "postgres.new"
    while not (unfinished / "global").exists():  # noqa: ASYNC110 - another process makes it
        await asyncio.sleep(0.002)
    assert processes.makers_of(unfinished)
    user.murder()
    assert not (data_dir / "postgres").exists()
    cluster = Cluster(data_dir)
    assert await cluster.start()
    assert await ask(cluster, "select 1") == 1
    await cluster.stop()
    assert {path.name for path in cluster.root.iterdir()} == {"postgres", "postgres.lock", "postgres.starting", "run"}
    assert processes.makers_of(unfinished) == processes.servers_of(unfinished) == []


# Found again, shared


async def test_the_server_outlives_a_murdered_process_and_is_stopped_by_the_next(data_dir: Path) -> None:
    user = User(data_dir)
    postmaster = user.postmaster()
    user.murder()
    cluster = Cluster(data_dir)
    assert cluster.postmaster() == postmaster
    assert not await cluster.start()
    assert cluster.postmaster() == postmaster
    assert await ask(cluster, "select 1") == 1
    await cluster.stop()
    assert not processes.serves(postmaster, cluster.data)


async def test_two_processes_share_the_server_and_the_last_one_stops_it(data_dir: Path) -> None:
    first, second = User(data_dir), User(data_dir)
    postmaster = first.postmaster()
    assert second.postmaster() == postmaster
    first.leave()
    cluster = Cluster(data_dir)
    assert cluster.postmaster() == postmaster
    assert await ask(cluster, "select 1") == 1
    second.leave()
    assert not cluster.running()


async def test_many_that_come_and_go_at_once_never_lose_the_server(data_dir: Path) -> None:
    users = [User(data_dir) for _ in range(6)]
    assert len({user.postmaster() for user in users}) == 1
    for user in users[:5]:
        assert user.process.stdin is not None
        user.process.stdin.close()
        user.process.stdin = None
    late = User(data_dir)
    assert late.postmaster() == Cluster(data_dir).postmaster()
    for user in users[:5]:
        user.leave()
    assert await ask(Cluster(data_dir), "select 1") == 1
    late.leave()
    users[5].leave()
    assert not Cluster(data_dir).running()


async def test_a_server_that_is_just_stopping_is_waited_for_and_started_anew(data_dir: Path) -> None:
    user = User(data_dir)
    old = user.postmaster()
    user.murder()
    os.kill(old, signal.SIGINT)
    cluster = Cluster(data_dir)
    await cluster.start()
    assert cluster.postmaster() not in (None, old)
    assert await ask(cluster, "select 1") == 1
    await cluster.stop()


# Left behind


def leave_stale_files(cluster: Cluster, pid: int) -> None:
    """What a kill -9 of everything leaves, its number since given to another process."""
    for name, template in (("postmaster.pid", cluster.data), (f"{SOCKET_NAME}.lock", cluster.socket_directory())):
        text = (template / name).read_text("utf-8")
        (template / name).write_text("\n".join([str(pid), *text.split("\n")[1:]]), "utf-8")


def sleeper(directory: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "60"], cwd=directory)


async def murder(cluster: Cluster) -> None:
    pids = processes.servers_of(cluster.data)
    assert len(pids) > 3
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    await asyncio.to_thread(processes.end, pids, 5)


async def test_a_pid_file_whose_number_a_stranger_got_is_seen_through(data_dir: Path) -> None:
    user = User(data_dir)
    user.postmaster()
    cluster = Cluster(data_dir)
    user.murder()
    await murder(cluster)
    # Even one that works inside the data directory, as an operator's shell may.
    stranger = sleeper(cluster.data)
    try:
        leave_stale_files(cluster, stranger.pid)
        assert cluster.postmaster() is None
        await cluster.start()
        assert cluster.postmaster() not in (None, stranger.pid)
        assert await ask(cluster, "select 1") == 1
        assert stranger.poll() is None, "the stranger must live"
        await cluster.stop()
        assert stranger.poll() is None, "the stranger must live"
    finally:
        stranger.kill()
        stranger.wait()


async def test_after_a_crash_what_was_committed_is_there(data_dir: Path) -> None:
    user = User(data_dir)
    user.postmaster()
    cluster = Cluster(data_dir)
    conn = await asyncpg.connect(cluster.dsn("postgres"))
    await conn.execute("create table kept as select generate_series(1, 1000) as number")
    user.murder()
    await murder(cluster)
    assert not cluster.running()
    await cluster.start()
    assert await ask(cluster, "select count(*) from kept") == 1000
    await cluster.stop()


async def test_sessions_that_outlive_their_postmaster_do_not_keep_the_next_from_starting(data_dir: Path) -> None:
    user = User(data_dir)
    postmaster = user.postmaster()
    cluster = Cluster(data_dir)
    conn = await asyncpg.connect(cluster.dsn("postgres"))
    session = await conn.fetchval("select pg_backend_pid()")
    # A stopped process notices nothing, not even that its postmaster has died.
    os.kill(session, signal.SIGSTOP)
    user.murder()
    os.kill(postmaster, signal.SIGKILL)
    await cluster.start()
    assert await ask(cluster, "select 1") == 1
    assert not processes.serves(session, cluster.data)
    await cluster.stop()


async def test_a_server_that_dies_is_started_anew_while_we_live(cluster: Cluster) -> None:
    keeper = asyncio.create_task(cluster.keep_running())
    old = cluster.postmaster()
    await murder(cluster)
    async with asyncio.timeout(15):
        while cluster.postmaster() in (None, old) or not await can_ask(cluster):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    keeper.cancel()
    await asyncio.wait((keeper,))
    await cluster.stop()
    assert not cluster.running()


async def can_ask(cluster: Cluster) -> bool:
    try:
        return await ask(cluster, "select true") is True
    except (OSError, asyncpg.PostgresError):
        return False


async def test_the_configuration_is_written_anew_at_each_start(cluster: Cluster) -> None:
    await cluster.stop()
    written = (cluster.data / "postgresql.conf").read_text("utf-8")
    (cluster.data / "postgresql.conf").write_text("shared_buffers = '1GB'\n", "utf-8")
    await cluster.start()
    assert (cluster.data / "postgresql.conf").read_text("utf-8") == written
    assert await ask(cluster, "show fsync") == "on"
    assert await ask(cluster, "show synchronous_commit") == "on"
    assert await ask(cluster, "show full_page_writes") == "on"


@pytest.mark.parametrize(
    ("memory", "megabytes"), [(None, 32), (435 * MIB, 32), (768 * MIB, 48), (1024 * MIB, 64), (2**36, 64)]
)
def test_postgresql_keeps_a_sixteenth_of_the_memory_but_never_much(memory: int | None, megabytes: int) -> None:
    assert shared_buffers(memory) == megabytes
    assert f"shared_buffers = '{megabytes}MB'\n" in render(18, Path("run"), memory)


async def test_the_memory_of_this_machine_decides(cluster: Cluster) -> None:
    assert await ask(cluster, "show shared_buffers") == f"{shared_buffers(cgroup.bound())}MB"


def test_programs_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="there is no initdb in"):
        binaries.at(tmp_path)
    assert shutil.which("initdb", path=str(binaries.embedded().directory))
