"""The embedded PostgreSQL: made, started, found again, shared between our processes, stopped by the last of them.

Under DATA_DIR lie `postgres/` (the data) and two lock files. Each of our processes that uses the server holds a shared
lock on `postgres.lock`; whoever leaves last gets it exclusively and stops the server. Making and starting happen under
`postgres.starting`. A `kill -9` frees the locks, the PostgreSQL process lives on, and the next start finds it by
`postmaster.pid`.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import logging
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

from server.adapters import cgroup
from server.errors import ClusterError
from server.postgres import config, processes
from server.postgres.binaries import Binaries, embedded, environment

log = logging.getLogger("yojohan.postgres")

SUPERUSER = "yojohan"
DATABASE = "yojohan"
# struct sockaddr_un has room for 108 bytes, the last of them NUL.
LONGEST_SOCKET_PATH = 107
SOCKET_NAME = ".s.PGSQL.5432"
RECOVERY_TIMEOUT = 600.0
POLL = 0.01
# How long sessions may outlive a postmaster that was killed, in seconds.
ORPHANS_PATIENCE = 3.0
KEEPER_INTERVAL = 0.5
KEEPER_PAUSE = 5.0


class Cluster:
    """One data directory and the server on it."""

    def __init__(self, data_dir: Path, binaries: Binaries | None = None) -> None:
        self.root = data_dir.resolve()
        self.data = self.root / "postgres"
        self._binaries = binaries
        self._lock: int | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def binaries(self) -> Binaries:
        """The PostgreSQL programs, looked up once."""
        if self._binaries is None:
            self._binaries = embedded()
        return self._binaries

    def dsn(self, database: str = DATABASE) -> str:
        """Where to connect."""
        return f"postgresql://{SUPERUSER}@/{database}?host={self.socket_directory()}"

    def socket_directory(self) -> Path:
        """DATA_DIR/run, or a directory below the temporary one where that path is too long for a socket."""
        plain = self.root / "run"
        if len(os.fsencode(plain / SOCKET_NAME)) <= LONGEST_SOCKET_PATH:
            return plain
        digest = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"yojohan-{os.geteuid()}-{digest}"

    async def start(self, waiting: Callable[[], None] = lambda: None) -> bool:
        """Make the cluster if there is none, start the server unless it runs; True if it was made just now.

        `waiting` is called about once a second while crash recovery keeps the server from answering.
        ClusterError if another major version made the data, or the server does not come up.
        """
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = self._open("postgres.lock")
        try:
            async with self._starting():
                # Whoever stops the server holds this exclusively; from here on nobody stops it under our hands.
                await self._flock(self._lock, fcntl.LOCK_SH)
                fresh = await asyncio.to_thread(self._prepare)
                await self._until_ready(waiting)
        except BaseException:
            await self.stop()
            raise
        return fresh

    async def keep_running(self) -> None:
        """For ever: start the server anew if it dies (the kernel may choose it when memory runs out)."""
        while True:
            await asyncio.sleep(KEEPER_INTERVAL)
            if self.running():
                continue
            log.error("PostgreSQL has died; starting it anew")
            try:
                async with self._starting():
                    await self._until_ready(lambda: None)
            except (ClusterError, OSError) as error:
                log.error("PostgreSQL does not start: %s", error)  # noqa: TRY400 - the message says it all
                await asyncio.sleep(KEEPER_PAUSE)

    async def stop(self, timeout: float = 6.0) -> None:
        """Leave; stop the server (fast: sessions are cut, all is written) unless another of our processes uses it."""
        if self._lock is None:
            return
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            await self._terminate(timeout)
        except BlockingIOError:
            pass
        finally:
            os.close(self._lock)
            self._lock = None

    def postmaster(self) -> int | None:
        """The process id of the running server, or None; a pid file left by a server that is gone is seen through."""
        try:
            pid = int((self.data / "postmaster.pid").read_text("utf-8").split("\n", 1)[0])
        except (OSError, ValueError):
            return None
        return pid if processes.serves(pid, self.data) else None

    def running(self) -> bool:
        """Whether a server runs on this data."""
        return self.postmaster() is not None

    def _open(self, name: str) -> int:
        return os.open(self.root / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    @asynccontextmanager
    async def _starting(self) -> AsyncIterator[None]:
        """One process at a time looks whether a server runs, and starts one."""
        descriptor = self._open("postgres.starting")
        try:
            await self._flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    async def _flock(self, descriptor: int, operation: int) -> None:
        deadline = monotonic() + RECOVERY_TIMEOUT
        while True:
            try:
                fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if monotonic() > deadline:
                    raise ClusterError(f"another process keeps the lock files in {self.root}") from None
            await asyncio.sleep(0.05)

    def _prepare(self) -> bool:
        sockets = self.socket_directory()
        sockets.mkdir(mode=0o700, exist_ok=True)
        if sockets.stat().st_uid != os.geteuid() or sockets.stat().st_mode & 0o077:
            raise ClusterError(f"{sockets} must belong to us alone (mode 0700)")
        fresh = not (self.data / "PG_VERSION").exists()
        if fresh:
            self._initdb()
        major = int((self.data / "PG_VERSION").read_text("utf-8"))
        if major != self.binaries.major:
            raise ClusterError(
                f"{self.data} was made by PostgreSQL {major}, but this program brings {self.binaries.major}. "
                f"Move the data with pg_upgrade or a dump, or set DATABASE_URL to a server of version {major}."
            )
        return fresh

    def _initdb(self) -> None:
        # Trigrams and lower() on Cyrillic need a ctype other than C; sorting by code point keeps indexes portable.
        # initdb writes into a sibling that is renamed when whole: an interrupted first start leaves nothing behind.
        unfinished = self.root / "postgres.new"
        # The initdb of a process that was killed may still be at it.
        processes.end(processes.makers_of(unfinished), 0)
        processes.end(processes.servers_of(unfinished), 1)
        if unfinished.exists():
            shutil.rmtree(unfinished)
        locale = (
            ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--lc-collate=C", "--lc-ctype=C.UTF-8"]
            if self.binaries.major >= 17
            else ["--locale=C.UTF-8"]
        )
        self.binaries.run(
            "initdb", "-D", str(unfinished), "-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--no-instructions", *locale,
        )  # fmt: skip
        unfinished.rename(self.data)

    def _clear_away(self) -> None:
        """Remove what a killed server left: PostgreSQL itself would take a stranger with its number for it, and would
        not start beside sessions that outlived their postmaster."""
        processes.end(processes.servers_of(self.data), ORPHANS_PATIENCE)
        sockets = self.socket_directory()
        for path in (self.data / "postmaster.pid", sockets / SOCKET_NAME, sockets / f"{SOCKET_NAME}.lock"):
            path.unlink(missing_ok=True)

    def _spawn(self) -> None:
        self._clear_away()
        if self._process is not None:
            # The one that died was ours: let the kernel forget it.
            self._process.poll()
        settings = config.render(self.binaries.major, self.socket_directory(), cgroup.bound())
        (self.data / "postgresql.conf").write_text(settings, "utf-8")
        (self.data / "pg_hba.conf").write_text(config.HOST_BASED_AUTHENTICATION, "utf-8")
        # Output before the collector runs is short; it explains a start that fails.
        with (self.data / "startup.log").open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own argument vector, no shell
                self.binaries.command("postgres", "-D", str(self.data)),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.root, env=environment(),
                # A Ctrl-C on the terminal is for us; we stop the server after draining.
                start_new_session=True,
            )  # fmt: skip

    def _status(self) -> str:
        """What the postmaster last wrote of itself: starting, ready, stopping, or nothing."""
        try:
            lines = (self.data / "postmaster.pid").read_text("utf-8").split("\n")
        except OSError:
            return ""
        return lines[7].strip() if len(lines) > 7 else ""

    async def _until_ready(self, waiting: Callable[[], None]) -> None:
        """Start the server if none runs, and wait for it. One that is found may be stopping: then another follows."""
        started = monotonic()
        polls = 0
        spawned = False
        while self._status() != "ready" or not self.running():
            if spawned and self._process is not None and self._process.poll() is not None:
                raise ClusterError(f"PostgreSQL did not start:\n{self._explanation()}")
            if monotonic() - started > RECOVERY_TIMEOUT:
                raise ClusterError(f"PostgreSQL is not ready after {RECOVERY_TIMEOUT:.0f} s:\n{self._explanation()}")
            if not spawned and not self.running():
                await asyncio.to_thread(self._spawn)
                spawned = True
            polls += 1
            if polls % 100 == 0:
                waiting()
            await asyncio.sleep(POLL)

    def _explanation(self) -> str:
        try:
            return (self.data / "startup.log").read_text("utf-8", "replace").strip()[-2000:]
        except OSError:
            return ""

    async def _terminate(self, timeout: float) -> None:
        pid = self.postmaster() or self._unannounced()
        if pid is None:
            return
        # SIGINT is the fast stop; SIGQUIT the immediate one, after which the next start runs crash recovery.
        for number, patience in ((signal.SIGINT, timeout), (signal.SIGQUIT, 2.0)):
            os.kill(pid, number)
            deadline = monotonic() + patience
            while monotonic() < deadline:
                if self._process is not None:
                    self._process.poll()
                if self.postmaster() is None and self._unannounced() is None:
                    if self._process is not None:
                        await asyncio.to_thread(self._process.wait, 2)
                    return
                await asyncio.sleep(POLL)
        raise ClusterError(f"PostgreSQL (process {pid}) does not stop")

    def _unannounced(self) -> int | None:
        """The server we started a moment ago, which has not written its pid file yet."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None
