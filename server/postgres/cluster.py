"""The embedded PostgreSQL: made, started, found again, shared between our processes, stopped by the last of them.

Under DATA_DIR lie `postgres/` (the data) and `postgres.lock`. Each of our processes that uses the server holds a
shared lock on that file; whoever leaves last gets it exclusively and stops the server. A `kill -9` frees the lock, the
PostgreSQL process lives on, and the next start finds it by `postmaster.pid`.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import monotonic

from server.errors import ClusterError
from server.postgres import config
from server.postgres.binaries import Binaries, embedded, environment

SUPERUSER = "yojohan"
DATABASE = "yojohan"
# struct sockaddr_un has room for 108 bytes, the last of them NUL.
LONGEST_SOCKET_PATH = 107
SOCKET_NAME = ".s.PGSQL.5432"
RECOVERY_TIMEOUT = 600.0
POLL = 0.01


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
        self._lock = os.open(self.root / "postgres.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        # Exclusive while deciding, so that two processes do not both start a server. Starting takes a second at most.
        await self._flock(fcntl.LOCK_EX | fcntl.LOCK_NB, shared_is_enough=self.running)
        fresh = await asyncio.to_thread(self._prepare)
        if not self.running():
            self._spawn()
        await self._until_ready(waiting)
        fcntl.flock(self._lock, fcntl.LOCK_SH)
        return fresh

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
        """The process id of the running server, or None. A stale pid file is seen through by that process's folder."""
        try:
            pid = int((self.data / "postmaster.pid").read_text("utf-8").split("\n", 1)[0])
            # The postmaster works inside its data directory; a stranger that got the same number does not.
            return pid if Path(f"/proc/{pid}/cwd").resolve() == self.data and not self._is_zombie(pid) else None
        except (OSError, ValueError):
            return None

    def running(self) -> bool:
        """Whether a server runs on this data."""
        return self.postmaster() is not None

    @staticmethod
    def _is_zombie(pid: int) -> bool:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text("utf-8")

    async def _flock(self, operation: int, *, shared_is_enough: Callable[[], bool]) -> None:
        assert self._lock is not None
        deadline = monotonic() + RECOVERY_TIMEOUT
        while True:
            try:
                fcntl.flock(self._lock, operation)
                return
            except BlockingIOError:
                # Somebody holds it: a user of a running server (then share it) or a starter (then wait for it).
                if shared_is_enough() and self._status() == "ready":
                    fcntl.flock(self._lock, fcntl.LOCK_SH)
                    return
            if monotonic() > deadline:
                raise ClusterError(f"another process keeps {self.root / 'postgres.lock'} locked")
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
        (self.data / "postgresql.conf").write_text(config.render(major, sockets), "utf-8")
        (self.data / "pg_hba.conf").write_text(config.HOST_BASED_AUTHENTICATION, "utf-8")
        return fresh

    def _initdb(self) -> None:
        # Trigrams and lower() on Cyrillic need a ctype other than C; sorting by code point keeps indexes portable.
        # initdb writes into a sibling that is renamed when whole: an interrupted first start leaves nothing behind.
        unfinished = self.root / "postgres.new"
        subprocess.run(["rm", "-rf", str(unfinished)], check=True)  # noqa: S603, S607 - a path of our own
        locale = (
            ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--lc-collate=C", "--lc-ctype=C.UTF-8"]
            if self.binaries.major >= 17
            else ["--locale=C.UTF-8"]
        )
        self.binaries.run(
            "initdb", "-D", str(unfinished), "-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--no-instructions", *locale,
        )  # fmt: skip
        unfinished.rename(self.data)

    def _spawn(self) -> None:
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
        started = monotonic()
        polls = 0
        while self._status() != "ready" or not self.running():
            if self._process is not None and self._process.poll() is not None:
                raise ClusterError(f"PostgreSQL did not start:\n{self._explanation()}")
            if monotonic() - started > RECOVERY_TIMEOUT:
                raise ClusterError(f"PostgreSQL is not ready after {RECOVERY_TIMEOUT:.0f} s:\n{self._explanation()}")
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
        pid = self.postmaster()
        if pid is None:
            return
        # SIGINT is the fast stop; SIGQUIT the immediate one, after which the next start runs crash recovery.
        for number, patience in ((signal.SIGINT, timeout), (signal.SIGQUIT, 2.0)):
            os.kill(pid, number)
            deadline = monotonic() + patience
            while monotonic() < deadline:
                if self._process is not None:
                    self._process.poll()
                if self.postmaster() is None:
                    if self._process is not None:
                        await asyncio.to_thread(self._process.wait, 2)
                    return
                await asyncio.sleep(POLL)
        raise ClusterError(f"PostgreSQL (process {pid}) does not stop")
